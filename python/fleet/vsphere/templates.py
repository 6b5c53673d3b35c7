"""Looks at the templates of a plan before it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.errors import SiteError
from fleet.gpu.devices import Vgpu
from fleet.planning.template_check import Template, problems, uncounted
from fleet.vsphere.api import vim
from fleet.vsphere.attach import present_devices
from fleet.vsphere.collect import moid, read_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fleet.domain.plan import Creation
    from fleet.domain.spec import FleetSpec
    from fleet.vsphere.find import Place
    from fleet.vsphere.session import Session

_DEVICES, _GROUPS = "config.hardware.device", "config.deviceGroups"
_PATHS = ("name", "config.firmware", "config.version", _DEVICES, _GROUPS, "runtime.connectionState")


def read_templates(session: Session, moids: Iterable[str]) -> dict[str, Template]:
    """What vCenter says of some templates, by moid. One round trip."""
    objects = [session.object(vim.VirtualMachine, one) for one in sorted(set(moids))]
    return {
        str(moid(item)): Template(
            name=str(values.get("name") or moid(item)),
            firmware=values.get("config.firmware"),
            hardware=values.get("config.version"),
            cards=sum(isinstance(d, vim.vm.device.VirtualEthernetCard) for d in values.get(_DEVICES) or ()),
            connection=str(values.get("runtime.connectionState") or "connected"),
            brought=tuple(
                one.device
                for one in present_devices(values.get(_DEVICES) or (), values.get(_GROUPS))
                if not isinstance(one.device, Vgpu)
            ),
        )
        for item, values in read_some(session, objects, _PATHS, tried="read templates")
    }


def require_fit(session: Session, spec: FleetSpec, creations: Collection[Creation], place: Place) -> tuple[str, ...]:
    """Refuse templates that cannot hold what is requested.

    Returns:
        Notes on those that can.

    Raises:
        SiteError: one cannot; the message names each template, what is wrong with it, and what mends it.
    """
    wanted = {(place.of(creation).template_moid, creation.shape) for creation in creations}
    servers = {place.of(creation).template_moid for creation in creations if creation.role == TRITON}
    found = read_templates(session, {one for one, _ in wanted})
    pairs = [(found[one], shape) for one, shape in sorted(wanted, key=lambda pair: (pair[0], repr(pair[1]))) if one in found]
    misfits = dict.fromkeys(
        f"template {template.name}: {problem}" for template, shape in pairs for problem in problems(template, shape, spec.network)
    )
    if misfits:
        raise SiteError(f"Nothing was cloned for fleet {spec.name}: {'; '.join(misfits)}.")
    return tuple(
        dict.fromkeys(note for one, shape in wanted if one in found.keys() & servers and (note := uncounted(found[one], shape)))
    )
