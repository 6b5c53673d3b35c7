"""Address pools: what is handed out is free, in the range, and never twice; what cannot be is said in one sentence."""

from __future__ import annotations

import ipaddress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.address_pool import Pool, allot, as_address, held, network_config, parse_range
from fleet.domain.guest_addresses import in_url, own_address
from fleet.errors import NoRoomError, SiteError
from fleet.site.load import load_site

V4 = parse_range("10.0.0.50-10.0.0.59", 24, "10.0.0.1")
V6 = parse_range("2001:db8::10-2001:db8::ffff:ffff", 64, "fe80::1")


@st.composite
def ranges(draw):
    version = draw(st.sampled_from([4, 6]))
    bits = 32 if version == 4 else 128
    prefix = draw(st.integers(bits - 10, bits - 1))
    base = draw(st.integers(1, 2**10)) * 2 ** (bits - prefix)
    size = 2 ** (bits - prefix)
    first = draw(st.integers(0, size - 1))
    last = draw(st.integers(first, min(first + 40, size - 1)))
    make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    gateway = draw(st.none() | st.integers(0, size - 1).map(lambda n: str(make(base + n))))
    return parse_range(f"{make(base + first)}-{make(base + last)}", prefix, gateway)


@given(data=st.data(), within=ranges(), count=st.integers(0, 8))
def test_what_is_allotted_is_in_the_range_free_and_never_twice(data, within, count):
    everything = [type(within.first)(n) for n in range(int(within.first), int(within.last) + 1)]
    taken = dict.fromkeys(data.draw(st.lists(st.sampled_from(everything))), "somebody")
    free = [one for one in everything if one not in taken and one not in within.unusable()]
    if len(free) < count:
        with pytest.raises(NoRoomError, match=f"has {len(free)} of its {len(everything)} addresses left and {count} are needed"):
            allot(Pool((within,)), count, taken, fleet="qa")
        return
    rows = allot(Pool((within,)), count, taken, fleet="qa")
    assert [ip_address(row[0]) for row in rows] == free[:count]


@given(within=ranges(), kills=st.lists(st.booleans(), max_size=12))
def test_a_run_that_is_killed_and_goes_on_hands_out_the_same_as_one_that_was_not(within, kills):
    """Each VM is allotted its address by what vCenter shows: in one run, or in as many as it takes."""
    wanted = min(len(kills), len([n for n in range(within.size) if within.first + n not in within.unusable()]))
    pool, born = Pool((within,)), {}
    while len(born) < wanted:
        row = allot(pool, 1, born, fleet="qa")[0]
        born[ip_address(row[0])] = f"qa-{len(born) + 1:03d}"
    at_once = allot(pool, wanted, {}, fleet="qa")
    assert [str(address) for address in born] == [row[0] for row in at_once]


def test_both_families_are_allotted_together():
    rows = allot(Pool((V4, V6)), 2, {ip_address("10.0.0.50"): "web-1", ip_address("2001:db8::11"): "web-2"}, fleet="qa")
    assert rows == [("10.0.0.51", "2001:db8::10"), ("10.0.0.52", "2001:db8::12")]


def test_a_huge_range_costs_no_more_than_what_is_taken():
    huge = parse_range("2001:db8::-2001:db8::ffff:ffff:ffff:fffe", 64)
    assert allot(Pool((huge,)), 1, {}, fleet="qa") == [("2001:db8::1",)]


def test_too_few_left_names_the_holders_and_the_mend():
    taken = {ip_address(f"10.0.0.{n}"): f"is qa-{n:03d}'s" for n in range(50, 58)}
    with pytest.raises(NoRoomError) as caught:
        allot(Pool((V4,)), 3, taken, fleet="qa")
    assert "has 2 of its 10 addresses left and 3 are needed" in str(caught.value)
    assert "10.0.0.50 is qa-050's" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert "fleet.yml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "prefix", "gateway", "message"),
    [
        ("10.0.0.5", 24, None, "FIRST-LAST"),
        ("10.0.0.9-10.0.0.5", 24, None, "lower address to a higher"),
        ("10.0.0.5-2001:db8::1", 24, None, "same family"),
        ("10.0.0.5-10.0.1.5", 24, None, "leaves the network 10.0.0.0/24"),
        ("10.0.0.5-10.0.0.9", 33, None, "1 to 32 bits"),
        ("10.0.0.5-10.0.0.9", 24, "10.0.1.1", "is not in the network"),
        ("10.0.0.5-10.0.0.9", 24, "fe80::1", "another family"),
        ("ten-eleven", 24, None, "does not appear to be"),
    ],
)
def test_a_range_that_is_none_says_why(text, prefix, gateway, message):
    with pytest.raises(ValueError, match=message):
        parse_range(text, prefix, gateway)


def test_addresses_have_one_spelling():
    assert as_address("2001:DB8:0:0::10") == as_address("2001:db8::10%eth0")
    assert as_address("none") is None
    assert held({"address": "10.0.0.5 2001:db8::5"}) == (ip_address("10.0.0.5"), ip_address("2001:db8::5"))
    assert held({}) == ()


def test_a_vm_is_reached_by_what_was_allotted_to_it_and_by_no_other():
    assert own_address(("10.0.0.7", "10.0.0.5"), allotted="10.0.0.5 2001:db8::5") == "10.0.0.5"
    assert own_address(("10.0.0.7",), allotted="10.0.0.5") is None
    assert own_address(("2001:DB8::5",), allotted="2001:db8::5") == "2001:db8::5"
    assert own_address(("10.0.0.7",)) == "10.0.0.7"
    assert own_address(()) is None


def test_an_ipv6_address_is_in_brackets_in_a_url():
    assert [in_url(one) for one in ("10.0.0.5", "2001:db8::5")] == ["10.0.0.5", "[2001:db8::5]"]


def test_the_network_is_cloud_inits_version_2_by_mac_address():
    pool = Pool((V4, V6), dns=("10.0.0.53",), search=("example.com",))
    assert network_config(("10.0.0.50", "2001:db8::10"), pool, "00:50:56:AA:BB:CC") == {
        "version": 2,
        "ethernets": {
            "fleet": {
                "match": {"macaddress": "00:50:56:aa:bb:cc"},
                "set-name": "eth0",
                "dhcp4": False,
                "dhcp6": False,
                "addresses": ["10.0.0.50/24", "2001:db8::10/64"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}, {"to": "::/0", "via": "fe80::1"}],
                "nameservers": {"addresses": ["10.0.0.53"], "search": ["example.com"]},
            }
        },
    }


SITE = """
plugin: fleet_vsphere
fleets:
  qa: {folder: a, template: t, cluster: c, network: n, size: {initial: 1, max: 4},
       addresses: {range: 10.0.0.50-10.0.0.59, prefix: 24, gateway: 10.0.0.1, dns: [10.0.0.53],
                   ipv6: {range: "2001:db8::10-2001:db8::20", prefix: 64}}}
  en: {folder: b, template: t, cluster: c, network: n, size: {initial: 1, max: 4}}
"""


@pytest.fixture
def read(tmp_path):
    def write(text):
        (tmp_path / "fleet.yml").write_text(text)
        return load_site(tmp_path)

    return write


def test_fleet_yml_describes_a_pool_or_leaves_it_to_dhcp(read):
    site = read(SITE)
    pool = site.fleet("qa").pool
    assert [str(one) for one in pool.ranges] == ["10.0.0.50-10.0.0.59", "2001:db8::10-2001:db8::20"]
    assert pool.dns == ("10.0.0.53",)
    assert pool.probe
    assert site.fleet("en").pool is None
    assert read(SITE.replace("max: 4}}\n", "max: 4}, addresses: dhcp}\n")).fleet("en").pool is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gateway:", "gatewy:", "did you mean gateway"),
        ("prefix: 24", "prefix: 30", "leaves the network"),
        ("dns: [10.0.0.53]", "dns: [ns]", "addresses.dns"),
        ('"2001:db8::10-2001:db8::20", prefix: 64', "10.0.1.1-10.0.1.9, prefix: 24", "ipv6.range of IPv6"),
        ("network: n, size: {initial: 1, max: 4}}", "size: {initial: 1, max: 4}, addresses: dchp}", "'dchp' is neither dhcp"),
        (
            "network: n, size: {initial: 1, max: 4}}",
            "size: {initial: 1, max: 4}, addresses: {range: 10.0.0.59-10.0.0.61, prefix: 24}}",
            "the addresses of fleets qa and en overlap",
        ),
        ("initial: 1, max: 4}}", "initial: 1, max: 4}, first_boot: customization}", "needs domain"),
        ("initial: 1, max: 4}}", "initial: 1, max: 4}, first_boot: sysprep}", "first_boot"),
        (
            "network: n, size: {initial: 1, max: 4}}",
            'size: {initial: 1, max: 4}, first_boot: customization, domain: d, addresses: {range: "fd::1-fd::9", prefix: 64}}',
            "needs an IPv4 range",
        ),
    ],
)
def test_mistakes_in_a_pool_are_named(read, old, new, message):
    with pytest.raises(SiteError) as caught:
        read(SITE.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
