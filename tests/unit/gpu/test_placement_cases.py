"""Placement on small sites, sentence by sentence; test_placement.py has the random ones."""

from __future__ import annotations

import pytest
from sites import PROFILES, gpu_of, occupied, seeded

from fleet.errors import UsageError
from fleet.gpu.placement import headroom
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, ServerRequest, equal_servers
from fleet.gpu.placement.worst_case import worst_case
from fleet.gpu.site import GpuHost, GpuSite, Occupant


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
    plan = place(
        a_site([()]), Request((ServerRequest("three", ("grid_a100-3-20c",)), ServerRequest("four", ("grid_a100-4-20c",))))
    )
    assert [(p.server, p.turn) for p in plan.placements] == [("four", 0), ("three", 1)]
    assert plan.fits


def test_spread_evens_out_over_hosts_and_counts_the_fleets_own():
    site = a_site([()], [()], [()])
    servers = equal_servers(["a", "b", "c"], ["grid_a100-1-5c"])
    assert {host for _, host, _ in where(place(site, Request(servers, policy="spread")))} == {"esx-0", "esx-1", "esx-2"}
    assert {host for _, host, _ in where(place(site, Request(servers)))} == {"esx-0"}
    crowded = a_site([(("a100-1-5c", None), ("a100-1-5c", None))], [()])
    present = frozenset(o.vm for gpu in crowded.hosts[0].gpus for o in gpu.occupants)
    plan = place(crowded, Request(servers[:2], policy="spread", same_fleet=present))
    assert {host for _, host, _ in where(plan)} == {"esx-1"}


def test_one_server_for_each_host_and_what_that_costs_is_named():
    site = a_site([(), ()], [()])
    plan = place(site, Request(equal_servers(["a", "b", "c"], ["grid_a100-1-5c"]), anti_affinity="host"))
    assert sorted(host for _, host, _ in where(plan)) == ["esx-0", "esx-1"]
    assert plan.unplaced == ("c",)
    assert any("one server of the fleet" in reason and "more fit" in reason for reason in plan.reasons)


def test_several_vgpus_need_a_limit_from_vcenter():
    site = a_site([(), ()])
    two = equal_servers(["a"], ["grid_a100-7-40c"] * 2)
    assert "was not read from vCenter" in " ".join(place(site, Request(two)).reasons)
    assert place(a_site([(), ()], max_vgpus_per_vm=8), Request(two)).fits
    refused = place(a_site([(), ()], max_vgpus_per_vm=1), Request(two))
    assert not refused.fits
    assert any("hold 1 vGPUs" in reason for reason in refused.reasons)


def test_cpu_memory_and_datastore_limit_a_host():
    servers = equal_servers([f"s{i}" for i in range(7)], ["grid_a100-1-5c"], cpu=4, memory_gb=16)
    too_many = place(a_site([()], [()], cpus=2), Request(servers))
    assert too_many.reasons[1:] == ("hosts with fewer logical CPUs than the server has virtual ones: esx-0, esx-1",)
    assert place(a_site([()], cpus=4), Request(servers)).fits, "of 4 each on 4: CPU is given out more than once"
    by_memory = place(a_site([()], memory_free_gb=64), Request(servers))
    assert len(by_memory.placements) == 4
    assert any("64 GiB of memory" in reason and "3 more fit" in reason for reason in by_memory.reasons)
    elsewhere = place(a_site([()], datastores=frozenset({"ssd"})), Request(servers, datastore="san"))
    assert any("san is not attached" in reason and "7 more fit" in reason for reason in elsewhere.reasons)


def test_a_full_site_says_what_the_rest_needs():
    plan = place(a_site([()]), Request(equal_servers([f"s{i}" for i in range(16)], ["grid_a100-1-5c"])))
    needs = "9 more need at least 2 more empty GPUs that serve a100-1-5c, or VMs off the GPUs that do"
    assert plan.reasons == ("16 requested, 7 guaranteed to fit, 7 at best", needs)
    together = place(a_site([()], max_vgpus_per_vm=16), Request(equal_servers(["a"], ["grid_a100-1-5c"] * 8)))
    assert together.reasons[1:] == ("no host has room for the 8 vGPUs of one server together",)


def test_gpus_of_their_own_are_named_where_they_cost_room():
    three = equal_servers(["a", "b", "c"], ["grid_a100-2-10c"])
    pinned = place(a_site([(), ()]), Request(three, anti_affinity="gpu", pinned=True))
    assert pinned.reasons[1:] == ("no two servers on one GPU (anti-affinity gpu); otherwise 4 more fit",)
    by_manager = place(a_site([(), ()]), Request(three, anti_affinity="gpu"))
    assert "pins guarantee more of that" in by_manager.reasons[2]


def test_a_host_that_offers_what_none_of_its_cards_has_is_named():
    host = GpuHost("esx-0", profiles=("grid_a100d-80c",), gpus=(gpu_of("esx-0", 0, "a100", "sameSize", ()),))
    plan = place(GpuSite((host,)), Request(equal_servers(["a"], ["grid_a100d-80c"])))
    assert plan.reasons[1:] == ("a100d-80c: offered, but NVIDIA A100-PCIE-40GB is no A100D (esx-0)",)


def test_gpus_of_a_host_that_does_not_offer_the_profile_are_no_second_reason():
    timed = GpuHost("esx-0", profiles=("grid_a100-10c",), gpus=(gpu_of("esx-0", 0, "a100", "sameSize", ()),))
    plan = place(GpuSite((timed,)), Request(equal_servers(["a"], ["grid_a100-7-40c"])))
    assert plan.reasons[1:] == ("host esx-0 does not offer a100-7-40c",)


def test_a_number_to_keep_beyond_any_host_is_answered(monkeypatch):
    bounds = []
    monkeypatch.setattr(headroom, "worst_case", lambda *how, **more: bounds.append(how[2]) or worst_case(*how, **more))
    plan = place(a_site([(), ()]), Request(equal_servers(["a"], ["grid_a100-1-5c"]), keep="grid_a100-7-40c", keep_count=5_000))
    assert plan.reasons[1] == "room for 5000 x grid_a100-7-40c is to be kept, and only 2 of them would be guaranteed: keep less"
    assert max(map(max, bounds)) <= 2 * 32, "its cost grows with its bounds"


def test_the_numbers_go_beyond_the_request():
    plan = place(a_site([(("a100-1-5c", None),), ()]), Request(equal_servers(["a"], ["grid_a100-4-20c"])))
    assert (plan.guaranteed, plan.possible) == (1, 2)


def test_a_refusal_says_how_many_fit_and_what_would_help():
    site = a_site([(("a100-1-5c", None),)], [()])
    closed = GpuSite((site.hosts[0], GpuHost("esx-1", profiles=PROFILES, maintenance=True, gpus=site.hosts[1].gpus)))
    plan = place(closed, Request(equal_servers(["a", "b"], ["grid_a100-4-20c"])))
    assert plan.reasons == (
        "2 requested, 0 guaranteed to fit, 1 at best",
        "--allow-possible also uses room that depends on slices which vCenter does not report",
        "host esx-1 is in maintenance mode; otherwise 1 more fit",
        "a100-4-20c: depends on the slices of vm-0-0, which vCenter does not report (esx-0 0000:00:00.0)",
        "without vm-0-0 on esx-0 a100-4-20c would fit there",
    )


def test_a_request_that_cannot_be_placed_is_refused():
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
    present = Occupant("old", "grid_a100-1-5c")
    gpus = tuple(gpu_of("esx", i, "a100", "multiInstanceGpu", ()) for i in range(3))
    gpus = (type(gpus[0])(gpus[0].host, gpus[0].pci_id, gpus[0].model, 40, gpus[0].mode, (present,)), *gpus[1:])
    site = GpuSite((GpuHost("esx", profiles=PROFILES, gpus=gpus),))
    servers = equal_servers(["a", "b", "c"], ["grid_a100-1-5c"])
    plan = place(site, Request(servers, anti_affinity="gpu", pinned=True, same_fleet=frozenset({"old"})))
    assert [gpu for _, _, gpu in where(plan)] == ["0000:01:00.0", "0000:02:00.0"]
    assert not place(site, Request(servers, anti_affinity="gpu", same_fleet=frozenset({"old"}))).placements


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
    ids=["performance", "consolidation", "pinned", "not reported"],
)
def test_same_size_gpus_are_expected_as_the_host_assigns_them(assignment, pinned, gpus):
    """One 10c stands on the second GPU: the emptiest is next, or the fullest; a pin chooses for itself."""
    one = [gpu_of("esx-0", 0, "a100", "sameSize", ()), gpu_of("esx-0", 1, "a100", "sameSize", (("a100-10c", None),))]
    host = GpuHost("esx-0", profiles=PROFILES, assignment=assignment, gpus=tuple(one))
    plan = place(GpuSite((host,)), Request(equal_servers(("s0", "s1", "s2"), ("grid_a100-10c",)), pinned=pinned))
    assert [placement.gpus[0].pci_id for placement in plan.placements] == [f"0000:0{gpu}:00.0" for gpu in gpus]
    assert all(placement.certain for placement in plan.placements)


def test_the_vm_in_the_way_is_named():
    one, four = ("a100-1-5c", None), ("a100-4-20c", None)
    request = Request(equal_servers(["a"], ["grid_a100-7-40c"]))
    assert place(a_site([(one,)]), request).reasons[-1] == "without vm-0-0 on esx-0 a100-7-40c would fit there"
    either = place(a_site([(one,)], [(one,)]), request).reasons[-1]
    assert either == "without vm-0-0 on esx-0 or vm-0-0 on esx-1 a100-7-40c would fit there"
    many = place(a_site(*([(one,)] for _ in range(5))), request).reasons[-1]
    assert many.startswith("without vm-0-0 on esx-0, vm-0-0 on esx-1, vm-0-0 on esx-2 and 2 more a100-7-40c")
    for held in [(one, one), (("a100-7-40c", None),)]:
        assert not any("without" in reason for reason in place(a_site([held]), request).reasons), held
    three = Request(equal_servers(["a"], ["grid_a100-4-20c"]))
    assert place(a_site([(one, four)]), three).reasons[-1].startswith("a100-4-20c"), "a 4g for a 4g is no advice"
    present = Request(request.servers, same_fleet=frozenset({"vm-0-0"}))
    assert not any("without" in reason for reason in place(a_site([(one,)]), present).reasons), "nor the fleet's own"
    closed = place(a_site([(one,)], maintenance=True), request)
    assert not any("without" in reason for reason in closed.reasons)


def test_a_vm_that_locks_a_gpu_to_its_size_is_named():
    site = GpuSite((GpuHost("esx-0", profiles=PROFILES, gpus=(gpu_of("esx-0", 0, "a100", "sameSize", (("a100-20c", None),)),)),))
    plan = place(site, Request(equal_servers(["a"], ["grid_a100-10c"])))
    assert plan.reasons[-1] == "without vm-0-0 on esx-0 4 x a100-10c would fit there"
