"""The documented role is enough (every other test here runs with it), and none of it is too much: each privilege that is
missing ends in a sentence that names it, and leaves nothing half done that a later run could not finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.errors import FleetError
from fleet.vsphere import batch

from .conftest import Site, done, fleet_of, remove
from .role import USER, documented, without

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMIZE = "VirtualMachine.Provisioning.Customize"
FAILED_MEMBERS = 3  # fleet's exit code


@pytest.fixture
def own(site: Site) -> Iterator[Site]:
    """A fleet with a GPU, and afterwards none."""
    yield site.write({"demo": fleet_of("demo", folder="own/fleet")})
    for name, vm in site.everything().items():
        if name.startswith("demo-"):
            remove(vm)
    if folder := site.content.searchIndex.FindByInventoryPath("/dc/vm/own"):
        done(folder.Destroy())


def grow(site: Site) -> str:
    return "; ".join(site.present()["failures"].values())


def shrink(site: Site) -> str:
    return "; ".join(site.remove(everything=True, confirm="demo")["failures"].values())


def move(site: Site) -> str:
    with site.open() as controller:
        observed = controller.observe()
        (server,) = observed.members()
        elsewhere = next(host.moid for host in observed.hosts if host.cluster == "gpu" and host.moid != server.vm.host)
        return str(
            batch.relocate_all(controller.session, {"demo-001": server.vm.moid}, {"demo-001": elsewhere})["demo-001"].error
        )


def customize(site: Site) -> str:
    site.change("fleets", "demo", first_boot="customization", domain="example.com")
    return grow(site)


OTHERWISE = {
    "VirtualMachine.Interact.PowerOff": shrink,
    "VirtualMachine.Inventory.Delete": shrink,
    "Resource.ColdMigrate": move,
    CUSTOMIZE: customize,
}


@pytest.mark.parametrize("privilege", sorted(documented()))
def test_a_missing_privilege_is_named(own, privilege):
    operation = OTHERWISE.get(privilege, grow)
    if operation in (shrink, move):
        own.grown()
    if operation is move:
        done(own.vm("own/fleet/demo-001").PowerOff())
    own.change("vcenter", username=without(privilege))
    try:
        said = operation(own)
    except FleetError as error:
        said = str(error)
    assert f"The account lacks the privilege {privilege} on " in said, said
    assert len(said.splitlines()) == 1
    own.change("vcenter", username=USER)
    assert own.present()["failures"] == {}, "with the privilege the same run goes through"


def test_a_whole_command_of_a_site_with_a_customization(own):
    """Without the privilege the command names it and clones nothing; a site without a customization needs none."""
    own.change("fleets", "demo", first_boot="customization", domain="example.com")
    own.change("vcenter", username=without(CUSTOMIZE))
    result = own.fleet("add-vm", "--json")
    assert result.code == FAILED_MEMBERS, result.text
    assert f"The account lacks the privilege {CUSTOMIZE} on " in result.text
    assert "demo-001" not in own.vms()
    own.change("fleets", "demo", first_boot="cloud-init")
    assert own.present()["failures"] == {}
