"""Whether a VM is still the machine that it was: its SSH host key, recorded at first contact and looked at in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.ssh.host_keys import scan_host_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fleet.domain.report import Report
    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller, FirstBoot
    from fleet.operations.observation import Observation


def first_contact(controller: Controller, reached: Iterable[Member], boot: FirstBoot, report: Report) -> None:
    """Wait for the members' SSH servers; take down the host key of a new guest, and look at a known one's again."""
    limit = controller.limits.ssh
    members = {m.address: m for m in reached if m.address}
    keys, refusals = scan_host_keys(members, timeout=limit, ssh_args=boot.ssh_args) if members else ({}, {})
    writes: list[tuple[Member, Mapping[str, str | None]]] = []
    for address, member in members.items():
        if address not in keys:
            by = f" by way of {boot.ssh_args} ({refusals.get(address, 'no answer')})" if boot.ssh_args else ""
            report.failures[member.name] = f"its SSH server at {address} did not answer within {limit:.0f} s{by}"
        elif not member.vm.keys.get("hostkey"):
            writes.append((member, {"hostkey": keys[address]}))
        elif member.vm.keys["hostkey"] != keys[address]:
            report.failures[member.name] = _changed(member)
    controller.write_keys(writes)


def distrust(controller: Controller, observed: Observation, boot: FirstBoot) -> list[str]:
    """Quarantine members that are ready and answer with another host key than the recorded one; returns their names.

    One look, without waiting: a guest that does not answer keeps its state, for it may serve well all the same.
    """
    ready = {str(m.address): m for m in observed.state.members if m.confirmed and m.state == "ready" and m.address}
    known = {address: member for address, member in ready.items() if member.vm.keys.get("hostkey")}
    keys, _ = scan_host_keys(known, timeout=0, ssh_args=boot.ssh_args) if known else ({}, {})
    changed = [
        member for address, member in known.items() if keys.get(address, member.vm.keys["hostkey"]) != member.vm.keys["hostkey"]
    ]
    controller.write_keys([(member, {"state": "quarantined", "reason": _changed(member)}) for member in changed])
    return [m.name for m in changed]


def _changed(member: Member) -> str:
    return f"the machine at {member.address} has another SSH host key than this VM had at first contact: find out why first"
