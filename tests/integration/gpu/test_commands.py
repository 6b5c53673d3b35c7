"""The rules of placement through the commands that an operator types: fleet.yml's `placement`, options, and whole runs.

The vCenter, the plays and the roles of the fleet's VMs are real; the roles that work in guests are empty.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from .conftest import BIN, FOUR, ONE, ROOT, SEVEN, THREE, TWO

NO_ROOM, DONE = 6, 0


@pytest.fixture
def fleet(site, tmp_path):
    """`fleet …`, with guests that have nothing to do."""
    for role in ("guest_base", "hosts_file", "model_repository", "triton_server", "haproxy"):
        for entry in ("main", "admit", "drain"):
            file = tmp_path / "roles" / role / "tasks" / f"{entry}.yml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("[]\n")
    site.vars({"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": str(BIN / "python")})

    def run(*words, code=DONE):
        result = site.fleet(*words, ANSIBLE_ROLES_PATH=f"{tmp_path}/roles:{ROOT}/roles")
        assert result.code == code, result.text
        return result

    return run


def planned(fleet, *words):
    """The hosts of a plan's clones and how many each gets."""
    return Counter(one["host"] for one in json.loads(fleet("plan", "--json", *words).out)["create"])


def fitting(fleet, *words, code=DONE):
    answer = json.loads(fleet("gpu", "fit", "--json", *words, code=code).out)
    return Counter(one["host"] for one in answer["placements"]), answer


@pytest.mark.parametrize(("policy", "hosts"), [("pack", [4]), ("spread", [2, 2])])
def test_pack_fills_a_host_and_spread_evens_out(site, fleet, policy, hosts):
    site.demo("twins", ONE, placement={"policy": policy})
    assert sorted(planned(fleet, "--size", "4").values()) == hosts
    words = ("--cluster", "twins", "--profile", ONE, "--count", "4", "--policy", policy)
    assert sorted(fitting(fleet, *words)[0].values()) == hosts


def test_spread_counts_those_that_are_there(site, fleet):
    site.demo("twins", ONE, placement={"policy": "spread"}).grown(size=1)
    fleet("add-vm", "--count", "3")
    assert sorted(Counter(m.host for m in site.members().values()).values()) == [2, 2]


def test_room_that_is_to_be_kept_is_kept(site, fleet):
    """Two GPUs, one of them for a 4g: seven 1g fit on the other, the eighth does not."""
    site.demo("twins", ONE, placement={"keep": FOUR})
    assert list(planned(fleet, "--size", "7").values()) == [7]
    result = fleet("plan", "--size", "8", code=NO_ROOM)
    assert f"room for 1 x {FOUR} is kept; otherwise 1 more fit" in result.err
    words = ("--cluster", "twins", "--profile", ONE, "--keep", FOUR)
    assert list(fitting(fleet, *words, "--count", "7")[0].values()) == [7]
    assert fitting(fleet, *words, "--count", "8", code=NO_ROOM)[1]["fits"] is False
    assert fitting(fleet, *words, "--count", "1", "--keep-count", "2", code=NO_ROOM)[1]["fits"] is False
    fleet("scale", "--size", "7", "--yes")
    assert fitting(fleet, "--cluster", "twins", "--profile", FOUR)[1]["guaranteed"] == 1, "it is there afterwards"


def test_no_two_servers_on_one_host(site, fleet):
    site.demo("twins", ONE, placement={"anti_affinity": "host"})
    assert sorted(planned(fleet, "--size", "2").values()) == [1, 1]
    mark = site.control.last()
    result = fleet("scale", "--size", "3", "--yes", code=NO_ROOM)
    assert "hosts that take one server of the fleet each: esx-twin-1, esx-twin-2; otherwise" in result.err
    assert site.writes(mark) == []
    fleet("scale", "--size", "2", "--yes")
    fleet("add-vm", code=NO_ROOM)
    assert {m.host for m in site.members().values()} == {"esx-twin-1", "esx-twin-2"}


def test_no_two_servers_on_one_gpu(site, fleet):
    """Without pins the manager may put two 3g on one GPU; with pins each gets a GPU of its own."""
    site.demo("pair", THREE, placement={"anti_affinity": "gpu"})
    fleet("plan", "--size", "2", code=NO_ROOM)
    words = ("--cluster", "pair", "--profile", THREE, "--count", "2", "--anti-affinity", "gpu")
    fitting(fleet, *words, code=NO_ROOM)
    _, answer = fitting(fleet, *words, "--pin")
    assert {(one["pci_id"], one["known"]) for one in answer["placements"]} == {("0000:3b:00.0", True), ("0000:3c:00.0", True)}
    site.demo("pair", THREE, placement={"anti_affinity": "gpu", "pin": True})
    fleet("scale", "--size", "2", "--yes")
    assert sorted(map(len, site.held("esx-pair").values())) == [1, 1]


def test_a_new_fleet_takes_what_fits(site, fleet):
    """Through the whole run: the lease of a fleet that has no record yet, the plan, the clones, and the target that stays."""
    site.demo("twins", SEVEN)
    mark = site.control.last()
    result = fleet("scale", "--size", "5", "--yes", code=NO_ROOM)
    assert "5 servers with grid_a100-7-40c do not fit on cluster twins, 2 would" in result.err
    assert site.writes(mark) == [], "no folder, no record, no lease"
    fleet("scale", "--size", "5", "--partial", "--yes")
    assert site.record().target == 2
    assert {m.name: m.state for m in site.members().values()} == {"demo-001": "ready", "demo-002": "ready"}
    fleet("add-vm", "--partial", code=NO_ROOM)
    assert site.record().target == 2


def test_a_new_fleet_of_which_none_fits_is_refused_in_part_too(site, fleet):
    site.control.add_vm("squatter", cluster="lone", gpu_profiles=[ONE])
    site.demo("lone", SEVEN)
    mark = site.control.last()
    fleet("scale", "--size", "2", "--partial", "--yes", code=NO_ROOM)
    assert site.writes(mark) == []


def test_room_that_is_only_possible_is_used_where_somebody_says_so(site, fleet):
    """Somebody's 1g on one of its slices: a third 2g fits when that is the seventh."""
    site.control.add_vm("squatter", cluster="lone", gpu_profiles=[ONE])
    site.demo("lone", TWO)
    result = fleet("scale", "--size", "3", "--yes", code=NO_ROOM)
    assert "2 would" in result.err
    assert "--allow-possible" in result.err
    (start,) = [entry["start"] for book in site.control.gpus() for entry in book["held"] if entry["vm"] == "squatter"]
    lucky = start == 6
    fleet("scale", "--size", "3", "--allow-possible", "--yes", code=DONE if lucky else 3)
    states = Counter(m.state for m in site.members().values())
    assert states == ({"ready": 3} if lucky else {"ready": 2, "quarantined": 1})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cluster", "pair", "fit", "--profile", ONE), "options of the map do not reach `fleet gpu fit`"),
        (("--json", "explain", "demo-001"), "options of the map do not reach `fleet gpu explain`"),
        (("fit", "--profile", ONE, "--host", "esx-nowhere"), "No host among those requested is called 'esx-nowhere'"),
        (("fit", "--profile", ONE, "--host", "esx-lone", "--cluster", "pair"), "is called 'esx-lone'"),
        (("fit", "--profile", ONE, "--keep-count", "2"), "name it with --keep"),
        (("fit", "--profile", ONE, "--memory-gb", "nan"), "nan is no number of GiB"),
        (("fit", "--profile", ONE, "--count", "1000000000"), "not in the range 1<=x<=100000"),
    ],
)
def test_what_is_no_question_is_refused(fleet, words, message):
    assert message in fleet("gpu", *words, code=2).err


def test_a_host_with_fewer_logical_cpus_than_the_server_has_is_named(fleet):
    result = fleet("gpu", "fit", "--profile", ONE, "--cluster", "lone", "--cpu", "4096", code=NO_ROOM).out
    assert "logical CPUs, the server requests 4096" in result


def test_a_refusal_shows_the_gpus_of_the_profiles_kind_alone(site, fleet):
    result = fleet("gpu", "fit", "--profile", SEVEN, "--count", "40", code=NO_ROOM).out
    free = result.split("free for certain (and at best):")[1]
    assert "esx-lone" in free
    assert all(host not in free for host in ("esx-even", "esx-filled", "esx-timed", "esx-linked")), free


def test_a_refused_plan_is_one_json_object(site, fleet):
    site.demo("twins", SEVEN)
    for words in (("plan", "--size", "5"), ("scale", "--size", "5", "--yes")):
        result = fleet(*words, "--json", code=NO_ROOM)
        error = json.loads(result.out)["error"]
        assert (error["kind"], error["exit_code"]) == ("no_room", NO_ROOM)
        assert "5 servers with grid_a100-7-40c do not fit on cluster twins, 2 would" in error["message"]


def test_a_refused_change_of_gpus_says_nothing_of_a_target(site, fleet):
    site.demo("lone", SEVEN).grown(size=1)
    result = fleet("scale-up", "demo-001", "--gpus", "2", "--check", code=NO_ROOM)
    assert "target size" not in result.text
    assert "do not fit on any host of fleet demo" in result.err
    answer = json.loads(fleet("scale-up", "demo-001", "--gpus", "2", "--check", "--json", code=NO_ROOM).out)
    assert (answer["plan"], answer["error"]["exit_code"]) == (None, NO_ROOM)


def test_the_numbers_of_a_cluster_are_those_of_fit(site, fleet):
    site.control.add_vm("squatter", cluster="lone", gpu_profiles=[ONE])
    result = json.loads(fleet("gpu", "--summary", "--json", "--cluster", "lone", "--cluster", "pair").out)["clusters"]
    assert [(one["name"], one["hosts"], one["gpus"]) for one in result] == [("lone", 1, 1), ("pair", 1, 2)]
    for cluster in result:
        _, answer = fitting(fleet, "--cluster", cluster["name"], "--profile", TWO)
        numbers = cluster["free"][TWO]
        assert (numbers["guaranteed"], numbers["possible"]) == (answer["guaranteed"], answer["possible"])
    assert result[0]["free"][FOUR] == {"guaranteed": 0, "possible": 1, "stranded_gb": 5.0}
    lines = fleet("gpu", "--summary", "--cluster", "lone").out.splitlines()
    assert lines[0] == "cluster lone: 1 host, 1 GPU, 5 GB stranded"
    assert lines[2].split() == ["a100-1-5c", "6", "6", "5"]
    refused = fleet("gpu", "fit", "--cluster", "lone", "--profile", SEVEN, code=NO_ROOM).out
    assert "without squatter on esx-lone a100-7-40c would fit there" in refused
