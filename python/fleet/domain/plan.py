"""What a run is going to change: the plan, for people and for programs. ``fleet.planning.scale_out`` makes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.domain.record import Record
    from fleet.domain.spec import Shape
    from fleet.domain.state import FleetState, Member
    from fleet.gpu.placement.place import ExpectedGpu

_DIGITS = re.compile(r"[0-9]{3,6}")  # what a VM's name says is bounded: it decides the next server's number


@dataclass(frozen=True, slots=True)
class Creation:
    """A VM to clone.

    Attributes:
        host: the planned host's name; None leaves it to vCenter.
        gpus: its vGPUs in the order of attachment, each with the GPU for which it is planned.
        turn: its place in the host's order of power-ons.
        certain: whether it fits wherever vCenter puts it and those before it.
        addresses: of the fleet's pool, allotted to it; none where the site uses DHCP.
    """

    name: str
    role: str
    shape: Shape
    host: str | None = None
    gpus: tuple[ExpectedGpu, ...] = ()
    turn: int = 0
    certain: bool = True
    addresses: tuple[str, ...] = ()

    @property
    def profiles(self) -> tuple[str, ...]:
        """The vGPU profiles to attach, in order."""
        return tuple(gpu.profile for gpu in self.gpus) or self.shape.gpu_profiles

    def line(self) -> str:
        """What is planned, for people."""
        gpus = " + ".join(f"{gpu.profile}{gpu.where}" for gpu in self.gpus)
        where = (f" on {self.host}" if self.host else "") + (f" as {', '.join(self.addresses)}" if self.addresses else "")
        sure = "" if self.certain else ", possible, not certain"
        vgpus = gpus or " + ".join(self.shape.gpu_profiles)
        what = " + ".join([*([vgpus] if vgpus else []), *map(str, self.shape.devices or ())]) or "no GPU"
        return f"+ clone {self.name} ({self.role}, {what}{sure}) from {self.shape.template}{where}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes from state to spec, in the order in which they are made."""

    fleet: str
    target_was: int | None
    target: int
    record: Record  # what the fleet's record says once this plan is taken up
    create: tuple[Creation, ...] = ()
    start: tuple[Member, ...] = ()
    configure: tuple[Member, ...] = ()  # members that are there and do not serve yet
    drain: tuple[Member, ...] = ()
    remove: tuple[Member, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is to be done in vCenter."""
        return bool(self.create or self.start or self.configure or self.drain or self.remove) or (self.target_was != self.target)

    def lines(self) -> list[str]:
        """The plan for people, one change a line."""
        was = "none yet" if self.target_was is None else str(self.target_was)
        lines = [f"target size: {self.target}" + ("" if self.target_was == self.target else f" (was: {was})")]
        lines += [creation.line() for creation in self.create]
        lines += [f"~ power on {m.name}" for m in self.start]
        lines += [f"~ configure {m.name} ({m.state}{': ' + m.reason if m.reason else ''})" for m in self.configure]
        destroyed = {m.name for m in self.remove}
        lines += [
            f"~ drain {m.name}" + ("" if m.name in destroyed else f", then destroy it ({m.role}, {m.state}, {m.vm.moid})")
            for m in self.drain
        ]
        lines += [f"- destroy {m.name} ({m.role}, {m.state}, {m.vm.moid})" for m in self.remove]
        lines += [f"  {note}" for note in self.notes]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "fleet": self.fleet,
            "target_was": self.target_was,
            "target": self.target,
            "create": [
                {
                    "name": c.name,
                    "role": c.role,
                    "template": c.shape.template,
                    "host": c.host,
                    "gpus": list(c.profiles),
                    "expected": [
                        {"profile": gpu.profile, "pci_id": gpu.pci_id or None, "known": gpu.known, "among": list(gpu.among)}
                        for gpu in c.gpus
                    ],
                    "known": all(gpu.known for gpu in c.gpus),
                    "certain": c.certain,
                    "addresses": list(c.addresses),
                }
                for c in self.create
            ],
            "start": [m.name for m in self.start],
            "configure": [m.name for m in self.configure],
            "drain": [m.name for m in self.drain],
            "remove": [m.name for m in self.remove],
            "going": [m.vm.moid for m in (*self.drain, *self.remove)],
            "notes": list(self.notes),
        }


def unconfirmed_notes(state: FleetState) -> tuple[str, ...]:
    """A line for each VM that carries the fleet's keys and not its identity."""
    return tuple(f"left alone: {m.name} ({m.vm.moid}), {m.reason}" for m in state.members if not m.confirmed)


def number_of(name: str, stem: str) -> int:
    """The number in a name of the fleet's own form, ``demo-007``, of 6 digits at most; 0 in any other (adopted VMs)."""
    match = _DIGITS.fullmatch(name.removeprefix(f"{stem}-"))
    return int(match[0]) if match and name == f"{stem}-{int(match[0]):03d}" else 0
