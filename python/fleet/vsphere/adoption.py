"""Gives VMs an identity, or takes it away, while they run: keys and instanceUuid in one reconfiguration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.vsphere.api import vim
from fleet.vsphere.batch import keys_spec
from fleet.vsphere.tasks import Job, Outcome, run_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.vsphere.session import Session


@dataclass(frozen=True, slots=True)
class Identity:
    """What becomes of one VM.

    Attributes:
        keys: ``fleet.*`` keys without prefix; ``None`` removes one.
        uuid: its instanceUuid from now on; ``None`` leaves it. vSphere: "can be modified even when a virtual machine is
            powered on", but for Fault Tolerance.
        version: the changeVersion that has to hold still.
    """

    keys: Mapping[str, str | None]
    uuid: str | None
    version: str | None


def write_identities(session: Session, vms: Mapping[str, Identity], *, timeout: float = 120.0) -> dict[str, Outcome]:
    """Write identities, each in one atomic reconfiguration: a VM has the whole of it or nothing.

    Args:
        session: the session.
        vms: what becomes of each VM, by moid.
        timeout: seconds for all of them together.

    Returns:
        The outcome by moid; somebody who changed the VM meanwhile is a ``ConflictError``.
    """

    def job(one: str, identity: Identity) -> Job:
        spec = keys_spec(identity.keys, identity.version)
        if identity.uuid is not None:
            spec.instanceUuid = identity.uuid
        return Job(one, lambda: session.object(vim.VirtualMachine, one).ReconfigVM_Task(spec))

    jobs = [job(one, identity) for one, identity in vms.items()]
    return run_tasks(session, jobs, what="reconfigure", limit=len(jobs) or 1, timeout=timeout)
