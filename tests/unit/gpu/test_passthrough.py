"""Whole cards: counted against brute force, chosen, refused with reasons, drawn."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from sites import examples, seeds

from fleet.gpu.capacity.passthrough import cards_fit
from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.devices import DynamicDevice, FixedDevice
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, ServerRequest
from fleet.gpu.report.as_json import map_json
from fleet.gpu.report.map_text import map_lines
from fleet.gpu.site import CardClaim, GpuHost, GpuSite, WholeCard

A100, NIC = (0x10DE, 0x20F1), (0x15B3, 0x1017)
ANY, PT = DynamicDevice(*A100), DynamicDevice(*A100, "pt")
FIRST = FixedDevice("0000:01:00.0")


def card(number, *, kind=A100, label="pt", vm="", **more):
    return WholeCard(f"0000:{number:02x}:00.0", "A100", *kind, label, vm=vm, **more)


def servers(count, *devices):
    return tuple(ServerRequest(f"s{number}", (), devices=devices) for number in range(count))


def fits_somehow(cards, claims, devices):
    """Whether cards can be handed out in some way: every device gets one, and as many claims as could get one alone."""

    def asks(device, one):
        if isinstance(device, FixedDevice):
            return device.pci_id == one.pci_id
        return (device.vendor_id, device.device_id) == (one.vendor_id, one.device_id) and device.label in ("", one.label)

    free = [one for one in cards if not one.vm]
    nothing = [None] * (len(claims) + len(devices))
    ways = [
        (sum(one is not None for one in way[: len(claims)]), all(way[len(claims) : len(claims) + len(devices)]))
        for way in set(permutations([*free, *nothing], len(claims) + len(devices)))
        if all(one is None or asks(device, one) for device, one in zip([*claims, *devices], way, strict=True))
    ]
    return max((kept for kept, served in ways if served), default=-1) == max(kept for kept, _ in ways)


@given(seeds)
@examples(300)
def test_the_count_is_that_of_brute_force(rng):
    cards = tuple(
        card(number, kind=rng.choice((A100, A100, NIC)), label=rng.choice(("", "pt")), vm=rng.choice(("", "", "", "vm")))
        for number in range(rng.randint(0, 4))
    )
    requests = (ANY, ANY, PT, PT, FIRST, DynamicDevice(*NIC), FixedDevice("0000:02:00.0"))
    claims = [rng.choice(requests) for _ in range(rng.randint(0, 2))]
    devices = [rng.choice(requests) for _ in range(rng.randint(1, 3))]
    host = GpuHost("esx", cards=cards, claims=tuple(CardClaim("x", device) for device in claims))
    assert cards_fit(host, devices) == fits_somehow(cards, claims, devices)


def test_hosts_are_chosen_by_their_free_cards():
    site = GpuSite(
        (
            GpuHost("full", cards=(card(1, vm="x"),)),
            GpuHost("two", cards=(card(1), card(2), card(3, vm="y"))),
            GpuHost("one", cards=(card(1),)),
        )
    )
    packed = place(site, Request(servers(3, PT)))
    assert [one.host for one in packed.placements] == ["two", "two", "one"]
    assert [one.host for one in place(site, Request(servers(2, PT), policy="spread")).placements] == ["two", "one"]
    assert [one.host for one in place(site, Request(servers(1, PT, PT))).placements] == ["two"]
    apart = place(site, Request(servers(3, PT), anti_affinity="host", same_fleet=frozenset({"y"})))
    assert [one.host for one in apart.placements] == ["one"]


def test_a_refusal_says_what_each_host_has():
    off = CardClaim("old", PT, off=True)
    site = GpuSite(
        (
            GpuHost("full", cards=(card(1, vm="x"),)),
            GpuHost("rests", cards=(card(1),), claims=(off,)),
            GpuHost("blind", cards=(card(1),), cards_unknown="holders of its cards unknown"),
            GpuHost("other", cards=(card(1, kind=NIC),)),
        )
    )
    refused = place(site, Request(servers(1, PT), reservations=True))
    assert refused.reasons == (
        "1 requested, 0 guaranteed to fit, 0 at best",
        (
            "full: 0 of 1 cards 10de:20f1 (pt) free, held by x; "
            "rests: 0 of 1 cards 10de:20f1 (pt) free, held by old (powered off); "
            "blind: holders of its cards unknown; its cards are not offered; and 1 more"
        ),
    )
    assert [one.host for one in place(site, Request(servers(1, PT))).placements] == ["rests"]


def test_memory_closes_a_host_with_cards_too():
    site = GpuSite((GpuHost("small", cards=(card(1), card(2)), memory_free_gb=100),))
    heavy = tuple(ServerRequest(name, (), memory_gb=64, devices=(PT,)) for name in "ab")
    plan = place(site, Request(heavy))
    assert (len(plan.placements), plan.unplaced) == (1, ("b",))
    assert any("100 GiB of memory to reserve left" in reason for reason in plan.reasons)


def test_the_map_draws_cards_with_their_holders_and_leaves_network_cards_out():
    host = GpuHost(
        "esx",
        cards=(card(1, vm="mine", member=True), card(2), card(3, kind=NIC, gpu=False)),
        claims=(CardClaim("old", PT, off=True, member=True), CardClaim("some", ANY)),
    )
    text = "\n".join(map_lines(capacity(GpuSite((host,)))))
    assert "0000:01:00.0  A100  passthrough, 10de:20f1 (pt)\n    [    mine *     ]" in text
    assert "0000:02:00.0  A100  passthrough, 10de:20f1 (pt)\n    [     free      ]" in text
    assert "some holds a card 10de:20f1, which one is not known" in text
    assert "0000:03:00.0" not in text
    assert "old *" not in text
    assert "old * powered off, keeps a card 10de:20f1 (pt)" in "\n".join(map_lines(capacity(GpuSite((host,)), reservations=True)))
    (shown,) = map_json(capacity(GpuSite((host,))))["hosts"]
    assert [(one["pci_id"], one["vm"], one["free"]) for one in shown["cards"]] == [
        ("0000:01:00.0", {"name": "mine", "member": True}, False),
        ("0000:02:00.0", None, True),
    ]
    only_nics = GpuSite((GpuHost("esx", cards=(card(3, kind=NIC, gpu=False),)),))
    assert map_lines(capacity(only_nics)) == ["no host has a GPU that this account can see"]
