from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from fleet.errors import LabError
from fleet.lab.network import RANGE, choose_subnet, routes

TABLE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t0000120A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br0\t000712C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_same_checkout_same_subnet():
    assert choose_subnet("00000007", []) == IPv4Network("198.18.7.0/24")
    assert choose_subnet("00000007", []) == choose_subnet("00000207", [])  # 512 of them: the number goes round


def test_taken_subnets_are_passed_over():
    taken = [IPv4Network("198.18.7.0/24"), IPv4Network("198.18.8.64/26")]
    assert choose_subnet("7", taken) == IPv4Network("198.18.9.0/24")


def test_search_goes_round_the_end():
    assert choose_subnet("1ff", [IPv4Network("198.19.255.0/24")]) == IPv4Network("198.18.0.0/24")


def test_nothing_free_is_a_sentence():
    with pytest.raises(LabError, match=r"No /24 of 198\.18\.0\.0/15 is free"):
        choose_subnet("7", [RANGE])


def test_routes_without_the_default_one():
    assert routes(TABLE) == [IPv4Network("10.18.0.0/16"), IPv4Network("198.18.7.0/24")]
