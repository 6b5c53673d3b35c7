"""Whether the cards that a host passes through whole suffice for the servers asked of it. Pure.

A device asks for one card by its address, for any of a kind with a label, or for any of a kind. Of any two such sets of cards
one holds the other or they share none, so whoever has the least choice goes first and the count is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.devices import DynamicDevice, FixedDevice, PciDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.gpu.site import Claim, GpuHost, GpuSite, WholeCard


@dataclass(frozen=True, slots=True)
class HostCards:
    """What was read of a host's whole cards (``GpuHost`` has the words)."""

    cards: tuple[WholeCard, ...] = ()
    claims: tuple[Claim, ...] = ()
    unknown: str = ""


NO_CARDS = HostCards()
SHOWN = 3  # holders in a sentence; the rest is a number


def whole_cards(devices: Iterable[PciDevice]) -> tuple[DynamicDevice | FixedDevice, ...]:
    """Those among some devices that ask for a whole card."""
    return tuple(device for device in devices if isinstance(device, (DynamicDevice, FixedDevice)))


def kind_of(card: WholeCard) -> str:
    """What a card is, as a device that asks for it is printed."""
    if card.vendor_id is None or card.device_id is None:
        return "unknown device"
    return str(DynamicDevice(card.vendor_id, card.device_id, card.label))


def card_text(host: GpuHost, card: WholeCard) -> str:
    """A card with its address, its kind, and who has it."""
    has = f"held by {card.vm}{' *' if card.member else ''}" if card.vm else "not offered" if host.cards_unknown else "free"
    return f"{card.pci_id}: {card.model}, {kind_of(card)}, {has}"


def answers(card: WholeCard, device: PciDevice) -> bool:
    """Whether a card, free or not, is what a device asks for."""
    if isinstance(device, FixedDevice):
        return card.pci_id.lower() == device.pci_id.lower()
    return (
        isinstance(device, DynamicDevice)
        and (card.vendor_id, card.device_id) == (device.vendor_id, device.device_id)
        and device.label in ("", card.label)
    )


def holders(site: GpuSite) -> frozenset[str]:
    """The names of all VMs that have or keep whole cards."""
    having = {card.vm for host in site.hosts for card in host.cards if card.vm}
    return frozenset(having | {claim.vm for host in site.hosts for claim in host.claims})


def claimed(host: GpuHost, *, reservations: bool) -> tuple[Claim, ...]:
    """The cards of a host that VMs have or want without saying which; those of VMs that are off only as reservations."""
    return tuple(claim for claim in host.claims if reservations or not claim.off)


def suffices(host: GpuHost, devices: Sequence[PciDevice], *, reservations: bool = False) -> bool:
    """Whether each of some devices, all those of one batch together, finds a card of its own that is free for certain."""
    if not devices:
        return True
    if host.cards_unknown or len(devices) > len(host.cards):
        return False
    claims = [claim.device for claim in claimed(host, reservations=reservations)]
    return _served(host, [*claims, *devices]) == _served(host, claims) + len(devices)


def _served(host: GpuHost, devices: Iterable[PciDevice]) -> int:
    """How many devices get a card at most."""
    free = [card for card in host.cards if not card.vm]
    count = 0
    for device in sorted(devices, key=_choice):
        card = next((one for one in free if answers(one, device)), None)
        if card is not None:
            free.remove(card)
            count += 1
    return count


def _choice(device: PciDevice) -> int:
    return 0 if isinstance(device, FixedDevice) else 1 if getattr(device, "label", "") else 2


def stock(host: GpuHost, devices: Sequence[PciDevice], *, reservations: bool) -> str:
    """What a host has of the cards that one server asks for, in words."""
    if host.cards_unknown:
        return f"{host.cards_unknown}; its cards are not offered"
    claims = claimed(host, reservations=reservations)
    parts = []
    for device in dict.fromkeys(devices):
        own = [card for card in host.cards if answers(card, device)]
        rest = [claim for claim in claims if any(answers(card, claim.device) for card in own)]
        free = max(0, sum(not card.vm for card in own) - len(rest))
        held = list(dict.fromkeys([*(card.vm for card in own if card.vm), *(_who(claim) for claim in rest)]))
        more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
        by = f", held by {', '.join(held[:SHOWN])}{more}" if held else ""
        parts.append(f"{free} of {len(own)} cards {device} free{by}" if own else f"no card {device} in passthrough mode")
    return " and ".join(parts)


def _who(claim: Claim) -> str:
    return f"{claim.vm} (powered off)" if claim.off else claim.vm
