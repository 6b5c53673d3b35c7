"""Opens a fleet of a site: its vCenter's session and a controller, for one call."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet.operations.fleet import Controller, Limits
from fleet.site.load import load_site
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_fleet(
    site_file: str, fleet: str | None, *, limits: Limits | None = None, run: str | None = None
) -> Iterator[Controller]:
    """A controller of one fleet of a site, logged in to its vCenter; ``run`` is the id under which the lease was taken."""
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        yield Controller(session, spec, limits=limits, run=run)
