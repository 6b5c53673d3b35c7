from __future__ import annotations

from itertools import product

import pytest
from brute_force import MIG, TIMED, Host, arrangements, stranded_gb, ways
from hypothesis import given
from sites import PROFILES, examples, gpu_of, host_of, seeded, seeds

from fleet.gpu.catalogue.profiles import profile_table, stem_of
from fleet.gpu.placement import host_allocation
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, ServerRequest
from fleet.gpu.site import GpuHost, GpuSite

MODES = ("multiInstanceGpu", "multiInstanceGpu", "sameSize", "mixedSize")


def random_site(rng, hosts, gpus):
    pairs = [host_of(rng, f"esx-{n}", rng.randint(1, gpus), modes=MODES, cards=("a100",)) for n in range(rng.randint(1, hosts))]
    return GpuSite(tuple(host for host, _ in pairs)), [slow for _, slow in pairs]


def random_servers(rng, classes, count, vgpus):
    pool = [stem for stem in (*MIG, *TIMED) if stem.startswith("a100")]
    servers = {
        tuple(sorted((rng.choice(pool) for _ in range(rng.randint(1, vgpus))), key=lambda s: profile_table()[s].size_order))
        for _ in range(classes)
    }
    servers = sorted(servers, key=lambda server: [profile_table()[stem].size_order for stem in server])
    demand = tuple(rng.randint(1, count) for _ in servers)
    requested = tuple(
        ServerRequest(f"s{index}-{n}", tuple(f"grid_{stem}" for stem in server))
        for index, (server, many) in enumerate(zip(servers, demand, strict=True))
        for n in range(many)
    )
    return tuple(servers), demand, requested


def best(slow_hosts, servers, demand, *, certain=True):
    """The most servers, and every way (a batch for each host) to place as many."""
    most, all_ways = -1, []
    for batches in product(*(host.batches(servers, demand, certain=certain) for host in slow_hosts)):
        total = [sum(column) for column in zip(*batches, strict=True)]
        if all(a <= b for a, b in zip(total, demand, strict=True)) and sum(total) >= most:
            all_ways = [*all_ways, batches] if sum(total) == most else [batches]
            most = sum(total)
    return most, all_ways


def cost(gpu, held, added):
    """(stranded GB, GPUs opened) that profiles bring to one GPU; None when no order of them is certain."""
    slow = Host((gpu,), (held,))
    stems = tuple(dict.fromkeys(added))
    batch = tuple(added.count(stem) for stem in stems)
    if batch not in slow.batches(tuple((stem,) for stem in stems), batch):
        return None
    before = arrangements(gpu, held)
    now = before
    for profile in added:
        now = frozenset(new for one in now for new in ways(gpu, one, profile))
    return stranded_gb(gpu, now) - stranded_gb(gpu, before), int(not held and bool(added))


def cheapest(slow_hosts, held, servers, all_ways):
    """The least (stranded, opened) over all ways and all splits."""
    costs = []
    for batches in all_ways:
        total = (0.0, 0)
        for slow, own, batch in zip(slow_hosts, held, batches, strict=True):
            vgpus = [stem for index, count in enumerate(batch) for stem in servers[index] * count]
            splits = []
            for where in product(range(len(slow.gpus)), repeat=len(vgpus)):
                parts = [
                    cost(gpu, own[i], [v for v, w in zip(vgpus, where, strict=True) if w == i]) for i, gpu in enumerate(slow.gpus)
                ]
                if None not in parts:
                    splits.append((sum(p[0] for p in parts), sum(p[1] for p in parts)))
            total = (total[0] + min(splits)[0], total[1] + min(splits)[1])
        costs.append(total)
    return min(costs)


def cost_of(plan, site, slow_hosts, held):
    total = (0.0, 0)
    for host, slow, own in zip(site.hosts, slow_hosts, held, strict=True):
        for index, gpu in enumerate(host.gpus):
            added = [stem_of(g.profile) for p in plan.placements if p.host == host.name for g in p.gpus if g.pci_id == gpu.pci_id]
            part = cost(slow.gpus[index], own[index], added)
            assert part is not None, "the expected GPU is not guaranteed to take what is planned on it"
            total = (total[0] + part[0], total[1] + part[1])
    return total


def held_of(host):
    held = [[(stem_of(o.profile), o.start) for o in gpu.occupants] for gpu in host.gpus]
    return [tuple(sorted(one, key=lambda o: (o[1] is None, o))) for one in held]


@examples(500)
@given(seeds)
def test_the_number_and_the_stranding_are_those_of_brute_force(rng):
    site, slow = random_site(rng, 2, 2)
    servers, demand, requested = random_servers(rng, rng.randint(1, 2), 2, 1)
    plan = place(site, Request(requested))
    most, all_ways = best(slow, servers, demand)
    assert len(plan.placements) == most
    assert plan.bound == 1
    held = [held_of(host) for host in site.hosts]
    assert cost_of(plan, site, slow, held) == cheapest(slow, held, servers, all_ways)


@examples(700)
@given(seeds)
def test_the_number_is_the_most_also_of_servers_with_several_vgpus(rng):
    site, slow = random_site(rng, 3, 2)
    servers, demand, requested = random_servers(rng, rng.randint(1, 2), 2, 3)
    most, _ = best(slow, servers, demand)
    plan = place(site, Request(requested))
    assert len(plan.placements) == most
    assert plan.at_most >= most
    at_best = place(site, Request(requested, allow_possible=True))
    assert sum(p.certain for p in at_best.placements) == most
    if len(servers) == 1:
        assert len(at_best.placements) == best(slow, servers, demand, certain=False)[0]
        assert at_best.possible >= at_best.guaranteed >= most


@examples(150)
@given(seeds)
def test_eight_requests_get_what_brute_force_finds(rng):
    """Eight servers of two classes on up to three GPUs, on one host or several."""
    sizes = rng.choice([(2,), (1, 1), (1, 1, 1), (2, 1)])
    pairs = [host_of(rng, f"esx-{n}", count, modes=MODES, cards=("a100",)) for n, count in enumerate(sizes)]
    site, slow = GpuSite(tuple(host for host, _ in pairs)), [hard for _, hard in pairs]
    pool = rng.sample([stem for stem in (*MIG, *TIMED) if stem.startswith("a100")], 2)
    servers = tuple((stem,) for stem in sorted(pool, key=lambda stem: profile_table()[stem].size_order))
    first = rng.randint(1, 7)
    demand = (first, 8 - first)
    requested = tuple(
        ServerRequest(f"s{index}-{n}", (f"grid_{server[0]}",))
        for index, server in enumerate(servers)
        for n in range(demand[index])
    )
    assert len(place(site, Request(requested)).placements) == best(slow, servers, demand)[0]


@examples(500)
@given(seeds)
def test_the_planned_order_on_each_host_survives_any_manager(rng):
    site, slow = random_site(rng, 2, 2)
    _, _, requested = random_servers(rng, 3, 2, 2)
    plan = place(site, Request(requested))
    by_name = {server.name: server for server in requested}
    for host, hard in zip(site.hosts, slow, strict=True):
        own = sorted((p for p in plan.placements if p.host == host.name), key=lambda p: p.turn)
        assert [p.turn for p in own] == list(range(len(own)))
        order = [tuple(stem_of(gpu.profile) for gpu in p.gpus) for p in own]
        assert [sorted(o) for o in order] == [sorted(map(stem_of, by_name[p.server].profiles)) for p in own]
        assert hard.after(order)


@examples(300)
@given(seeds)
def test_large_sites_of_one_class_get_the_most_and_strand_at_most_one_gpu_more(rng):
    site, _ = random_site(rng, 4, 4)
    _, _, requested = random_servers(rng, 1, 30, 1)
    exact = place(site, Request(requested))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_allocation, "MAX_STEPS", 0)
        fast = place(site, Request(requested))
        spread = place(site, Request(requested, policy="spread"))
    assert len(fast.placements) == len(exact.placements) == len(spread.placements)
    assert stranding(fast, site) <= stranding(exact, site) + 40  # the memory of one GPU
    counts = [sum(p.host == host.name for p in spread.placements) for host in site.hosts]
    best_spread = place(site, Request(requested, policy="spread"))
    assert sorted(counts) == sorted(sum(p.host == host.name for p in best_spread.placements) for host in site.hosts)


@examples(200)
@given(seeds)
def test_large_sites_get_the_most_also_with_several_vgpus_a_server_and_room_to_keep(rng):
    site, _ = random_site(rng, 4, 2)
    _, _, requested = random_servers(rng, 1, 8, 3)
    keep = rng.choice(["", "grid_a100-3-20c", "grid_a100-7-40c", "grid_a100-20c"])
    request = Request(
        requested, keep=keep, keep_count=rng.randint(1, 3), anti_affinity=rng.choice(["none", "none", "host", "gpu"])
    )
    exact = place(site, request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_allocation, "MAX_STEPS", 0)
        fast = place(site, request)
    assert len(fast.placements) == len(exact.placements)
    assert {p.server for p in fast.placements} <= {server.name for server in requested}


@examples(300)
@given(seeds)
def test_large_sites_of_several_classes_keep_the_bound(rng):
    site, _ = random_site(rng, 4, 2)
    _, _, requested = random_servers(rng, 3, 3, 1)
    most = len(place(site, Request(requested)).placements)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_allocation, "MAX_STEPS", 0)
        fast = place(site, Request(requested))
    assert len(fast.placements) >= fast.bound * most
    assert fast.at_most >= most


def stranding(plan, site):
    total = 0.0
    for host in site.hosts:
        for gpu, held in zip(host.gpus, held_of(host), strict=True):
            own = ("a100", gpu.mode)
            added = [stem_of(g.profile) for p in plan.placements if p.host == host.name for g in p.gpus if g.pci_id == gpu.pci_id]
            before = now = arrangements(own, held)
            for profile in added:
                now = frozenset(new for one in now for new in ways(own, one, profile))
            total += stranded_gb(own, now) - stranded_gb(own, before)
    return total


def test_four_gpus_and_eight_requests_are_always_within_the_exact_search():
    """The worst case: one host, eight classes that all fit everywhere."""
    rng = seeded(1)
    stems = [stem for stem in (*MIG, *TIMED) if stem.startswith("a100")]
    for split in ((4,), (2, 2), (1, 1, 1, 1)):
        hosts, number = [], 0
        for name, count in enumerate(split):
            gpus = tuple(gpu_of(f"esx-{name}", i, "a100", rng.choice(MODES), ()) for i in range(count))
            number += count
            hosts.append(GpuHost(f"esx-{name}", profiles=PROFILES, gpus=gpus))
        for _ in range(3):
            profiles = rng.sample(stems, 8)
            plan = place(GpuSite(tuple(hosts)), Request(tuple(ServerRequest(stem, (f"grid_{stem}",)) for stem in profiles)))
            assert plan.bound == 1
            assert plan.at_most >= len(plan.placements)


@examples(300)
@given(seeds)
def test_room_that_is_kept_is_there_whatever_the_manager_did(rng):
    site, slow = random_site(rng, 2, 2)
    _, _, requested = random_servers(rng, 1, 3, 1)
    keep = rng.choice(["grid_a100-3-20c", "grid_a100-4-20c", "grid_a100-7-40c", "grid_a100-20c"])
    plan = place(site, Request(requested, keep=keep))
    rooms = []
    for host, hard in zip(site.hosts, slow, strict=True):
        own = sorted((p for p in plan.placements if p.host == host.name), key=lambda p: p.turn)
        order = [tuple(stem_of(gpu.profile) for gpu in p.gpus) for p in own]
        rooms.append(hard.after([*order, (stem_of(keep),)]) is not None)
    assert any(rooms) or not plan.placements
