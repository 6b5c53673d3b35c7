"""What a client reads: logins, whole objects, keyed property paths."""

from __future__ import annotations

import gc
import json

import jsonschema
import pytest
import yaml
from pyVmomi import vim, vmodl

from .conftest import ROOT, SITES, done, extra_config, options, until

PROPERTIES = vmodl.query.PropertyCollector
# Newer than the simulator's own types.
UNKNOWN = {"configManagerEnabled", "summaryEx", "networkBootMode", "externallyManagedFolderInfo"}


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # pyVmomi leaves the socket of a refused login open
def test_login(lab):
    with pytest.raises(vim.fault.InvalidLogin):
        lab.connect(password="wrong")
    with pytest.raises(vim.fault.InvalidLogin):
        lab.connect(user="nobody@vsphere.local")
    assert lab.connect().content.about.instanceUuid == lab.instance_uuid
    auditor = lab.connect("auditor@vsphere.local", "only-looking")
    assert auditor.content.sessionManager.currentSession.userName == "auditor@vsphere.local"
    gc.collect()


@pytest.mark.parametrize(
    "kind",
    [vim.Datacenter, vim.ClusterComputeResource, vim.HostSystem, vim.VirtualMachine, vim.Datastore, vim.Network, vim.Folder],
)
def test_every_property_can_be_read(site, kind):
    site.clone("whole")
    for entity in site.all(kind).values():
        for prop in entity._GetPropertyList():
            if prop.name not in UNKNOWN:
                getattr(entity, prop.name)


def test_hosts_report_their_gpus(site):
    info = site.host("esx-mig-1").config.graphicsInfo[0]
    assert (info.pciId, info.vgpuMode, info.graphicsType) == ("0000:3b:00.0", "multiInstanceGpu", "sharedDirect")
    assert info.memorySizeInKB == 40 * 2**20
    assert [vm.name for vm in info.vm] == ["notebook"]
    config = site.host("esx-timed-1").config
    assert list(config.sharedPassthruGpuTypes) == ["grid_a100-5c", "grid_a100-10c", "grid_a100-40c"]
    assert {c.vgpu for c in config.sharedGpuCapabilities} == set(config.sharedPassthruGpuTypes)
    assert not site.host("esx-plain").config.graphicsInfo
    browser = site.all(vim.ClusterComputeResource)["mig"].environmentBrowser
    assert {p.profileSharing for p in browser.QueryConfigTarget(None).vgpuProfileInfo} == {"mig"}


def test_broken_vms_are_there_to_be_met(site):
    assert site.vm("half-made").config is None
    assert site.vm("lost").runtime.connectionState == "inaccessible"
    with pytest.raises(vim.fault.InvalidState):
        site.vm("half-made").Destroy()
    web = site.vm("web-1")
    assert site.content.searchIndex.FindByUuid(uuid=web.config.instanceUuid, vmSearch=True, instanceUuid=True) == web


def test_keyed_paths_in_bulk_and_in_updates(site):
    vms = [site.clone(name, extra={"fleet.name": name}) for name in ("k1", "k2")]
    path = 'config.extraConfig["fleet.name"]'
    spec = PROPERTIES.FilterSpec(
        objectSet=[PROPERTIES.ObjectSpec(obj=vm) for vm in [*vms, site.vm("web-1")]],
        propSet=[PROPERTIES.PropertySpec(type=vim.VirtualMachine, pathSet=["name", path])],
    )
    collector = site.content.propertyCollector
    read = {o.obj: {p.name: p.val for p in o.propSet} for o in collector.RetrieveContents([spec])}
    assert [read[vm][path].value for vm in vms] == ["k1", "k2"]
    assert path not in read[site.vm("web-1")]

    waiter = collector.CreatePropertyCollector()
    waiter.CreateFilter(spec, partialUpdates=True)
    version = waiter.WaitForUpdatesEx("", None).version
    done(vms[0].Reconfigure(vim.vm.ConfigSpec(extraConfig=options({"fleet.name": "renamed"}))))
    update = waiter.WaitForUpdatesEx(version, PROPERTIES.WaitOptions(maxWaitSeconds=5))
    change = update.filterSet[0].objectSet[0].changeSet[0]
    assert (change.name, change.val.value) == (path, "renamed")
    waiter.Destroy()


def test_updates_tell_of_tasks_power_and_addresses(site):
    vm = site.clone("told", cluster="timed")
    spec = PROPERTIES.FilterSpec(
        objectSet=[PROPERTIES.ObjectSpec(obj=vm)],
        propSet=[PROPERTIES.PropertySpec(type=vim.VirtualMachine, pathSet=["runtime.powerState", "guest.net"])],
    )
    waiter = site.content.propertyCollector.CreatePropertyCollector()
    waiter.CreateFilter(spec, partialUpdates=True)
    version, seen = waiter.WaitForUpdatesEx("", None).version, {}
    done(vm.PowerOn())

    def arrived() -> bool:
        nonlocal version
        update = waiter.WaitForUpdatesEx(version, PROPERTIES.WaitOptions(maxWaitSeconds=5))
        version = update.version
        seen.update({c.name: c.val for f in update.filterSet for o in f.objectSet for c in o.changeSet})
        return bool(seen.get("guest.net"))

    until(arrived)
    assert seen["runtime.powerState"] == "poweredOn"
    assert seen["guest.net"][0].network == "triton-net"
    waiter.Destroy()


def test_model_files_fit_the_schema():
    schema = json.loads((ROOT / "lab" / "site.schema.json").read_text())
    for path in SITES.glob("*.yml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_template_extra_config_is_shown(site):
    assert extra_config(site.vm("triton-template"))["lab.note"] == "from the template"
