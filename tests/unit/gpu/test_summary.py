"""The map in numbers says what placement says, and names what is closed, not offered, or stranded."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from sites import PROFILES, examples, gpu_of, host_of, seeds

from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.devices import DynamicDevice
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, equal_servers
from fleet.gpu.report.summary import summary, summary_json, summary_lines
from fleet.gpu.site import CardClaim, GpuHost, GpuSite, Occupant, WholeCard

MIG, SAME = "multiInstanceGpu", "sameSize"


def summed(*hosts):
    return summary(capacity(GpuSite(hosts), reservations=True))


@given(seeds)
@examples(150)
def test_the_sums_are_those_of_placement(rng):
    """Of each profile alone, on random hosts of two clusters, some closed, some with a number reported by vSphere 9."""
    hosts = []
    for number in range(4):
        host, _ = host_of(rng, f"esx-{number}", rng.randint(1, 3), modes=(MIG, SAME, "mixedSize"), cards=("a100", "a30"))
        reported = ((rng.choice(PROFILES), rng.randint(0, 3)),) if rng.random() < 0.3 else ()
        hosts.append(replace(host, cluster=rng.choice("ab"), maintenance=rng.random() < 0.2, remaining=reported))
    clusters = summed(*hosts)
    assert sum(one.hosts for one in clusters) == len(hosts)
    for one in clusters:
        own = GpuSite(tuple(host for host in hosts if host.cluster == one.name))
        named = {each.profile: (each.guaranteed, each.possible) for each in one.profiles}
        for profile in PROFILES:
            plan = place(own, Request(equal_servers(["x"], [profile]), reservations=True))
            assert named.get(profile, (0, 0)) == (plan.guaranteed, plan.possible), (one.name, profile)


def host(name, *gpus, **more):
    cards = tuple(gpu_of(name, index, "a100", mode, held) for index, (mode, held) in enumerate(gpus))
    return GpuHost(name, profiles=("grid_a100-1-5c", "grid_a100-7-40c", "grid_a100-10c"), gpus=cards, **more)


def test_the_table_of_a_cluster():
    seven = (("a100-1-5c", None),) * 7
    hidden = host("esx-3", (MIG, ()), cluster="gpu")
    hidden = replace(hidden, gpus=(replace(hidden.gpus[0], occupants=(Occupant("theirs", None),)),))
    found = summed(
        host("esx-1", (MIG, seven), (MIG, ()), cluster="gpu"),
        host("esx-2", (MIG, ()), cluster="gpu", maintenance=True),
        hidden,
        host("esx-4", (SAME, ())),
    )
    assert summary_lines(found, ("grid_z9-1c",)) == [
        "cluster gpu: 3 hosts (1 closed), 4 GPUs (1 not offered), 5 GB stranded",
        "  profile     guaranteed  possible  GB stranded",
        "  a100-1-5c            7         7            5",
        "  a100-7-40c           1         1            5",
        "  a100-10c             0         0            0",
        "",
        "hosts outside clusters: 1 host, 1 GPU, 0 GB stranded",
        "  profile   guaranteed  possible  GB stranded",
        "  a100-10c           4         4            0",
        "",
        "profiles that the catalogue does not have: grid_z9-1c",
    ]
    assert summary_json(found)["clusters"][0] == {
        "name": "gpu",
        "hosts": 3,
        "closed": 1,
        "gpus": 4,
        "unknown": 1,
        "stranded_gb": 5.0,
        "cards": 0,
        "cards_free": 0,
        "free": {
            "grid_a100-1-5c": {"guaranteed": 7, "possible": 7, "stranded_gb": 5.0},
            "grid_a100-7-40c": {"guaranteed": 1, "possible": 1, "stranded_gb": 5.0},
            "grid_a100-10c": {"guaranteed": 0, "possible": 0, "stranded_gb": 0},
        },
    }


def test_whole_cards_are_counted():
    device = DynamicDevice(0x10DE, 0x20F1, "")
    card = WholeCard("0000:3b:00.0", "A100", 0x10DE, 0x20F1)
    cards = (card, replace(card, pci_id="0000:3c:00.0", vm="theirs"), replace(card, pci_id="0000:3d:00.0"))
    network = WholeCard("0000:af:00.0", "ConnectX-7", 0x15B3, 0x1021, gpu=False)
    open_ = GpuHost("esx-1", cluster="cards", cards=(*cards, network), claims=(CardClaim("theirs-too", device),))
    blind = GpuHost("esx-2", cluster="cards", cards=cards, cards_unknown="secret cannot be read")
    lines = summary_lines(summed(open_, blind, GpuHost("esx-3", cluster="cards", cards=cards, maintenance=True)))
    assert lines == ["cluster cards: 3 hosts (1 closed), 0 GPUs, 0 GB stranded, 1 of 9 whole cards free"]


def test_nothing_to_sum():
    assert summary_lines(summed(GpuHost("esx"))) == ["no host has a GPU that this account can see"]
