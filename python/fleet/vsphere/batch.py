"""Power, destroy and reconfigure many VMs at once. VMs are given as moids by the caller's own keys (their names)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.identity import KEY_PREFIX
from fleet.errors import FleetError
from fleet.vsphere.api import vim
from fleet.vsphere.collect import moid, read_some
from fleet.vsphere.tasks import Job, Outcome, run_tasks, running, wait_tasks
from fleet.vsphere.watch import wait_power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleet.vsphere.session import Session
    from fleet.vsphere.tasks import Progress

IN_FLIGHT = 32  # power, destroy and reconfigure tasks together; vCenter queues above 640
_ON, _OFF = "poweredOn", "poweredOff"
_POWER_TASKS = ("VirtualMachine.powerOn", "VirtualMachine.powerOff")


def power_on_all(
    session: Session,
    vms: Mapping[str, str],
    *,
    timeout: float = 300.0,
    serial_groups: Mapping[str, str] | None = None,
    hosts: Mapping[str, str] | None = None,
    limit: int = IN_FLIGHT,
    on_progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Power on VMs; one that is on already is fine.

    Args:
        session: the session.
        vms: moids by name.
        timeout: seconds for all of them together.
        serial_groups: for each name its group (say its host); within a group VMs start one after the other, in ``vms``' order,
            which decides where a MIG GPU puts them.
        hosts: moids of the hosts on which VMs are to start, by name; the others start where vCenter likes.
        limit: tasks in flight together.
        on_progress: called at each change.

    Returns:
        The outcome by name. A vGPU that finds no room fails with vCenter's own fault and text.
    """
    chosen = {vms[name]: session.object(vim.HostSystem, host) for name, host in (hosts or {}).items() if name in vms}

    def start(vm: Any) -> Any:
        return vm.PowerOnVM_Task(chosen.get(str(moid(vm))))

    return _to_power(session, vms, _ON, start, "power on", timeout, limit, serial_groups or {}, on_progress)


def power_off_all(
    session: Session,
    vms: Mapping[str, str],
    *,
    timeout: float = 300.0,
    guest_seconds: float = 0.0,
    limit: int = IN_FLIGHT,
    on_progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Power off VMs; one that is off already is fine.

    Args:
        session: the session.
        vms: moids by name.
        timeout: seconds for the hard power-off of all of them together.
        guest_seconds: first ask the guests to shut down and give them so long; 0 cuts the power at once.
        limit: tasks in flight together.
        on_progress: called at each change.
    """
    if guest_seconds > 0:
        shutting = [one for one in vms.values() if _asked_to_shut_down(session, one)]
        wait_power(session, shutting, _OFF, timeout=guest_seconds)

    def start(vm: Any) -> Any:
        return vm.PowerOffVM_Task()

    return _to_power(session, vms, _OFF, start, "power off", timeout, limit, {}, on_progress)


def relocate_all(
    session: Session,
    vms: Mapping[str, str],
    hosts: Mapping[str, str],
    *,
    timeout: float = 300.0,
    limit: int = IN_FLIGHT,
    on_progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Register powered-off VMs on other hosts; their disks stay where they are.

    Args:
        session: the session.
        vms: moids by name.
        hosts: moids of the hosts to move to, by name.
        timeout: seconds for all of them together.
        limit: tasks in flight together.
        on_progress: called at each change.
    """
    if not vms:
        return {}
    objects = {session.object(vim.HostSystem, hosts[name]) for name in vms}
    parents = {str(moid(item)): values["parent"] for item, values in read_some(session, objects, ("parent",), tried="read hosts")}
    pools = {
        str(moid(item)): values["resourcePool"]
        for item, values in read_some(
            session, parents.values(), ("resourcePool",), kind=vim.ComputeResource, tried="read clusters"
        )
    }
    targets = {}
    for name, one in vms.items():
        pool = pools[str(moid(parents[hosts[name]]))]
        targets[one] = vim.vm.RelocateSpec(host=session.object(vim.HostSystem, hosts[name]), pool=pool)

    def start(vm: Any) -> Any:
        return vm.RelocateVM_Task(targets[str(moid(vm))])

    return _run(session, vms, start, "move", timeout, limit, {}, on_progress)


def destroy_all(
    session: Session,
    vms: Mapping[str, str],
    *,
    timeout: float = 300.0,
    limit: int = IN_FLIGHT,
    on_progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Destroy VMs with their disks, after cutting their power; one that is gone already is fine.

    Only VMs are taken: a folder's moid fails, because destroying a folder would destroy what is in it.
    """
    stopped = power_off_all(session, vms, timeout=timeout, limit=limit)
    there = {name: one for name, one in vms.items() if stopped[name].error is None}

    def start(vm: Any) -> Any:
        return vm.Destroy_Task()

    ended = _run(session, there, start, "destroy", timeout, limit, {}, on_progress)
    # A power-off fails, too, when the VM is gone; whether it is, the bulk read says and not the fault's name
    failed = {name for name in vms if ended.get(name, stopped[name]).error is not None}
    left = _powers(session, {name: vms[name] for name in failed})
    return {name: ended.get(name, stopped[name]) if name not in failed or name in left else Outcome() for name in vms}


def reconfigure_keys(
    session: Session,
    writes: Mapping[str, tuple[str, Mapping[str, str | None], str | None]],
    *,
    timeout: float = 120.0,
    limit: int = IN_FLIGHT,
) -> dict[str, Outcome]:
    """Write ``fleet.*`` keys of VMs.

    Args:
        session: the session.
        writes: for each VM's name its moid, its keys without prefix (``None`` removes one) and the changeVersion that must still
            hold (``None``: whatever it is by now).
        timeout: seconds for all of them together.
        limit: tasks in flight together.

    Returns:
        The outcome by name; a changeVersion that does not hold any more is a ``ConflictError``, and nothing was written.
    """
    specs = {one: keys_spec(keys, version) for one, keys, version in writes.values()}

    def start(vm: Any) -> Any:
        return vm.ReconfigVM_Task(specs[str(moid(vm))])

    return _run(session, {name: one for name, (one, _, _) in writes.items()}, start, "reconfigure", timeout, limit, {}, None)


def write_options(
    session: Session, writes: Mapping[str, tuple[str, Mapping[str, str]]], *, timeout: float = 120.0, limit: int = IN_FLIGHT
) -> dict[str, Outcome]:
    """Write extraConfig keys other than ``fleet.*`` (say ``guestinfo.*``): for each name the VM's moid and its keys in full."""
    specs = {
        one: vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in keys.items()])
        for one, keys in writes.values()
    }

    def start(vm: Any) -> Any:
        return vm.ReconfigVM_Task(specs[str(moid(vm))])

    return _run(session, {name: one for name, (one, _) in writes.items()}, start, "reconfigure", timeout, limit, {}, None)


def keys_spec(keys: Mapping[str, str | None], change_version: str | None = None) -> Any:
    """A ConfigSpec that writes ``fleet.*`` keys given without prefix; vSphere removes a key whose value is empty."""
    spec = vim.vm.ConfigSpec(
        extraConfig=[vim.option.OptionValue(key=f"{KEY_PREFIX}{key}", value=value or "") for key, value in keys.items()]
    )
    if change_version is not None:
        spec.changeVersion = change_version
    return spec


def _to_power(
    session: Session,
    vms: Mapping[str, str],
    wanted: str,
    start: Callable[[Any], Any],
    what: str,
    timeout: float,
    limit: int,
    serial_groups: Mapping[str, str],
    on_progress: Progress | None,
) -> dict[str, Outcome]:
    _await_earlier(session, vms.values(), timeout)
    powers = _powers(session, vms)
    todo = {name: one for name, one in vms.items() if powers.get(name) != wanted}
    ended = _run(session, todo, start, what, timeout, limit, serial_groups, on_progress)
    raced = {name: vms[name] for name, outcome in ended.items() if outcome.fault == "InvalidPowerState"}
    for name, power in _powers(session, raced).items():
        if power == wanted:  # somebody else, or a task of an earlier run, did it meanwhile
            ended[name] = Outcome(moid=vms[name])
    return {name: ended.get(name, Outcome(moid=vms[name])) for name in vms}


def _await_earlier(session: Session, vms: Iterable[str], timeout: float) -> None:
    """Let power tasks end that a killed run left behind: until then a VM reads as it was before them."""
    left = running(session, _POWER_TASKS, set(vms))
    if left:
        wait_tasks(session, left, timeout=timeout, what="power task of an earlier run")


def _run(
    session: Session,
    vms: Mapping[str, str],
    start: Callable[[Any], Any],
    what: str,
    timeout: float,
    limit: int,
    serial_groups: Mapping[str, str],
    on_progress: Progress | None,
) -> dict[str, Outcome]:
    jobs = []
    for name, one in vms.items():
        vm = session.object(vim.VirtualMachine, one)
        jobs.append(Job(name, lambda vm=vm: start(vm), serial_groups.get(name)))  # type: ignore[misc]
    ended = run_tasks(session, jobs, what=what, limit=limit, timeout=timeout, on_progress=on_progress)
    return {name: outcome if outcome.error else Outcome(moid=vms[name]) for name, outcome in ended.items()}


def _powers(session: Session, vms: Mapping[str, str]) -> dict[str, str | None]:
    """Power states by name, in one read; VMs that are gone are missing."""
    objects = [session.object(vim.VirtualMachine, one) for one in vms.values()]
    found = {
        moid(item): values.get("runtime.powerState") for item, values in read_some(session, objects, ("runtime.powerState",))
    }
    return {name: found[one] for name, one in vms.items() if one in found}


def _asked_to_shut_down(session: Session, one: str) -> bool:
    vm = session.object(vim.VirtualMachine, one)
    try:
        session.write(lambda: vm.ShutdownGuest(), "shut down the guest")  # noqa: PLW0108  looked up when it is called
    except FleetError:
        return False  # no tools, or off already: the power-off that follows deals with it
    return True
