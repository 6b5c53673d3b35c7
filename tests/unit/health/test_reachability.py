"""Whose fault it is that a balancer does not reach a server that answers."""

from __future__ import annotations

import pytest

from fleet.health.reachability import faults


def test_a_server_that_nobody_reaches_is_to_blame():
    result = faults({"lb-1": {"a": "L4TOUT"}, "lb-2": {"a": "L4CON refused"}}, ["a", "b"])
    assert result == {"a": "it answers, and no balancer's health check reaches it (lb-1: L4TOUT; lb-2: L4CON refused)"}


def test_a_balancer_is_where_another_reaches_it():
    result = faults({"lb-1": {}, "lb-2": {"a": "L4TOUT", "b": "L4TOUT"}, "lb-3": {}}, ["a"])
    said = [f"it does not reach {name} (L4TOUT), which answers lb-1 and lb-3" for name in "ab"]
    assert result == {"lb-2": "; ".join(said)}


@pytest.mark.parametrize("balancers", [{}, {"lb-1": {}}, {"lb-1": {"old": "L4CON"}}])
def test_nobody_is_without_balancers_and_for_servers_that_did_not_answer_just_now(balancers):
    assert faults(balancers, ["a"]) == {}
