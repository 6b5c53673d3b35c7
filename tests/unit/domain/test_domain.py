"""Record, addresses, identity, host variables, first boot, origin of variables: the rest of the pure core."""

from __future__ import annotations

import base64
import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ansible.origin import check_one_fleet, module_arguments
from fleet.domain import hostvars
from fleet.domain.guest_addresses import guest_addresses
from fleet.domain.host_key import parse_host_key
from fleet.domain.identity import member_uuid
from fleet.domain.membership import fleet_state
from fleet.domain.plan import number_of
from fleet.domain.record import Record, format_record, parse
from fleet.domain.state import Devices, GuestNic, Nic, Vm
from fleet.errors import FleetError, UsageError
from fleet.operations.cloud_init import guestinfo

VCENTER = "6d7e3f4c-0000-4000-8000-000000000001"
HOST_KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'k' * 43}"
NICS = (Nic(4000, "00:50:56:00:00:01", "triton-net"), Nic(4001, "00:50:56:00:00:02", "storage"))


@given(
    st.builds(
        Record,
        target=st.integers(0, 99),
        highest=st.integers(0, 999),
        highest_balancer=st.integers(0, 9),
        requests=st.lists(st.fixed_dictionaries({"from": st.integers(0, 9), "to": st.integers(0, 9)}), max_size=2).map(tuple),
        lease=st.none() | st.fixed_dictionaries({"owner": st.text(max_size=5)}),
        extra=st.dictionaries(st.sampled_from(["newer", "newest"]), st.integers(), max_size=2),
    )
)
def test_a_record_survives_its_own_json_with_fields_of_a_newer_version(record: Record) -> None:
    assert parse(format_record(record), where="demo-state") == record


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "target": "three"}', '{"version": 1, "target": -1}']
)
def test_a_record_that_is_not_understood_stops_with_a_sentence(text: str) -> None:
    with pytest.raises(FleetError, match=r"demo-state.*left as it is"):
        parse(text, where="demo-state")


def test_addresses_belong_to_the_vms_own_cards_on_the_wanted_network() -> None:
    reported = (
        GuestNic(None, -1, "02:42:00:00:00:01", ("172.17.0.1",)),
        GuestNic("storage", 4001, None, ("10.9.0.5",)),
        GuestNic("triton-net", 4000, None, ("fe80::1", "169.254.1.1", "2001:db8::7", "10.0.0.7")),
    )
    assert guest_addresses(reported, NICS, "triton-net") == ("10.0.0.7", "2001:db8::7")
    assert guest_addresses(reported, NICS, None) == ("10.0.0.7", "2001:db8::7", "10.9.0.5")
    assert guest_addresses(reported, (), "triton-net") == ()


def test_a_card_is_also_known_by_its_mac() -> None:
    assert guest_addresses((GuestNic(None, None, "00:50:56:00:00:01".upper(), ("10.0.0.8",)),), NICS, "triton-net") == (
        "10.0.0.8",
    )


def vm(name: str, /, **changes: object) -> Vm:
    own = member_uuid(VCENTER, "demo", name)
    keys = {"name": "demo", "role": "triton", "server": name, "uuid": own, "state": "ready"}
    base = Vm(f"vm-{name}", name, power="poweredOn", instance_uuid=own, keys=keys)
    return replace(base, **changes)  # type: ignore[arg-type]


def observe(*vms: Vm):
    devices = {item.moid: Devices(NICS, ("grid_a100-2-10c",)) for item in vms}
    now = datetime.now(UTC)
    return fleet_state("demo", vms=vms, hosts=(), devices=devices, vcenter_uuid=VCENTER, network="triton-net", now=now)


def test_a_manual_clone_is_unconfirmed_and_so_is_a_renumbered_vm() -> None:
    twin = vm("demo-001", moid="vm-twin", name="copy of demo-001", instance_uuid="5029c4f8-0000-4000-8000-000000000009")
    states = {member.vm.moid: member.state for member in observe(vm("demo-001"), twin).members}
    assert states == {"vm-demo-001": "ready", "vm-twin": "unconfirmed"}


def test_templates_and_strangers_are_no_members_and_only_block_their_names() -> None:
    state = observe(vm("demo-001", template=True), Vm("vm-9", "demo-002"), vm("demo-003", power="poweredOff"))
    assert [(m.name, m.state) for m in state.members] == [("demo-003", "stopped")]
    assert state.taken_names == {"demo-001", "demo-002"}


def test_a_state_that_nobody_wrote_is_quarantined_with_the_reason() -> None:
    odd = vm("demo-001")
    odd = replace(odd, keys={**odd.keys, "state": "happy"})
    (member,) = observe(odd).members
    assert member.state == "quarantined"
    assert "'happy'" in member.reason


def test_exactly_one_host_key_is_accepted() -> None:
    options = shlex.split(hostvars.ssh_args("uuid-1", HOST_KEY))
    assert f"KnownHostsCommand=/bin/echo uuid-1 {HOST_KEY}" in options
    assert "StrictHostKeyChecking=yes" in options
    assert not any("KnownHostsCommand" in option for option in shlex.split(hostvars.ssh_args("uuid-1", None)))


@pytest.mark.parametrize(
    "text",
    [
        "ssh-ed25519 AAAA",
        f'{HOST_KEY}" -o "ProxyCommand=touch /tmp/canary',
        f"{HOST_KEY} -o ProxyCommand=x",
        f"{HOST_KEY}\n",
        f" {HOST_KEY}",
        HOST_KEY.replace("ed25519", "rsa"),
        HOST_KEY[:-1] + "%",
        HOST_KEY[:-1],
    ],
)
def test_what_is_no_host_key_reaches_no_command_line_and_its_vm_is_unconfirmed(text: str) -> None:
    assert parse_host_key(text) is None
    assert hostvars.ssh_args("uuid-1", text) == hostvars.ssh_args("uuid-1", None)
    odd, other = vm("demo-001"), vm("demo-002")
    members = observe(replace(odd, keys={**odd.keys, "hostkey": text}), other).members
    assert [(one.name, one.state) for one in members] == [("demo-001", "unconfirmed"), ("demo-002", "ready")]
    assert "fleet.hostkey of VM demo-001 is no SSH host key" in members[0].reason
    assert text not in members[0].reason


@pytest.mark.parametrize(
    "name",
    [
        "www.example.org",
        "localhost",
        "fleet@demo",
        "{{ x }}",
        "a\nb",
        "$(id)",
        "../up",
        "-a",
        "A",
        "x" * 64,
        "\u202ea",
        "[/bold]",
        "9" * 5000,
    ],
)
def test_a_name_that_is_no_host_name_makes_its_vm_unconfirmed_and_goes_nowhere(name: str) -> None:
    odd, other = vm(name), vm("demo-002")
    by_id = {one.vm.moid: one for one in observe(replace(odd, moid="vm-66"), replace(other, moid="vm-67")).members}
    assert (by_id["vm-66"].name, by_id["vm-66"].state) == ("vm-66", "unconfirmed")
    assert (by_id["vm-67"].name, by_id["vm-67"].state) == ("demo-002", "ready")


@pytest.mark.parametrize(
    ("name", "number"), [("demo-007", 7), ("demo-7", 0), ("demo-0007", 0), ("demo-1234", 1234), ("demo-999999999", 0)]
)
def test_the_number_of_a_name_is_bounded(name: str, number: int) -> None:
    assert number_of(name, "demo") == number
    assert number_of(f"demo-{'9' * 5000}", "demo") == 0


@given(st.text(max_size=90))
def test_a_host_key_has_no_character_that_a_shell_or_ssh_reads(text: str) -> None:
    for given_text in (text, HOST_KEY[:-20] + text):
        key = parse_host_key(given_text)
        assert key is None or re.fullmatch(r"[a-zA-Z0-9+/ -]+", key)


def test_group_names_are_fit_for_ansible() -> None:
    (member,) = observe(vm("demo-001")).members
    assert hostvars.member_groups(member, "my-fleet") == ["fleet_my_fleet", "triton", "power_poweredOn", "gpu_grid_a100_2_10c"]


def test_first_boot_carries_public_keys_and_the_hostname() -> None:
    keys = guestinfo(name="demo-001", uuid="u", user="nvidia", authorized_keys=["ssh-ed25519 AAAA me"])
    assert json.loads(base64.b64decode(keys["guestinfo.metadata"]))["local-hostname"] == "demo-001"
    userdata = base64.b64decode(keys["guestinfo.userdata"]).decode()
    assert userdata.startswith("#cloud-config\n")
    assert json.loads(userdata.split("\n", 1)[1])["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me"]


HOST = {"fleet_site_file": "/s/fleet.yml", "fleet_name": "demo"}


def test_a_run_may_change_the_size_and_an_inventory_may_not() -> None:
    done = module_arguments({"state": "present"}, {**HOST, "fleet_add": "1"}, {"fleet_add": "1"}, run_only=True)
    assert done == {"state": "present", "site_file": "/s/fleet.yml", "fleet": "demo", "add": "1"}
    with pytest.raises(UsageError, match="fleet_size is set in the inventory"):
        module_arguments({}, {**HOST, "fleet_size": 3}, {}, run_only=True)
    with pytest.raises(UsageError, match="logical host"):
        module_arguments({}, {}, {}, run_only=True)


@pytest.mark.parametrize(
    ("typed", "meant"), [("fleet_szie", "fleet_size"), ("fleet_ad", "fleet_add"), ("fleet_conform", "fleet_confirm")]
)
def test_a_mistyped_variable_is_not_ignored(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"-e {typed} .* did you mean {meant}\?"):
        module_arguments({}, HOST, {typed: 4}, run_only=True)


def test_variables_of_others_are_left_alone() -> None:
    own = {"fleet": "demo", "fleet_site": "x", "fleet_size": 2, "triton_server_image": "y", "fleet_wait": 5, "size": 3}
    assert module_arguments({}, HOST, own, run_only=True)["size"] == 2


def test_a_run_is_for_one_fleet() -> None:
    check_one_fleet({"run_fleet": ["fleet@demo"]}, "fleet@demo")
    check_one_fleet({}, "fleet@demo")
    with pytest.raises(UsageError, match="has worked on fleet@demo and goes on with fleet@other"):
        check_one_fleet({"run_fleet": ["fleet@demo"]}, "fleet@other")


@pytest.mark.parametrize(
    ("variable", "value"), [("fleet_add", "x"), ("fleet_add", 0), ("fleet_add", "-1"), ("fleet_size", -1), ("fleet_size", "1.5")]
)
def test_a_size_that_is_no_number_of_servers(variable: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"{variable} is a number of servers, \d or more, and not"):
        module_arguments({}, HOST, {variable: value}, run_only=True)
