from __future__ import annotations

from brute_force import MIG, TIMED, Host
from hypothesis import given
from sites import PROFILES, examples, gpu_of, host_of, seeded, seeds

from fleet.gpu.capacity.view import read_gpu
from fleet.gpu.catalogue.profiles import Catalogue, table
from fleet.gpu.placement.anti_affinity import apart
from fleet.gpu.placement.worst_case import Kinds, batches, order
from fleet.gpu.site import GpuHost

ALL_MODES = ("multiInstanceGpu", "multiInstanceGpu", "sameSize", "sameSize", "mixedSize")


def some_kinds(rng, host, count, vgpus):
    """Random kinds of server out of what the host's cards have, largest first."""
    cards = {"a30" if "A30" in gpu.model else "a100" for gpu in host.gpus}
    pool = [stem for stem in (*MIG, *TIMED) if stem.split("-")[0] in cards]
    servers = {
        tuple(sorted((rng.choice(pool) for _ in range(rng.randint(1, vgpus))), key=lambda s: table()[s].weight))
        for _ in range(count)
    }
    return tuple(sorted(servers, key=lambda server: [table()[stem].weight for stem in server]))


def states_of(host):
    views = [read_gpu(host, gpu, Catalogue()) for gpu in host.gpus]
    return tuple(view.state for view in views if view.state)


@examples(1200)
@given(seeds)
def test_a_hosts_batches_are_what_brute_force_finds(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_kinds(rng, host, rng.randint(1, 3), 2)
    demand = tuple(rng.randint(1, 2) for _ in servers)
    found = batches(states_of(host), Kinds(servers, demand), elsewhere=False)
    assert found.sure == slow.batches(servers, demand)
    assert found.maybe >= found.sure
    assert found.maybe == slow.batches(servers, demand, certain=False)


@examples(300)
@given(seeds)
def test_equal_vgpus_fit_as_often_as_the_gpus_of_a_host_take_them_together(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=("multiInstanceGpu", "sameSize"), cards=("a100",), fullness=0.6)
    (server,) = some_kinds(rng, host, 1, 2)
    server = (server[0],) * len(server)
    found = batches(states_of(host), Kinds((server,), (5,)), elsewhere=False)
    assert found.sure == slow.batches((server,), (5,))


@examples(400)
@given(seeds)
def test_the_order_of_power_ons_is_one_that_brute_force_cannot_break(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_kinds(rng, host, 3, 2)
    demand = tuple(rng.randint(1, 2) for _ in servers)
    kinds = Kinds(servers, demand)
    bag = max(batches(states_of(host), kinds, elsewhere=False).sure, key=lambda one: (sum(one), one))
    turns = order(states_of(host), kinds, bag, elsewhere=False)
    assert sorted(turns) == [kind for kind, count in enumerate(bag) for _ in range(count)]
    assert slow.after([servers[kind] for kind in turns])


@examples(600)
@given(seeds)
def test_every_part_of_a_guaranteed_batch_of_servers_with_one_vgpu_is_guaranteed(rng):
    """The bound of one half compares with such batches (docs/gpu.md); with one vGPU a server they are all there are."""
    host, _ = host_of(rng, "esx", rng.randint(1, 4), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_kinds(rng, host, 3, 1)
    found = batches(states_of(host), Kinds(servers, (3,) * len(servers)), elsewhere=False)
    assert found.hereditary().sure == found.sure


def test_a_part_of_a_guaranteed_batch_of_servers_with_two_vgpus_may_be_none():
    """Another server's lock on the empty GPU can be what makes a two-vGPU server certain."""
    held = ((("a30-12c", None),), (), (("a30-12c", None),))
    gpus = tuple(gpu_of("esx", index, "a30", "sameSize", one) for index, one in enumerate(held))
    states = states_of(GpuHost("esx", profiles=PROFILES, gpus=gpus))
    kinds = Kinds((("a30-12c", "a30-6c"), ("a30-6c",)), (1, 1))
    assert batches(states, kinds, elsewhere=False).sure == {(0, 0), (0, 1), (1, 1)}
    assert order(states, kinds, (1, 1), elsewhere=False) == (1, 0)
    slow = Host((("a30", "sameSize"),) * 3, held)
    assert slow.batches(kinds.servers, kinds.demand) == {(0, 0), (0, 1), (1, 1)}


@examples(200)
@given(seeds)
def test_a_gpu_that_cannot_be_read_never_adds_certainty(rng):
    host, _ = host_of(rng, "esx", 2, modes=ALL_MODES, cards=("a100",))
    servers = some_kinds(rng, host, 2, 1)
    kinds = Kinds(servers, (2,) * len(servers))
    assert batches(states_of(host), kinds, elsewhere=True).sure <= batches(states_of(host), kinds, elsewhere=False).sure


def test_a_3g_before_a_4g_is_no_guaranteed_order_and_the_other_way_round_is():
    host, slow = host_of(seeded(0), "esx", 1, modes=("multiInstanceGpu",), cards=("a100",), fullness=0)
    four, three = ("a100-4-20c",), ("a100-3-20c",)
    assert slow.after([four, three])
    assert slow.after([three, four]) is None
    kinds = Kinds((four, three), (1, 1))
    assert (1, 1) in batches(states_of(host), kinds, elsewhere=False).sure
    assert order(states_of(host), kinds, (1, 1), elsewhere=False) == (0, 1)


def test_the_manager_may_lock_two_same_size_gpus_to_one_size():
    host, _ = host_of(seeded(0), "esx", 2, modes=("sameSize",), cards=("a100",), fullness=0)
    big, small = ("a100-20c",), ("a100-10c",)
    found = batches(states_of(host), Kinds((big, small), (2, 4)), elsewhere=False)
    assert (2, 1) in found.sure  # one small, then the big ones find the other GPU
    assert order(states_of(host), Kinds((big, small), (2, 1)), (2, 1), elsewhere=False) == (0, 1, 0)
    assert (2, 2) in found.sure
    assert (2, 4) in found.sure


def test_servers_apart_are_certain_with_pins_or_where_no_gpu_holds_two():
    host, _ = host_of(seeded(0), "esx", 2, modes=("multiInstanceGpu",), cards=("a100",), fullness=0)
    small, whole = Kinds((("a100-1-5c",),), (5,)), Kinds((("a100-7-40c",),), (5,))
    states = states_of(host)
    assert max(apart(states, small, elsewhere=False, pinned=True).sure) == (2,)
    assert max(apart(states, small, elsewhere=False, pinned=False).sure) == (1,)
    assert max(apart(states, small, elsewhere=False, pinned=False).maybe) == (2,)
    assert max(apart(states, whole, elsewhere=False, pinned=False).sure) == (2,)
