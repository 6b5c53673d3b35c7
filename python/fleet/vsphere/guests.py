"""What guests report of themselves, in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.vsphere.api import vim
from fleet.vsphere.collect import PAGE, moid, read_all

if TYPE_CHECKING:
    from fleet.vsphere.session import Session


def reported_addresses(session: Session, *, page: int = PAGE) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name and addresses of every VM whose guest reports any, by moid; bridges and tunnels in the guest included.

    Round trips: two, and one for every ``page`` VMs.
    """
    found = {}
    for item, values in read_all(session, {vim.VirtualMachine: ("name", "guest.ipAddress", "guest.net")}, page=page):
        listed = [address for card in values.get("guest.net") or () for address in card.ipAddress or ()]
        if first := values.get("guest.ipAddress"):
            listed.append(str(first))
        if listed:
            found[str(moid(item))] = (str(values.get("name") or moid(item)), tuple(dict.fromkeys(listed)))
    return found
