"""Whole cards: whether those that a host passes through suffice for the devices of some servers. Pure.

A device requests one card by its address, for any card of a kind with a label, or for any card of a kind. These sets of cards
are a laminar family: two of them either share no card or one contains the other. So the greedy matching that serves the most
constrained device first is a maximum one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.devices import DynamicDevice, FixedDevice, PciDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.gpu.site import CardClaim, GpuHost, GpuSite, WholeCard


@dataclass(frozen=True, slots=True)
class HostCards:
    """The whole cards of one host: ``cards``, ``claims`` and ``cards_unknown`` of :class:`~fleet.gpu.site.GpuHost`."""

    cards: tuple[WholeCard, ...] = ()
    claims: tuple[CardClaim, ...] = ()
    unknown: str = ""


NO_CARDS = HostCards()
SHOWN = 3  # holders in a sentence; the rest is a number


def whole_cards(devices: Iterable[PciDevice]) -> tuple[DynamicDevice | FixedDevice, ...]:
    """Those among some devices that ask for a whole card."""
    return tuple(device for device in devices if isinstance(device, (DynamicDevice, FixedDevice)))


def kind_of(card: WholeCard) -> str:
    """A card's kind, printed like a device that requests it."""
    if card.vendor_id is None or card.device_id is None:
        return "unknown device"
    return str(DynamicDevice(card.vendor_id, card.device_id, card.label))


def card_text(host: GpuHost, card: WholeCard) -> str:
    """A card with its address, its kind, and the VM that holds it."""
    held = f"held by {card.vm}{' *' if card.member else ''}" if card.vm else "not offered" if host.cards_unknown else "free"
    return f"{card.pci_id}: {card.model}, {kind_of(card)}, {held}"


def matches(card: WholeCard, device: PciDevice) -> bool:
    """Whether a card, free or not, is one that a device requests."""
    if isinstance(device, FixedDevice):
        return card.pci_id.lower() == device.pci_id.lower()
    return (
        isinstance(device, DynamicDevice)
        and (card.vendor_id, card.device_id) == (device.vendor_id, device.device_id)
        and device.label in ("", card.label)
    )


def holders(site: GpuSite) -> frozenset[str]:
    """The names of all VMs that hold or keep whole cards."""
    holding = {card.vm for host in site.hosts for card in host.cards if card.vm}
    return frozenset(holding | {claim.vm for host in site.hosts for claim in host.claims})


def counted_claims(host: GpuHost, *, reservations: bool) -> tuple[CardClaim, ...]:
    """A host's card claims; those of powered-off VMs only where reservations count."""
    return tuple(claim for claim in host.claims if reservations or not claim.off)


def cards_fit(host: GpuHost, devices: Sequence[PciDevice], *, reservations: bool = False) -> bool:
    """Whether each of some devices can have a card of its own that is guaranteed to be free. Exact.

    Args:
        host: the host.
        devices: the whole cards that all servers of a batch ask for.
        reservations: whether powered-off VMs keep their cards.
    """
    if not devices:
        return True
    if host.cards_unknown or len(devices) > len(host.cards):
        return False
    claims = [claim.device for claim in counted_claims(host, reservations=reservations)]
    return _maximum_matching(host, [*claims, *devices]) == _maximum_matching(host, claims) + len(devices)


def _maximum_matching(host: GpuHost, devices: Iterable[PciDevice]) -> int:
    """How many of some devices get a free card at most; greedy, exact on a laminar family."""
    free = [card for card in host.cards if not card.vm]
    count = 0
    for device in sorted(devices, key=_most_constrained_first):
        card = next((one for one in free if matches(one, device)), None)
        if card is not None:
            free.remove(card)
            count += 1
    return count


def _most_constrained_first(device: PciDevice) -> int:
    return 0 if isinstance(device, FixedDevice) else 1 if getattr(device, "label", "") else 2


def cards_text(host: GpuHost, devices: Sequence[PciDevice], *, reservations: bool) -> str:
    """In words, how many cards a host has of each kind that one server requests, and the VMs that hold them."""
    if host.cards_unknown:
        return f"{host.cards_unknown}; its cards are not offered"
    claims = counted_claims(host, reservations=reservations)
    parts = []
    for device in dict.fromkeys(devices):
        own = [card for card in host.cards if matches(card, device)]
        own_claims = [claim for claim in claims if any(matches(card, claim.device) for card in own)]
        free = max(0, sum(not card.vm for card in own) - len(own_claims))
        held = list(dict.fromkeys([*(card.vm for card in own if card.vm), *map(_claimant, own_claims)]))
        more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
        by = f", held by {', '.join(held[:SHOWN])}{more}" if held else ""
        parts.append(f"{free} of {len(own)} cards {device} free{by}" if own else f"no card {device} in passthrough mode")
    return " and ".join(parts)


def _claimant(claim: CardClaim) -> str:
    return f"{claim.vm} (powered off)" if claim.off else claim.vm
