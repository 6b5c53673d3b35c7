"""A privilege is missing while GPUs are attached: it is named, and the server that it was for gets back what it held."""

from __future__ import annotations

import pytest

from fleet.errors import FleetError
from fleet.operations import resize
from fleet.planning.vgpus import held

from ..fleet.role import USER, without
from .conftest import FOUR, ONE, PAIR

ATTACH = ("VirtualMachine.Config.AddRemoveDevice", "VirtualMachine.Config.Resource", "VirtualMachine.Config.AdvancedConfig")
POWER_ON = "VirtualMachine.Interact.PowerOn"
HELD = {
    "a card": ("cards", {"vendor_id": "10de", "device_id": "20f1", "label": "a100-pt", "memory_gb": 40}),
    "linked vGPUs": ("linked", {"group": PAIR}),
}


@pytest.mark.parametrize("privilege", ATTACH)
@pytest.mark.parametrize("what", HELD)
def test_a_server_is_born_with_more_than_a_vgpu(site, what, privilege):
    cluster, device = HELD[what]
    site.demo(cluster, devices=[device])
    site.change("vcenter", username=without(privilege))
    try:
        said = "; ".join(site.present()["failures"].values())
    except FleetError as error:
        said = str(error)
    assert f"The account lacks the privilege {privilege} on " in said, said
    site.change("vcenter", username=USER)
    assert site.present()["failures"] == {}, "with the privilege the same run goes through"


def resized(site, step, **how):
    with site.hold() as controller:
        return getattr(resize, step)(controller, "demo-001", **how)


def state(site):
    (member,) = site.members().values()
    return held(member), member.host, member.vm.power


@pytest.mark.parametrize(
    "privilege",
    [
        "Resource.AssignVMToPool",
        "Resource.ColdMigrate",
        "VirtualMachine.Config.AddRemoveDevice",
        "VirtualMachine.Interact.PowerOff",
        POWER_ON,
    ],
)
def test_other_gpus_on_another_host(site, privilege):
    """The server is off, moved, reconfigured and on again: whichever step is refused, what it held is there for its way back."""
    site.demo("twins", ONE).grown(size=1)
    before = state(site)
    site.control.add_vm("neighbour", cluster="twins", host=before[1], gpu_profiles=[FOUR])
    site.change("vcenter", username=without(privilege))
    refusal = rf"The account lacks the privilege {privilege} on [^ ]+$"
    with pytest.raises(FleetError, match=refusal):
        resized(site, "change", gpus=1, profile=FOUR)
    if privilege == POWER_ON:
        with pytest.raises(FleetError, match=refusal):
            resized(site, "restore")
        site.change("vcenter", username=USER)
    resized(site, "restore")
    assert state(site) == before, "back as it was, with the account that could not change it"
    site.change("vcenter", username=USER)
    resized(site, "change", gpus=1, profile=FOUR)
    (profiles, host, power) = state(site)
    assert (profiles, power, host != before[1]) == ((FOUR,), "poweredOn", True), "with the privilege the same change goes through"
