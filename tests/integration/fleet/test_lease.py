"""Two runs never change one fleet: many processes race, owners die, leases end and are broken, runs fail."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pyVmomi import vim

from fleet.errors import FleetError, LeaseError
from fleet.lease import store, value
from fleet.lease.holder import this_owner
from fleet.lease.renewal import Renewal
from fleet.lease.store import Waiting
from fleet.service import lease as leases
from fleet.vsphere import record as records
from fleet.vsphere.session import connect

from .conftest import BIN, ROOT, done, fleet_of
from .held import someone_else

RACERS = 16
UNREADABLE = {"version": 1, "target": 1, "lease": {"run": "r"}}  # a lease that lacks its owner
RACER = Path(__file__).with_name("racer.py")


@contextlib.contextmanager
def session_of(site):
    here = site.load()
    with connect(here.endpoint()) as session:
        yield session, here.fleet("demo")


@pytest.mark.parametrize("known", [False, True], ids=["a new fleet", "a known fleet"])
def test_of_many_processes_exactly_one_wins(site, known):
    if known:
        site.grown()
    racers = [
        subprocess.Popen([sys.executable, RACER, site.file, "demo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(RACERS)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * RACERS
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        result = [racer.stdout.readline().strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    assert result.count("won") == 1, result
    winner = racers[result.index("won")].pid
    assert all(f"process {winner})" in one and "being changed by" in one for one in result if one != "won"), result
    assert site.record().lease["owner"]["process"]["pid"] == winner
    site.present()  # the winner is dead by now, on this very machine: nobody waits for it
    assert site.record().lease is None


def test_a_lost_swap_is_decided_anew(site):
    """Somebody writes the record between our look and our write."""
    site.grown()
    with session_of(site) as (session, spec), site.control.quiet():
        hold = site.control.hold("before", method="ReconfigVM_Task")
        taken = []
        mine = threading.Thread(target=lambda: taken.append(someone_else(site, "mine")))
        mine.start()
        site.control.await_hold(hold)
        vm = records.find_record(session, spec.name)
        site.control.clear_holds()
        records.update_record(session, vm, lambda now: replace(now, highest=now.highest + 5))
        mine.join()
    assert (taken[0].run, site.record().lease["run"], site.record().highest >= 6) == ("mine", "mine", True)


def test_a_holder_elsewhere_is_reported_and_left_alone(site):
    site.grown()
    someone_else(site)
    with pytest.raises(LeaseError, match=r"anna on ops1 \(scale_out.yml, unknown process\), since 20.* ends at 20"):
        site.present()
    mark = site.control.last()
    result = site.fleet("add-vm")
    assert (result.code, "anna on ops1" in result.err) == (4, True), result.text
    assert site.writes(mark) == []
    assert site.fleet("add-vm", "--check").code == 0, "check mode takes no lease"
    assert "anna on ops1" in site.fleet("lease", "show").out
    assert site.fleet("lease", "break").code == 5
    assert site.fleet("lease", "break", "--yes", "--json").json()["broken"] is True
    assert site.fleet("lease", "show", "--json").json()["lease"] is None


def test_an_ended_lease_is_waited_for_with_a_countdown(site):
    site.grown()
    lines = []
    someone_else(site, ttl=5.0)
    with session_of(site) as (session, spec):
        store.acquire(session, spec, "mine", this_owner("test"), wait=Waiting(60, lines.append))
    assert "anna on ops1" in lines[0]
    assert "waiting, giving up in 60 s" in lines[0]
    with pytest.raises(LeaseError, match="lost the lease"), session_of(site) as (session, spec):
        store.require(session, spec, "theirs")


def test_a_broken_lease_stops_the_old_run_before_its_next_writes(site):
    site.grown()
    member = site.members()["demo-001"]
    with site.hold() as controller:
        assert leases.end(str(site.file), "demo")
        mark = site.control.last()
        with pytest.raises(LeaseError, match="fleet lease break"):
            controller.write_keys([(member, {"state": "draining"})])
    assert site.writes(mark) == []
    with site.hold() as controller:
        leases.end(str(site.file), "demo")
        someone_else(site)
        mark = site.control.last()
        with pytest.raises(LeaseError, match="anna on ops1"):
            controller.write_record(replace(site.record(), target=4))
    assert site.writes(mark) == []
    assert site.record().lease["run"] == "theirs", "what somebody else took is not given back by us"
    assert site.members()["demo-001"].state == "ready"


def test_it_is_renewed_while_the_run_lives(site):
    site.grown()
    here = site.load()
    before = someone_else(site, "mine", ttl=2.0)
    renewal = Renewal(lambda: connect(here.endpoint()), here.fleet("demo"), "mine", every=0.1, ttl=2.0)
    renewal.start()
    end = time.monotonic() + 30
    while (now := value.from_dict(site.record().lease, where="demo")).expires < before.expires + timedelta(seconds=1):
        assert time.monotonic() < end, f"it was not renewed in time: {renewal.lost}"
        time.sleep(0.02)
    assert (now.run, now.taken) == ("mine", before.taken)
    renewal.close()
    assert site.record().lease is None


def play(tmp_path, *tasks):
    """A playbook of somebody's own that takes the lease as ours do."""
    book = tmp_path / "play" / "own.yml"
    book.parent.mkdir(exist_ok=True)
    lease = {"ansible.builtin.import_playbook": str(ROOT / "playbooks" / "plays" / "lease.yml")}
    book.write_text(yaml.safe_dump([lease, {"hosts": "fleets", "gather_facts": False, "tasks": list(tasks)}]))
    return str(book)


def test_breaking_ends_the_lease_that_was_shown_and_no_other(site):
    site.grown()
    someone_else(site, "another")
    with pytest.raises(
        LeaseError, match=r"left as it is: it is another run's by now\. Fleet demo is being changed by anna on ops1"
    ):
        leases.end(str(site.file), "demo", "the one that was shown")
    assert site.record().lease["run"] == "another"
    assert leases.end(str(site.file), "demo", "another")
    assert not leases.end(str(site.file), "demo", "another")


def test_a_failed_run_gives_it_back(site, tmp_path):
    site.grown()
    result = site.ansible("ansible-playbook", play(tmp_path, {"ansible.builtin.fail": {"msg": "on purpose"}}))
    assert "on purpose" in result.text
    assert site.record().lease is None


@pytest.mark.parametrize("batch", ["configure", "refresh", "restart", "balance"])
def test_a_broken_lease_stops_the_old_run_before_it_writes_to_guests(site, tmp_path, batch):
    site.grown()
    guest = {"ansible_connection": "local", "fleet_member": {"state": "ready"}}
    guest["triton_server_service"] = {"reasons": ["its options changed"]}
    groups = {"run_triton": guest, "run_loadbalancer": guest, "run_configure": guest, "run_serving": guest, "run_fleet": {}}
    tasks = [
        {
            "ansible.builtin.add_host": {
                "name": "fleet@demo" if name == "run_fleet" else f"guest-{name}",
                "groups": [name],
                **facts,
            }
        }
        for name, facts in groups.items()
    ]
    broken = {"ansible.builtin.command": f"{BIN}/fleet lease break --yes --site {site.folder}"}
    batch_play = {"ansible.builtin.import_playbook": str(ROOT / "playbooks" / "plays" / f"{batch}.yml")}
    book = Path(play(tmp_path, *tasks, broken))
    book.write_text(yaml.safe_dump([*yaml.safe_load(book.read_text()), batch_play]))
    result = site.ansible("ansible-playbook", str(book))
    assert result.code == 2, result.text
    assert "fleet lease break" in result.text, result.text
    assert result.out.count("PLAY [") == 3, "lease, this test's own, and the look at the lease; nothing came after it"
    asked = re.findall(r"^(?:ok|changed): \[guest-run", result.out.partition("PLAY RECAP")[0], re.MULTILINE)
    assert not asked, result.text


def test_no_server_is_restarted_while_a_balancer_cannot_be_reached(site, tmp_path):
    """It would stay out of traffic on the others: Ansible rescues nobody whose delegated task finds nobody."""
    site.grown()
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "fleet_member": {"state": "ready"}}
    guest = here | {"triton_server_service": {"reasons": ["its options changed"]}}
    silent = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_args": ""}
    hosts = {
        "fleet@demo": ("run_fleet", {}),
        "demo-001": ("run_serving", guest),
        "demo-lb-001": ("run_loadbalancer", here),
        "demo-lb-002": ("run_loadbalancer", silent),
    }
    tasks = [{"ansible.builtin.add_host": {"name": name, "groups": [group], **facts}} for name, (group, facts) in hosts.items()]
    book = Path(play(tmp_path, *tasks))
    restart = {"ansible.builtin.import_playbook": str(ROOT / "playbooks" / "plays" / "restart.yml")}
    book.write_text(yaml.safe_dump([*yaml.safe_load(book.read_text()), restart]))
    result = site.ansible("ansible-playbook", str(book))
    assert result.code == 0, result.text
    said = " ".join(result.out.split())
    assert "It is not restarted: demo-lb-002 cannot be reached over SSH and would go on sending requests" in said, result.text
    assert "included: haproxy" not in result.out
    assert "included: triton_server" not in result.out


def test_it_is_taken_under_ansible_runners_environment(site, tmp_path):
    """It hides callback plugins that ansible.cfg wires; those beside the playbooks load all the same."""
    site.grown()
    result = site.ansible(
        "ansible-playbook", "playbooks/scale_out.yml", "-e", "fleet_size=1", ANSIBLE_CALLBACK_PLUGINS=str(tmp_path)
    )
    assert "is not loaded" not in result.text
    assert result.code == 0, result.text
    assert site.record().lease is None


def test_without_the_callback_plugin_nothing_is_taken(site, tmp_path):
    site.grown()
    mark = site.control.last()
    task = {"fleet_lease": {}}
    book = tmp_path / "alone.yml"
    book.write_text(yaml.safe_dump([{"hosts": "fleets", "gather_facts": False, "tasks": [task]}]))
    result = site.ansible("ansible-playbook", str(book), ANSIBLE_CALLBACK_PLUGINS=str(tmp_path))
    assert (result.code, "is not loaded" in result.text) == (2, True), result.text
    assert site.writes(mark) == []


def test_two_playbooks_at_the_same_moment(site):
    site.grown()
    command = [str(BIN / "fleet"), "add-vm", "--site", str(site.folder)]
    with site.control.quiet():
        hold = site.control.hold("before", method="CloneVM_Task")
        first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            assert site.control.await_hold(hold).state == "waiting"
            second = site.fleet("scale", "--size", "2")
            assert (second.code, "(scale_out.yml, process" in second.err) == (4, True), second.text
        finally:
            first.kill()
            first.communicate()


def test_no_record_is_no_sound_record(site):
    assert "has no record yet" in site.fleet("record", "check").out
    site.grown()
    assert "is sound" in site.fleet("record", "check").out


def test_a_lease_that_is_not_understood_is_reported_once(site):
    site.grown()
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="fleet.record", value=json.dumps(UNREADABLE))])
    done(site.vm("fleets/demo/demo-state").Reconfigure(spec))
    refused = site.fleet("add-vm")
    assert (refused.code, refused.err.count("cannot be understood")) == (1, 1), refused.text
    assert site.fleet("lease", "break", "--yes").code == 0
    assert site.record().lease is None


@pytest.mark.parametrize("content", ["", "not json", '{"version":9,"target":1}', '{"version":1,"target":1,"lease":"mine"}'])
def test_a_record_that_is_not_understood_stops_everything_and_stays(site, content):
    site.grown()
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="fleet.record", value=content)])
    done(site.vm("fleets/demo/demo-state").Reconfigure(spec))
    mark = site.control.last()
    with pytest.raises(FleetError, match="left as it is"):
        site.present()
    checked = site.fleet("record", "check")
    assert (checked.code, "left as it is" in checked.out) == (1, True), checked.text
    assert site.fleet("record", "show").code == 0
    assert site.writes(mark) == []


def test_a_record_that_is_not_understood_stops_its_own_fleet_alone(site):
    site.write({name: fleet_of(name) for name in ("demo", "other")})
    site.present("demo")
    site.present("other")
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="fleet.record", value="not json")])
    done(site.vm("fleets/demo/demo-state").Reconfigure(spec))
    status = site.fleet("status", "--json")
    assert status.code == 1, status.text
    document = json.loads(status.out)
    demo, other = document["fleets"]
    assert document["error"] == {"kind": "error", "message": demo["error"], "exit_code": 1}
    assert demo["error"] in " ".join(status.err.split())
    assert "left as it is" in demo["error"]
    assert (other["error"], other["target"]) == (None, 1)
    assert [len(entry["servers"]) for entry in (demo, other)] == [1, 1]
    shown = site.fleet("status")
    assert (shown.code, "left as it is" in shown.err, "other: target 1" in shown.out) == (1, True, True), shown.text
    result = site.fleet("remove-vm", "other-001", "--fleet", "other", "--check")
    assert (result.code, "drain other-001" in result.out) == (0, True), result.text
    listed = site.ansible("ansible-inventory", "--graph")
    assert (listed.code, "demo-001" in listed.out, "left as it is" in listed.err) == (0, True, True), listed.text
    refused = site.fleet("add-vm", "--fleet", "demo")
    assert (refused.code, "left as it is" in refused.err) == (1, True), refused.text


def test_a_strangers_vm_of_the_records_name(site):
    site.write({"demo": fleet_of("demo", folder="others")})
    site.control.add_vm("demo-state", cluster="infra", folder="others", power="off")
    with pytest.raises(FleetError, match="no record of this fleet"):
        site.present()
    assert "is not the record of fleet demo" in site.fleet("record", "check").out


def test_requests_and_where_the_target_comes_from(site):
    site.grown()
    site.present(add=1, request_id="ticket-7")
    (one,) = site.fleet("requests", "--json").json()["requests"]
    assert (one["id"], one["from"], one["to"]) == ("ticket-7", 1, 2)
    site.mark_ready()
    assert site.fleet("requests", "--json").json()["requests"] == []
    assert not site.present(add=1, request_id="ticket-7")["changed"], "the same id never adds twice"
    for command in (["add-vm", "--request-id", ""], ["remove-vm", "--yes", "--request-id", " "]):
        refused = site.fleet(*command)
        assert (refused.code, "is empty" in refused.err) == (2, True), refused.text
    assert "git starts at 1 (0 to 4); target 2 set by" in site.fleet("plan").out
    assert site.fleet("record", "check").code == 0
