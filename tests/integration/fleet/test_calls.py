"""How often a run asks its vCenter. The whole is read once; later looks read the run's own members (docs/architecture.md).

A run takes the lease, does its work and gives the lease back, each in a session of its own, as the playbooks' modules do. What
depends on time is not counted: fetching updates while a task runs, and renewing the lease.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.fleet.conftest import fleet_of

from fleet.lease import value
from fleet.service.status import site_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.fleet.conftest import Site

UPDATES = {"WaitForUpdatesEx", "CreateFilter", "DestroyPropertyFilter", "CreatePropertyCollector", "DestroyPropertyCollector"}


def counted(site: Site, run: Callable[[], Any]) -> tuple[int, int]:
    """What a run asks: views, each on the whole vCenter or a whole datacenter, and calls of all kinds."""
    since = site.control.last()
    run()
    calls = Counter(call.method for call in site.control.calls(since) if call.method not in UPDATES)
    return calls["CreateContainerView"], sum(calls.values())


@pytest.fixture(autouse=True)
def _no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value, "RENEW", 3600.0)


def answered(site: Site, *names: str) -> None:
    with site.hold() as controller:
        controller.mark(dict.fromkeys(names, ("ready", None)))


def test_the_calls_of_each_run(site: Site) -> None:
    calls = {
        "a new fleet": counted(site, lambda: site.present(size=1)),
        "it answered": counted(site, lambda: answered(site, "demo-001")),
        "nothing to do": counted(site, site.present),
        "two servers more": counted(site, lambda: site.present(add=2)),
        "they answered": counted(site, lambda: answered(site, "demo-002", "demo-003")),
        "one server less, marked": counted(site, lambda: site.drain(count=1)),
        "one server less, destroyed": counted(site, lambda: site.remove(names=["demo-003"], confirm="demo")),
    }
    assert calls == {
        "a new fleet": (10, 111),
        "it answered": (1, 31),
        "nothing to do": (1, 24),  # site.yml without a change
        # The whole once for the plan and once, when all clones are there, for the GPUs that others may have taken meanwhile; the
        # rest are the datacenters, what hosts belong to, what fleet.yml names, and the backings of networks: once each.
        "two servers more": (6, 103),
        "they answered": (1, 35),
        "one server less, marked": (1, 37),
        "one server less, destroyed": (2, 47),
    }


@pytest.mark.parametrize("fleets", [1, 7])
def test_one_read_serves_every_fleet_of_a_site(site: Site, fleets: int) -> None:
    site.grown()
    site.write({"demo": fleet_of("demo"), **{f"other-{n}": fleet_of(f"other-{n}") for n in range(1, fleets)}})
    assert counted(site, lambda: site.ansible("ansible-inventory", "--list")) == (1, 9)
    assert counted(site, lambda: site_status(site.load())) == (1, 9)
