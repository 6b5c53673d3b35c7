from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fleet.domain.plan import Creation
from fleet.errors import NoRoomError, SiteError
from fleet.vsphere import batch, find, read
from fleet.vsphere.api import vim
from fleet.vsphere.collect import read_some
from fleet.vsphere.snapshot import read_again, read_snapshot

from .conftest import meanwhile


def by_name(vms):
    return {vm.name: vm for vm in vms}


def test_all_vms_also_broken_ones(desk):
    vms = by_name(read.read_vms(desk.session))
    assert {"web-1", "web-2", "web-3", "notebook", "half-made", "lost", "triton-template", "dv-template"} <= vms.keys()
    assert vms["half-made"].instance_uuid is None
    assert vms["lost"].connection == "inaccessible"
    assert vms["triton-template"].template
    assert not vms["web-1"].template
    assert vms["web-1"].power == "poweredOn"
    assert all(not vm.keys for vm in vms.values())


def test_a_member_shows_everything(desk):
    desk.clone("demo-001")
    vm = desk.members()["demo-001"]
    assert vm.keys["role"] == "triton"
    assert vm.keys["uuid"] == vm.instance_uuid
    assert (vm.cpu, vm.memory_mb, vm.power) == (2, 4096, "poweredOff")
    assert vm.created.utcoffset().total_seconds() == 0
    assert vm.change_version
    assert vm.host
    assert vm.folder == find.find_folder(desk.session, None, "fleets/a")


def test_strangers_show_everything_when_requested(desk):
    lean = by_name(read.read_vms(desk.session))["web-1"]
    full = by_name(read.read_vms(desk.session, everything=True))["web-1"]
    assert (lean.cpu, lean.change_version) == (None, None)
    assert full.cpu == 2
    assert full.change_version
    assert read.read_some_vms(desk.session, [lean.moid, "vm-99999"]) == [full]


def test_pages(desk):
    desk.clone("demo-001", "demo-002", "demo-003")
    assert read.read_vms(desk.session, page=2) == read.read_vms(desk.session)
    assert read.read_hosts(desk.session, page=1) == read.read_hosts(desk.session)


def test_round_trips_do_not_grow_with_vms_or_fleets(desk):
    def calls(*fleets):
        mark = desk.control.last()
        snapshot = read_snapshot(desk.session, fleets)
        return snapshot, Counter(call.method for call in desk.control.calls(mark))

    desk.clone("demo-001")
    _, one = calls("demo")
    desk.clone(*[f"demo-{number:03d}" for number in range(2, 12)])
    snapshot, many = calls("demo", "other", "third")
    assert many == one
    assert one == {"CurrentTime": 1, "CreateContainerView": 1, "RetrievePropertiesEx": 3, "DestroyView": 1}
    assert len(snapshot.devices) == 11


def standing(snapshot):
    return {(host.name, gpu.pci_id): set(gpu.vms) for host in snapshot.hosts for gpu in host.gpus}


def test_a_later_look_reads_only_what_can_have_changed(desk):
    (first,) = desk.clone("demo-001").values()
    seen = read_snapshot(desk.session, ["demo"])
    (born,) = desk.clone("demo-002", gpu_profiles=("grid_a100-1-5c",)).values()
    desk.power_on({"demo-002": born})
    batch.destroy_all(desk.session, {"demo-001": first})
    mark = desk.control.last()
    now = read_again(desk.session, seen, [first, born])
    calls = Counter(call.method for call in desk.control.calls(mark))
    assert calls == {"CurrentTime": 1, "RetrievePropertiesEx": 3}, "members; once more without the one that is gone; their GPUs"
    assert {vm.moid for vm in now.vms} == {vm.moid for vm in seen.vms} - {first} | {born}
    assert (now.devices.keys(), now.devices[born].gpu_profiles) == ({born}, ("grid_a100-1-5c",))
    (host,) = [host for host in now.hosts if any(born in gpu.vms for gpu in host.gpus)]
    assert next(vm for vm in now.vms if vm.moid == born).host == host.moid
    fresh = read_snapshot(desk.session, ["demo"])
    assert (standing(now), now.devices) == (standing(fresh), fresh.devices)


def test_reading_writes_nothing(desk):
    mark = desk.control.last()
    vms = read.read_vms(desk.session)
    read.read_hosts(desk.session)
    read.read_devices(desk.session, [vm.moid for vm in vms])
    assert [call.method for call in desk.control.calls(mark, writes=True)] == []


def test_hosts_with_their_gpus(desk):
    hosts = by_name(read.read_hosts(desk.session))
    gpu = hosts["esx-mig-1"].gpus[0]
    assert (gpu.pci_id, gpu.vgpu_mode, gpu.memory_mb) == ("0000:3b:00.0", "multiInstanceGpu", 40960)
    assert gpu.vms == (by_name(read.read_vms(desk.session))["notebook"].moid,)
    assert hosts["esx-mig-1"].cluster == "mig"
    assert "grid_a100-2-10c" in hosts["esx-mig-1"].profiles
    assert hosts["esx-plain"].gpus == ()
    assert hosts["esx-maintenance"].maintenance
    assert hosts["esx-gone"].connection == "notResponding"


def test_devices(desk):
    vms = by_name(read.read_vms(desk.session))
    devices = read.read_devices(desk.session, [vms["notebook"].moid, vms["dv-template"].moid, vms["half-made"].moid, "vm-99999"])
    assert devices[vms["notebook"].moid].gpu_profiles == ("grid_a100-1-5c",)
    assert devices[vms["notebook"].moid].nics[0].network == "triton-net"
    assert devices[vms["dv-template"].moid].nics[0].network == "dv-net"
    assert devices[vms["half-made"].moid].nics == ()
    assert "vm-99999" not in devices


def test_objects_that_are_gone_are_left_out(desk):
    objects = [desk.session.object(vim.VirtualMachine, f"vm-9999{n}") for n in range(3)]
    assert read_some(desk.session, objects, ("name",)) == []


def test_the_session_is_lost_in_the_middle_of_a_read(desk):
    desk.control.fail("NotAuthenticated", method="ContinueRetrievePropertiesEx", skip=1, times=1)
    assert len(read.read_vms(desk.session, page=2)) == len(read.read_vms(desk.session))


def test_the_connection_breaks_in_the_middle_of_a_read(desk):
    desk.control.disconnect(method="ContinueRetrievePropertiesEx", skip=1, times=1)
    assert len(read.read_vms(desk.session, page=2)) == len(read.read_vms(desk.session))


class TestFind:
    def test_a_folder_is_made_once(self, desk):
        assert find.find_folder(desk.session, "dc", "others/new/deep") is None
        first = find.ensure_folder(desk.session, "dc", "others/new/deep")
        assert find.ensure_folder(desk.session, None, "/others/new/deep/") == first
        assert find.find_folder(desk.session, None, "others/new/deep") == first

    def test_somebody_makes_the_folder_at_the_same_moment(self, desk):
        def make(session):
            return find.ensure_folder(session, None, "others/raced")

        with meanwhile(desk, "CreateFolder", lambda: make(desk.session)) as late, desk.lab.connect() as other:
            made = make(other)
        assert late.result() == made

    def test_a_vm_where_a_folder_should_be(self, desk):
        with pytest.raises(SiteError, match="web-1 in vCenter is a VirtualMachine, not a folder"):
            find.ensure_folder(desk.session, None, "others/web-1/x")

    def test_a_missing_datacenter(self, desk):
        with pytest.raises(SiteError, match="no datacenter 'nowhere'; there are: dc"):
            find.find_folder(desk.session, "nowhere", "x")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"server": {"template": "triton-templat"}}, "no template 'triton-templat'.*did you mean triton-template?"),
            ({"server": {"template": "zzz"}}, "no template 'zzz'.*there are: dv-template, triton-template"),
            ({"server": {"template": "web-1"}}, "web-1.*is a running VM"),
            ({"server": {"template": "dv-template", "linked_clone": True}}, "dv-template has no snapshot.*linked_clone: false"),
            ({"cluster": "mog"}, "no cluster 'mog'.*did you mean mig?"),
            ({"cluster": None, "hosts": ("esx-mig-9",)}, "no host 'esx-mig-9'.*did you mean esx-mig-"),
            ({"network": "wire"}, "no network 'wire'.*there are: .*triton-net"),
            ({"datastore": "ds"}, "no datastore 'ds'"),
        ],
    )
    def test_what_is_missing_is_one_sentence(self, desk, change, message):
        shape = change.pop("server", {})
        desk.spec = replace(desk.spec, **change)
        with pytest.raises(SiteError, match=message) as caught:
            desk.requests(["demo-001"], **shape)
        assert "\n" not in str(caught.value)

    def test_a_template_with_its_folder(self, desk):
        (plain,) = desk.requests(["demo-001"])
        (found,) = desk.requests(["demo-001"], template="/vm/triton-template")
        assert found.template_moid == plain.template_moid
        with pytest.raises(SiteError, match="no template 'others/triton-template'"):
            desk.requests(["demo-001"], template="others/triton-template")

    def test_a_name_that_two_vms_have(self, desk):
        desk.clone("notebook")
        with pytest.raises(SiteError, match=r"Several VMs are called notebook \(/vm/fleets/a/notebook, /vm/others/notebook\)"):
            desk.requests(["demo-001"], template="notebook")
        (found,) = desk.requests(["demo-001"], template="a/notebook")
        assert found.template_moid == desk.members()["notebook"].moid

    def test_what_was_read_already_is_not_read_again(self, desk):
        vms, mark = read.read_vms(desk.session), desk.control.last()
        find.resolve(desk.session, desk.spec, desk.creations(["demo-001"]), vms=vms)
        assert len([call for call in desk.control.calls(mark) if call.method == "CreateContainerView"]) == 2
        assert desk.control.calls(mark, writes=True) == []

    def test_balancers_have_a_cluster_of_their_own(self, desk):
        desk.spec = replace(desk.spec, balancer_cluster="timed")
        server, balancer = Creation("a", "triton", desk.spec.server), Creation("b", "loadbalancer", desk.spec.balancer)
        place = find.resolve(desk.session, desk.spec, [server, balancer])
        assert place.of(server).pool_moid != place.of(balancer).pool_moid

    def test_nothing_is_made_where_nothing_may_be(self, desk):
        desk.spec, mark = replace(desk.spec, folder="others/not/there"), desk.control.last()
        assert find.resolve(desk.session, desk.spec, desk.creations(["a"]), make_folder=False).folder_moid == ""
        assert desk.control.calls(mark, writes=True) == []

    def test_without_drs_hosts_take_turns(self, desk):
        desk.spec = replace(desk.spec, cluster=None, hosts=("esx-mig-1", "esx-mig-2"))
        requests = desk.requests(["demo-001", "demo-002", "demo-003"], gpu_profiles=("grid_a100-1-5c",))
        assert len({request.host_moid for request in requests}) == 2
        assert None not in {request.host_moid for request in requests}

    def test_hosts_that_cannot_take_a_vm_are_not_chosen(self, desk):
        desk.spec = replace(desk.spec, cluster=None, hosts=("esx-gone", "esx-maintenance", "esx-plain"))
        names = {host.moid: host.name for host in read.read_hosts(desk.session)}
        assert [names[r.host_moid] for r in desk.requests(["a", "b"])] == ["esx-plain", "esx-plain"]
        with pytest.raises(NoRoomError, match="connected, out of maintenance with grid_a100-1-5c"):
            desk.requests(["a"], gpu_profiles=("grid_a100-1-5c",))
