from __future__ import annotations

from brute_force import MIG, TIMED, Host
from hypothesis import given
from sites import PROFILES, examples, gpu_of, host_of, seeded, seeds

from fleet.gpu.capacity.view import gpu_view
from fleet.gpu.catalogue.profiles import Catalogue, profile_table
from fleet.gpu.placement.anti_affinity import batches_apart, own_gpus
from fleet.gpu.placement.batches import batches, power_on_order
from fleet.gpu.placement.demand import Demand
from fleet.gpu.site import GpuHost

ALL_MODES = ("multiInstanceGpu", "multiInstanceGpu", "sameSize", "sameSize", "mixedSize")


def some_classes(rng, host, count, vgpus):
    """Random classes of servers that the models of the host's GPUs serve, largest first."""
    cards = {"a30" if "A30" in gpu.model else "a100" for gpu in host.gpus}
    pool = [stem for stem in (*MIG, *TIMED) if stem.split("-")[0] in cards]
    servers = {
        tuple(sorted((rng.choice(pool) for _ in range(rng.randint(1, vgpus))), key=lambda s: profile_table()[s].size_order))
        for _ in range(count)
    }
    return tuple(sorted(servers, key=lambda server: [profile_table()[stem].size_order for stem in server]))


def states_of(host):
    views = [gpu_view(host, gpu, Catalogue()) for gpu in host.gpus]
    return tuple(view.state for view in views if view.state)


@examples(1200)
@given(seeds)
def test_a_hosts_batches_are_what_brute_force_finds(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_classes(rng, host, rng.randint(1, 3), 2)
    demand = tuple(rng.randint(1, 2) for _ in servers)
    found = batches(states_of(host), Demand(servers, demand), unknown_gpu=False)
    assert found.guaranteed == slow.batches(servers, demand)
    assert found.possible >= found.guaranteed
    assert found.possible == slow.batches(servers, demand, certain=False)


@examples(300)
@given(seeds)
def test_equal_vgpus_fit_as_often_as_the_gpus_of_a_host_take_them_together(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=("multiInstanceGpu", "sameSize"), cards=("a100",), fullness=0.6)
    (server,) = some_classes(rng, host, 1, 2)
    server = (server[0],) * len(server)
    found = batches(states_of(host), Demand((server,), (5,)), unknown_gpu=False)
    assert found.guaranteed == slow.batches((server,), (5,))


@examples(400)
@given(seeds)
def test_the_order_of_power_ons_is_one_that_brute_force_cannot_break(rng):
    host, slow = host_of(rng, "esx", rng.randint(1, 2), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_classes(rng, host, 3, 2)
    demand = tuple(rng.randint(1, 2) for _ in servers)
    demanded = Demand(servers, demand)
    batch = max(batches(states_of(host), demanded, unknown_gpu=False).guaranteed, key=lambda one: (sum(one), one))
    turns = power_on_order(states_of(host), demanded, batch, unknown_gpu=False)
    assert sorted(turns) == [index for index, count in enumerate(batch) for _ in range(count)]
    assert slow.after([servers[index] for index in turns])


@examples(600)
@given(seeds)
def test_every_part_of_a_guaranteed_batch_of_servers_with_one_vgpu_is_guaranteed(rng):
    """The bound of one half compares with such batches (docs/gpu.md); with one vGPU a server they are all there are."""
    host, _ = host_of(rng, "esx", rng.randint(1, 4), modes=ALL_MODES, cards=("a100", "a30"))
    servers = some_classes(rng, host, 3, 1)
    found = batches(states_of(host), Demand(servers, (3,) * len(servers)), unknown_gpu=False)
    assert found.hereditary().guaranteed == found.guaranteed


def test_a_part_of_a_guaranteed_batch_of_servers_with_two_vgpus_may_not_be_guaranteed():
    """Another server's lock on the empty GPU can be what makes a two-vGPU server certain."""
    held = ((("a30-12c", None),), (), (("a30-12c", None),))
    gpus = tuple(gpu_of("esx", index, "a30", "sameSize", one) for index, one in enumerate(held))
    states = states_of(GpuHost("esx", profiles=PROFILES, gpus=gpus))
    demanded = Demand((("a30-12c", "a30-6c"), ("a30-6c",)), (1, 1))
    assert batches(states, demanded, unknown_gpu=False).guaranteed == {(0, 0), (0, 1), (1, 1)}
    assert power_on_order(states, demanded, (1, 1), unknown_gpu=False) == (1, 0)
    slow = Host((("a30", "sameSize"),) * 3, held)
    assert slow.batches(demanded.classes, demanded.counts) == {(0, 0), (0, 1), (1, 1)}


@examples(200)
@given(seeds)
def test_a_gpu_that_cannot_be_read_never_adds_certainty(rng):
    host, _ = host_of(rng, "esx", 2, modes=ALL_MODES, cards=("a100",))
    servers = some_classes(rng, host, 2, 1)
    demanded = Demand(servers, (2,) * len(servers))
    assert (
        batches(states_of(host), demanded, unknown_gpu=True).guaranteed
        <= batches(states_of(host), demanded, unknown_gpu=False).guaranteed
    )


def test_a_3g_before_a_4g_is_no_guaranteed_order_and_the_other_way_round_is():
    host, slow = host_of(seeded(0), "esx", 1, modes=("multiInstanceGpu",), cards=("a100",), fullness=0)
    four, three = ("a100-4-20c",), ("a100-3-20c",)
    assert slow.after([four, three])
    assert slow.after([three, four]) is None
    demanded = Demand((four, three), (1, 1))
    assert (1, 1) in batches(states_of(host), demanded, unknown_gpu=False).guaranteed
    assert power_on_order(states_of(host), demanded, (1, 1), unknown_gpu=False) == (0, 1)


def test_the_manager_may_lock_two_same_size_gpus_to_one_size():
    host, _ = host_of(seeded(0), "esx", 2, modes=("sameSize",), cards=("a100",), fullness=0)
    big, small = ("a100-20c",), ("a100-10c",)
    found = batches(states_of(host), Demand((big, small), (2, 4)), unknown_gpu=False)
    assert (2, 1) in found.guaranteed  # one small, then the big ones find the other GPU
    assert power_on_order(states_of(host), Demand((big, small), (2, 1)), (2, 1), unknown_gpu=False) == (0, 1, 0)
    assert (2, 2) in found.guaranteed
    assert (2, 4) in found.guaranteed


def test_servers_apart_are_guaranteed_with_pins_or_where_no_gpu_holds_two():
    host, _ = host_of(seeded(0), "esx", 2, modes=("multiInstanceGpu",), cards=("a100",), fullness=0)
    small, whole = Demand((("a100-1-5c",),), (5,)), Demand((("a100-7-40c",),), (5,))
    states = states_of(host)
    assert max(batches_apart(states, small, unknown_gpu=False, pinned=True).guaranteed) == (2,)
    assert max(batches_apart(states, small, unknown_gpu=False, pinned=False).guaranteed) == (1,)
    assert max(batches_apart(states, small, unknown_gpu=False, pinned=False).possible) == (2,)
    assert max(batches_apart(states, whole, unknown_gpu=False, pinned=False).guaranteed) == (2,)


@examples(200)
@given(seeds)
def test_every_batch_of_servers_apart_finds_gpus_of_its_own(rng):
    host, _ = host_of(rng, "esx", rng.randint(1, 4), modes=ALL_MODES, cards=("a100",))
    states = states_of(host)
    servers = some_classes(rng, host, 2, 3)
    demanded = Demand(servers, tuple(rng.randint(1, 3) for _ in servers))
    found = batches_apart(states, demanded, unknown_gpu=False, pinned=True)
    for of, guaranteed in ((found.guaranteed, True), (found.possible, False)):
        for batch in of:
            _, placed = own_gpus(states, tuple(range(len(states))), demanded, batch, guaranteed=guaranteed)
            used = [{gpu for gpu, _ in vgpus} for vgpus in placed]
            assert len(placed) == sum(batch)
            assert sum(map(len, used)) == len(set().union(*used)), "two servers share a GPU"
