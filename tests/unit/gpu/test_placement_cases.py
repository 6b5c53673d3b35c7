"""Placement on small sites, sentence by sentence; test_placement.py has the random ones."""

from __future__ import annotations

import pytest
from sites import PROFILES, gpu_of, occupied, seeded

from fleet.errors import UsageError
from fleet.gpu.model import GpuHost, GpuSite, Occupant
from fleet.gpu.placement import place
from fleet.gpu.request import Request, Server, equal_servers


def a_site(*hosts, **more):
    return GpuSite(
        tuple(
            GpuHost(
                f"esx-{n}",
                profiles=PROFILES,
                gpus=tuple(gpu_of(f"esx-{n}", i, "a100", "multiInstanceGpu", h) for i, h in enumerate(gpus)),
                **more,
            )
            for n, gpus in enumerate(hosts)
        )
    )


def where(plan):
    return [(p.server, p.host, *(gpu.pci_id for gpu in p.gpus)) for p in plan.placements]


def test_seven_fill_one_gpu_and_the_eighth_goes_to_the_next():
    plan = place(a_site([(), ()]), Request(equal_servers([f"s{i}" for i in range(8)], ["grid_a100-1-5c"])))
    assert [gpu for _, _, gpu in where(plan)] == ["0000:00:00.0"] * 7 + ["0000:01:00.0"]


def test_a_4g_is_powered_on_before_a_3g_of_the_same_host():
    plan = place(a_site([()]), Request((Server("three", ("grid_a100-3-20c",)), Server("four", ("grid_a100-4-20c",)))))
    assert [(p.server, p.turn) for p in plan.placements] == [("four", 0), ("three", 1)]
    assert plan.fits


def test_spread_evens_out_over_hosts_and_counts_the_fleets_own():
    site = a_site([()], [()], [()])
    servers = equal_servers(["a", "b", "c"], ["grid_a100-1-5c"])
    assert {host for _, host, _ in where(place(site, Request(servers, policy="spread")))} == {"esx-0", "esx-1", "esx-2"}
    assert {host for _, host, _ in where(place(site, Request(servers)))} == {"esx-0"}
    crowded = a_site([(("a100-1-5c", None), ("a100-1-5c", None))], [()])
    kin = frozenset(o.vm for gpu in crowded.hosts[0].gpus for o in gpu.occupants)
    plan = place(crowded, Request(servers[:2], policy="spread", apart_from=kin))
    assert {host for _, host, _ in where(plan)} == {"esx-1"}


def test_one_server_for_each_host_and_what_that_costs_is_said():
    site = a_site([(), ()], [()])
    plan = place(site, Request(equal_servers(["a", "b", "c"], ["grid_a100-1-5c"]), anti_affinity="host"))
    assert sorted(host for _, host, _ in where(plan)) == ["esx-0", "esx-1"]
    assert plan.unplaced == ("c",)
    assert any("one server of the fleet" in reason and "more fit" in reason for reason in plan.reasons)


def test_several_vgpus_need_a_limit_that_vcenter_told():
    site = a_site([(), ()])
    two = equal_servers(["a"], ["grid_a100-7-40c"] * 2)
    assert "was not asked" in " ".join(place(site, Request(two)).reasons)
    assert place(a_site([(), ()], max_vgpus_per_vm=8), Request(two)).fits
    refused = place(a_site([(), ()], max_vgpus_per_vm=1), Request(two))
    assert not refused.fits
    assert any("hold 1 vGPUs" in reason for reason in refused.reasons)


def test_cpu_memory_and_datastore_limit_a_host():
    servers = equal_servers([f"s{i}" for i in range(7)], ["grid_a100-1-5c"], cpu=4, memory_gb=16)
    assert len(place(a_site([()], cpu_free=9), Request(servers)).placements) == 2
    by_memory = place(a_site([()], memory_free_gb=64), Request(servers))
    assert len(by_memory.placements) == 4
    assert any("64 GiB of memory" in reason and "3 more fit" in reason for reason in by_memory.reasons)
    elsewhere = place(a_site([()], datastores=frozenset({"ssd"})), Request(servers, datastore="san"))
    assert any("san is not attached" in reason and "7 more fit" in reason for reason in elsewhere.reasons)


def test_the_numbers_go_beyond_what_was_asked():
    plan = place(a_site([(("a100-1-5c", None),), ()]), Request(equal_servers(["a"], ["grid_a100-4-20c"])))
    assert (plan.guaranteed, plan.possible) == (1, 2)


def test_a_refusal_says_how_many_fit_and_what_would_help():
    site = a_site([(("a100-1-5c", None),)], [()])
    closed = GpuSite((site.hosts[0], GpuHost("esx-1", profiles=PROFILES, maintenance=True, gpus=site.hosts[1].gpus)))
    plan = place(closed, Request(equal_servers(["a", "b"], ["grid_a100-4-20c"])))
    assert plan.reasons == (
        "2 asked for, 0 certain to fit, 1 at best",
        "--allow-possible also uses room that depends on slices which vCenter does not tell",
        "host esx-1 is in maintenance mode; otherwise 1 more fit",
        "a100-4-20c: depends on the slices where vm-0-0 stand, which vCenter does not tell (esx-0 0000:00:00.0)",
    )


def test_only_hosts_that_are_asked_for_take_part():
    site = a_site([()], [()])
    servers = equal_servers(["a"], ["grid_a100-1-5c"])
    assert where(place(site, Request(servers, hosts=frozenset({"esx-1"}))))[0][1] == "esx-1"
    assert not place(site, Request(servers, clusters=frozenset({"other"}))).fits


def test_a_request_that_makes_no_sense_is_refused():
    site = a_site([()])
    with pytest.raises(UsageError, match="not in the catalogue"):
        place(site, Request(equal_servers(["a"], ["grid_x-1-5c"])))
    with pytest.raises(UsageError, match="names are unique"):
        place(site, Request(equal_servers(["a", "a"], ["grid_a100-1-5c"])))
    with pytest.raises(UsageError, match="no GPU profile"):
        place(site, Request(equal_servers(["a"], [])))


def test_profiles_are_attached_in_the_hosts_spelling():
    host = GpuHost("esx", profiles=("NVIDIA_A100-1-5C",), gpus=(gpu_of("esx", 0, "a100", "multiInstanceGpu", ()),))
    plan = place(GpuSite((host,)), Request(equal_servers(["a"], ["grid_a100-1-5c"])))
    assert plan.placements[0].gpus[0].profile == "NVIDIA_A100-1-5C"


def test_pins_give_each_server_a_gpu_of_its_own():
    kin = Occupant("old", "grid_a100-1-5c")
    gpus = tuple(gpu_of("esx", i, "a100", "multiInstanceGpu", ()) for i in range(3))
    gpus = (type(gpus[0])(gpus[0].host, gpus[0].pci_id, gpus[0].model, 40, gpus[0].mode, (kin,)), *gpus[1:])
    site = GpuSite((GpuHost("esx", profiles=PROFILES, gpus=gpus),))
    servers = equal_servers(["a", "b", "c"], ["grid_a100-1-5c"])
    plan = place(site, Request(servers, anti_affinity="gpu", pinned=True, apart_from=frozenset({"old"})))
    assert [gpu for _, _, gpu in where(plan)] == ["0000:01:00.0", "0000:02:00.0"]
    assert not place(site, Request(servers, anti_affinity="gpu", apart_from=frozenset({"old"}))).placements


def test_the_same_question_has_the_same_answer():
    rng = seeded(7)
    gpus = [
        tuple(gpu_of(f"esx-{h}", i, "a100", "multiInstanceGpu", occupied(rng, "a100", "multiInstanceGpu", 0.5)) for i in range(4))
        for h in range(9)
    ]
    site = GpuSite(tuple(GpuHost(f"esx-{h}", profiles=PROFILES, gpus=one) for h, one in enumerate(gpus)))
    request = Request(equal_servers([f"s{i}" for i in range(20)], ["grid_a100-2-10c"]))
    assert place(site, request) == place(site, request)


@pytest.mark.parametrize(
    ("assignment", "pinned", "gpus"),
    [
        ("performance", False, [0, 0, 1]),
        ("consolidation", False, [1, 1, 1]),
        ("performance", True, [1, 1, 1]),
        (None, False, [1, 1, 1]),
    ],
    ids=["performance", "consolidation", "pinned", "not told"],
)
def test_same_size_gpus_are_expected_as_the_host_assigns_them(assignment, pinned, gpus):
    """One 10c stands on the second GPU: the emptiest is next, or the fullest; a pin chooses for itself."""
    one = [gpu_of("esx-0", 0, "a100", "sameSize", ()), gpu_of("esx-0", 1, "a100", "sameSize", (("a100-10c", None),))]
    host = GpuHost("esx-0", profiles=PROFILES, assignment=assignment, gpus=tuple(one))
    plan = place(GpuSite((host,)), Request(equal_servers(("s0", "s1", "s2"), ("grid_a100-10c",)), pinned=pinned))
    assert [placement.gpus[0].pci_id for placement in plan.placements] == [f"0000:0{gpu}:00.0" for gpu in gpus]
    assert all(placement.certain for placement in plan.placements)
