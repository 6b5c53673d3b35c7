"""What a run is going to change: the plan, for people and for programs. ``fleet.planning`` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.model import Member, Shape
    from fleet.record import Record


@dataclass(frozen=True, slots=True)
class Creation:
    """A VM to clone.

    Attributes:
        host: the planned host's name; None leaves it to vCenter.
        gpus: its vGPUs in the order of attachment: the profile as the host spells it, and the expected GPU's address.
        turn: its place in the host's order of power-ons.
        known: whether a GPU's address is certain: pinned, or the host's only one; else the host's manager chooses.
        certain: whether it fits wherever vCenter puts it and those before it.
        addresses: of the fleet's pool, allotted to it; none where the site uses DHCP.
    """

    name: str
    role: str
    shape: Shape
    host: str | None = None
    gpus: tuple[tuple[str, str | None], ...] = ()
    turn: int = 0
    known: bool = True
    certain: bool = True
    addresses: tuple[str, ...] = ()

    @property
    def profiles(self) -> tuple[str, ...]:
        """The vGPU profiles to attach, in order."""
        return tuple(profile for profile, _ in self.gpus) or self.shape.gpu_profiles

    def line(self) -> str:
        """What is planned, for people."""
        at = " @" if self.known else ", expected @"
        gpus = " + ".join(f"{profile}{f'{at} {pci_id}' if pci_id else ''}" for profile, pci_id in self.gpus)
        where = (f" on {self.host}" if self.host else "") + (f" as {', '.join(self.addresses)}" if self.addresses else "")
        sure = "" if self.certain else ", possible, not certain"
        what = gpus or " + ".join(self.shape.gpu_profiles) or "no GPU"
        more = "".join(f" + {device}" for device in self.shape.devices or ())
        return f"+ clone {self.name} ({self.role}, {what}{more}{sure}) from {self.shape.template}{where}"


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
        lines += [f"~ drain {m.name}" for m in self.drain]
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
                    "expected": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in c.gpus],
                    "known": c.known,
                    "certain": c.certain,
                    "addresses": list(c.addresses),
                }
                for c in self.create
            ],
            "start": [m.name for m in self.start],
            "configure": [m.name for m in self.configure],
            "drain": [m.name for m in self.drain],
            "remove": [m.name for m in self.remove],
            "notes": list(self.notes),
        }
