"""Looks at the templates of a plan before it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import SiteError
from fleet.template import Template, problems
from fleet.vsphere.api import vim
from fleet.vsphere.collect import moid, read_some

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.model import FleetSpec
    from fleet.plan import Creation
    from fleet.vsphere.find import Place
    from fleet.vsphere.session import Session

_PATHS = ("name", "config.firmware", "config.version", "config.hardware.device", "runtime.connectionState")


def read_templates(session: Session, moids: Iterable[str]) -> dict[str, Template]:
    """What vCenter says of some templates, by moid. One round trip."""
    objects = [session.object(vim.VirtualMachine, one) for one in sorted(set(moids))]
    return {
        str(moid(item)): Template(
            name=str(values.get("name") or moid(item)),
            firmware=values.get("config.firmware"),
            hardware=values.get("config.version"),
            cards=sum(isinstance(d, vim.vm.device.VirtualEthernetCard) for d in values.get("config.hardware.device") or ()),
            connection=str(values.get("runtime.connectionState") or "connected"),
        )
        for item, values in read_some(session, objects, _PATHS, tried="read templates")
    }


def require_fit(session: Session, spec: FleetSpec, creations: Iterable[Creation], place: Place) -> None:
    """Refuse templates that cannot hold what is asked.

    Raises:
        SiteError: one cannot; it names each template, what is wrong with it, and the mend.
    """
    wanted = {(place.of(creation).template_moid, creation.shape) for creation in creations}
    found = read_templates(session, {one for one, _ in wanted})
    told = dict.fromkeys(
        f"template {found[one].name}: {problem}"
        for one, shape in sorted(wanted, key=lambda pair: (pair[0], repr(pair[1])))
        if one in found
        for problem in problems(found[one], shape, spec.network)
    )
    if told:
        raise SiteError(f"Nothing was cloned for fleet {spec.name}: {'; '.join(told)}.")
