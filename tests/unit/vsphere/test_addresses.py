from __future__ import annotations

from fleet.domain.guest_addresses import guest_addresses, own_address
from fleet.domain.state import GuestNic, Nic

FIRST = Nic(key=4000, mac="00:50:56:80:00:01", network="triton-net")
SECOND = Nic(key=4001, mac="00:50:56:80:00:02", network="storage")


def entry(*addresses, key=4000, network="triton-net", mac="00:50:56:80:00:01"):
    return GuestNic(network=network, key=key, mac=mac, addresses=addresses)


def test_the_card_of_the_wanted_network():
    reported = [entry("10.0.0.5"), entry("10.9.9.9", key=4001, network="storage", mac=SECOND.mac)]
    assert guest_addresses(reported, (FIRST, SECOND), "triton-net") == ("10.0.0.5",)
    assert guest_addresses(reported, (FIRST, SECOND), "storage") == ("10.9.9.9",)
    assert guest_addresses(reported, (FIRST, SECOND), "elsewhere") == ()


def test_without_a_network_the_first_card_comes_first():
    reported = [entry("10.9.9.9", key=4001, network="storage", mac=SECOND.mac), entry("10.0.0.5")]
    assert guest_addresses(reported, (FIRST, SECOND), None)[0] == "10.0.0.5"


def test_bridges_of_the_guest_are_nobody():
    docker = entry("172.17.0.1", key=-1, network=None, mac="02:42:ac:11:00:01")
    assert guest_addresses([docker, entry("10.0.0.5")], (FIRST,), "triton-net") == ("10.0.0.5",)
    assert guest_addresses([docker], (FIRST,), None) == ()


def test_the_mac_address_where_the_guest_knows_no_key():
    assert guest_addresses([entry("10.0.0.5", key=-1, mac="00:50:56:80:00:01".upper())], (FIRST,), "triton-net") == ("10.0.0.5",)


def test_ipv4_before_ipv6_and_nothing_local():
    reported = [entry("fe80::1", "2001:db8::5", "169.254.1.2", "10.0.0.5", "127.0.0.1", "::1", "0.0.0.0", "garbage")]  # noqa: S104
    assert guest_addresses(reported, (FIRST,), "triton-net") == ("10.0.0.5", "2001:db8::5")


def test_several_on_one_network_the_first_card_and_what_its_guest_names_first():
    twin = Nic(key=4001, mac=SECOND.mac, network="triton-net")
    reported = [entry("10.0.0.3", key=4001, mac=twin.mac), entry("10.0.0.9", "10.0.0.5")]
    assert guest_addresses(reported, (FIRST, twin), "triton-net") == ("10.0.0.9", "10.0.0.5", "10.0.0.3")
    assert own_address(guest_addresses(reported, (FIRST, twin), "triton-net")) == "10.0.0.9"
    assert own_address(guest_addresses(reported, (FIRST, twin), "triton-net"), allotted="10.0.0.3") == "10.0.0.3"
    only_v6 = [entry("10.0.0.3", key=4001, mac=twin.mac), entry("2001:db8::5")]
    assert guest_addresses(only_v6, (FIRST, twin), "triton-net")[0] == "2001:db8::5"


def test_one_address_has_one_spelling():
    assert guest_addresses([entry("2001:DB8:0:0::05")], (FIRST,), "triton-net") == ("2001:db8::5",)


def test_only_ipv6():
    assert guest_addresses([entry("fe80::1%eth0", "2001:db8::5")], (FIRST,), "triton-net") == ("2001:db8::5",)


def test_nothing_is_known():
    assert guest_addresses([], (FIRST,), "triton-net") == ()
    assert guest_addresses([entry("10.0.0.5")], (), "triton-net") == ()
