"""The documented role is enough (every other test here runs with it), and none of it is too much: each privilege that is
missing ends in a sentence that names it, and leaves nothing half done that a later run could not finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.errors import VSphereError
from fleet.vsphere import batch

from ..lab import conftest as lab  # noqa: TID252  pytest's own packages
from .conftest import MODEL, Site, done, fleet_of, remove
from .role import USER, documented, with_role

if TYPE_CHECKING:
    from collections.abc import Iterator

# The lab gives a clone no customization: what checks that specification is the vCenter itself.
UNUSED = {"VirtualMachine.Provisioning.Customize"}
NEEDED = sorted(set(documented()) - UNUSED)


def account(privilege: str) -> str:
    return f"no-{privilege.lower()}@vsphere.local"


@pytest.fixture(scope="module")
def vcenter(vcenter_program, tmp_path_factory):
    """A vCenter with one account for each privilege: it holds all of the role but that."""
    folder = tmp_path_factory.mktemp("privileges")
    accounts = [(account(one), [other for other in documented() if other != one]) for one in NEEDED]
    model = with_role(MODEL, folder, *accounts)
    with lab.running(vcenter_program, model, folder) as found:
        yield found


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


OTHERWISE = {
    "VirtualMachine.Interact.PowerOff": shrink,
    "VirtualMachine.Inventory.Delete": shrink,
    "Resource.ColdMigrate": move,
}


@pytest.mark.parametrize("privilege", NEEDED)
def test_a_missing_privilege_is_named(own, privilege):
    operation = OTHERWISE.get(privilege, grow)
    if operation is not grow:
        own.grown()
    if operation is move:
        done(own.vm("own/fleet/demo-001").PowerOff())
    own.change("vcenter", username=account(privilege))
    try:
        said = operation(own)
    except VSphereError as error:
        said = str(error)
    assert f"The account lacks the privilege {privilege} on " in said, said
    assert len(said.splitlines()) == 1
    own.change("vcenter", username=USER)
    assert own.present()["failures"] == {}, "with the privilege the same run goes through"
