"""Whose fault it is that a balancer does not reach a server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def faults(balancers: Mapping[str, Mapping[str, str]], answering: Collection[str]) -> dict[str, str]:
    """Who is to be quarantined, and why.

    A server that answers on its own machine and that no balancer reaches is at fault itself (a firewall, say). Where one balancer
    reaches a server and another does not, the latter is. For a server that no balancer reaches, and of which nobody knows whether
    it answers, nobody is.

    Args:
        balancers: for each balancer the servers that it does not reach, and what its health check says.
        answering: the servers that have just answered on their own machines.

    Returns:
        The reason for each server and balancer at fault, by name.
    """
    reasons: dict[str, list[str]] = {}
    for server in sorted({server for unreached in balancers.values() for server in unreached}):
        without = {name: unreached[server] for name, unreached in sorted(balancers.items()) if server in unreached}
        if len(without) == len(balancers):
            said = "; ".join(f"{name}: {why}" for name, why in without.items())
            if server in answering:
                reasons[server] = [f"it answers, and no balancer's health check reaches it ({said})"]
            continue
        others = " and ".join(sorted(balancers.keys() - without.keys()))
        for name, why in without.items():
            reasons.setdefault(name, []).append(f"it does not reach {server} ({why}), which answers {others}")
    return {name: "; ".join(each) for name, each in reasons.items()}
