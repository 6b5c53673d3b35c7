"""kill -9 at every write that giving a server another GPU makes in vCenter, and the same once more after it.

As ``tests.integration.fleet.killing``, whose bench this is, with a resize for its run; the guests and balancers are left out.

    python -m tests.integration.gpu.killing_resize FOLDER SCENARIO [SHARE SHARES]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.integration.fleet import killing

from fleet.operations import resize
from fleet.planning.vgpus import GPUS, WAS, held

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.fleet.conftest import Site


def _resize(count: int) -> Callable[[Site, str], None]:
    """The steps of ``scale_up.yml`` that write in vCenter; a server that holds what it is to hold and serves is left alone."""

    def run(site: Site, name: str) -> None:
        server = f"{name}-001"
        with site.hold(name, create=False) as controller:
            if resize.planned(controller, [server], gpus=count)["changed"]:
                resize.change(controller, server, gpus=count)
                resize.finish(controller, server, "ready", None)

    return run


def _restored(site: Site, name: str) -> None:
    """A change that is taken back: it was made, and what stands with the server brings back what it held."""
    server = f"{name}-001"
    with site.hold(name, create=False) as controller:
        if not resize.planned(controller, [server])["changed"]:
            return
        resize.restore(controller, server)
        resize.finish(controller, server, "ready", None)


def _grown_to(count: int, site: Site, name: str) -> None:
    site.grown(name, size=2)
    if count > 1:
        _resize(count)(site, name)


def _half_done(site: Site, name: str) -> None:
    site.grown(name, size=2)
    with site.hold(name, create=False) as controller:
        resize.change(controller, f"{name}-001", gpus=2)


SCENARIOS = {
    "up": killing.Scenario(partial(_grown_to, 1), _resize(2), _resize(2)),
    "down": killing.Scenario(partial(_grown_to, 2), _resize(1), _resize(1)),
    "back": killing.Scenario(_half_done, _restored, _restored),
    "back, and up after all": killing.Scenario(_half_done, _restored, _restored, then=_resize(2)),
}


class Bench(killing.Bench):
    """The same, and whether it is the same server, what it holds, and what stands with it."""

    same: dict[str, tuple[str, str | None]]

    def shape(self, name: str) -> dict[str, Any]:
        with self.site.open(name) as controller:
            members = controller.observe().members()
        servers = {
            member.name.removeprefix(name): (
                held(member),
                member.state,
                member.reason,
                member.vm.power,
                (member.vm.keys.get(GPUS), WAS in member.vm.keys),
            )
            for member in members
        }
        same = {member.name: (member.vm.moid, member.vm.instance_uuid) for member in members}
        return {**super().shape(name), "servers": servers, "the same VMs": same == self.same}

    def fleet(self, name: str) -> None:
        super().fleet(name)
        with self.site.open(name) as controller:
            self.same = {m.name: (m.vm.moid, m.vm.instance_uuid) for m in controller.observe().members()}


if __name__ == "__main__":
    killing.SCENARIOS.update(SCENARIOS)
    killing.Bench = Bench  # type: ignore[misc]
    killing.main(*sys.argv[1:])
