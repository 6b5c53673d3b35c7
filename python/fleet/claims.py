"""Leases for callers: the playbooks' lease task, and commands that change a fleet by themselves."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fleet import lease as leases
from fleet import leasing
from fleet.controller import Controller, Limits
from fleet.keeper import Keeper
from fleet.owner import this_owner
from fleet.plan import plan_present
from fleet.scale_out import find_place
from fleet.site import load_site
from fleet.vsphere import record as records
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.lease import Owner
    from fleet.leasing import Waiting
    from fleet.model import FleetSpec
    from fleet.vsphere.session import Session


def acquire(
    site_file: str, fleet: str | None, run: str, who: Owner, *, wait: Waiting | None = None, create: bool = True
) -> dict[str, Any] | None:
    """Take a fleet's lease for a run.

    Returns:
        The lease as plain JSON values; ``None`` when the fleet has neither record nor members and none is to be made.

    Raises:
        LeaseError: another run holds it.
    """
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        if not _worth(session, spec, create=create):
            return None
        return leases.to_dict(leasing.acquire(session, spec, run, who, wait=wait))


def _worth(session: Session, spec: FleetSpec, *, create: bool) -> bool:
    """Whether there is, or will be, something that two runs could change.

    Raises:
        SiteError: a new fleet's ``fleet.yml`` names something that is not there. Its record would be the first thing written.
    """
    if records.find_record(session, spec.name) is not None:
        return True
    controller = Controller(session, spec)
    state = controller.observe().state
    if create:
        find_place(controller, plan_present(spec, None, state))
    return create or any(member.confirmed for member in state.members)


def require(site_file: str, fleet: str | None, run: str) -> None:
    """Make sure that a run still holds a fleet's lease.

    Raises:
        LeaseError: it does not.
    """
    site = load_site(site_file)
    with connect(site.endpoint()) as session:
        leasing.require(session, site.fleet(fleet), run)


@contextmanager
def holding(
    site_file: str,
    fleet: str | None,
    what: str,
    *,
    wait: Waiting | None = None,
    create: bool = True,
    limits: Limits | None = None,
) -> Iterator[Controller]:
    """A controller that may change its fleet: the lease is taken, kept for as long as the block lasts, and given back.

    Args:
        site_file: the site's ``fleet.yml``.
        fleet: the fleet's name.
        what: the command, for people who find the lease held: ``fleet retry``.
        wait: how to wait for another holder.
        create: make the fleet's record where it has none; else a fleet that has nothing is left without a lease.
        limits: the controller's time limits.

    Raises:
        LeaseError: another run holds it.
    """
    site = load_site(site_file)
    spec = site.fleet(fleet)
    run = str(uuid.uuid4())
    with connect(site.endpoint()) as session:
        if not _worth(session, spec, create=create):
            yield Controller(session, spec, limits=limits)
            return
        leasing.acquire(session, spec, run, this_owner(what), wait=wait)
        keeper = Keeper(lambda: connect(site.endpoint()), spec, run)
        keeper.start()
        try:
            yield Controller(session, spec, limits=limits, run=run)
        finally:
            keeper.close()
