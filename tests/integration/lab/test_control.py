"""What a test does to the lab: the call log, faults, delays, holds, strangers, roles."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim, vmodl

from fleet.errors import LabError
from fleet.lab.control import Control

from .conftest import SITES, done, ended, options, refused, running, until


def test_log_tells_reads_from_writes_by_session(site, lab):
    mark = lab.control.last()
    site.all(vim.HostSystem)
    reads = lab.control.calls(mark)
    assert {"CreateContainerView", "DestroyView"} <= {call.method for call in reads}
    assert not any(call.write for call in reads)
    vm = site.clone("logged", cluster="timed")
    writes = lab.control.calls(mark, writes=True)
    assert [(call.method, call.name, call.user, call.outcome) for call in writes] == [
        ("CloneVM_Task", "triton-template", lab.user, "ok")
    ]
    other = lab.connect()
    ended(vim.VirtualMachine(vm._moId, other._stub).PowerOn())
    power = lab.control.calls(mark, writes=True)[-1]
    assert (power.method, power.name) == ("PowerOnVM_Task", "logged")
    assert power.session != writes[0].session


def test_faults_by_method_and_object(site, lab):
    vm = site.clone("trouble", cluster="timed")
    lab.control.fail(
        "NoPermission", method="PowerOn*", target="trouble", message="not you", fields={"privilegeId": "X.Y"}, times=1
    )
    with pytest.raises(vim.fault.NoPermission) as caught:
        vm.PowerOn()
    assert (caught.value.msg, caught.value.privilegeId, caught.value.object) == ("not you", "X.Y", vm)
    lab.control.fail(
        "InsufficientGraphicsResourcesFault", method="PowerOnVM_Task", message="somebody else took it", task=True, times=1
    )
    fault = refused(vm.PowerOn())
    assert isinstance(fault, vim.fault.InsufficientGraphicsResourcesFault)
    assert fault.msg == "somebody else took it"
    done(vm.PowerOn())
    lab.control.fail("NotAuthenticated", method="PowerOffVM_Task")
    with pytest.raises(vim.fault.NotAuthenticated):
        vm.PowerOff()
    lab.control.clear_faults()
    lab.control.disconnect(method="PowerOffVM_Task", times=1)
    with pytest.raises(OSError, match=r".*"):
        vm.PowerOff()
    assert vm.runtime.powerState == "poweredOn"
    with pytest.raises(LabError, match="NoSuchFault"):
        lab.control.fail("NoSuchFault")


def test_delays(site, lab):
    lab.control.delay(0.5, method="CurrentTime")
    start = time.monotonic()
    site.session.CurrentTime()
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize("when", ["before", "after"])
def test_hold_and_release(site, lab, when):
    vm = site.clone("held", cluster="timed")
    hold = lab.control.hold(when, write=2)
    done(vm.Reconfigure(vim.vm.ConfigSpec(extraConfig=options({"first": "1"}))))
    with ThreadPoolExecutor(1) as pool:
        mine = vim.VirtualMachine(vm._moId, lab.connect()._stub)
        call = pool.submit(mine.PowerOn)
        assert lab.control.await_hold(hold).state == "waiting"
        assert vm.runtime.powerState == ("poweredOff" if when == "before" else "poweredOn")
        assert not call.done()
        lab.control.release(hold)
        done(call.result(10))
    assert vm.runtime.powerState == "poweredOn"


CLIENT = """
import ssl, sys
from pyVim.connect import SmartConnect
from pyVmomi import vim
host, port, user, password, ca, moid = sys.argv[1:]
session = SmartConnect(host=host, port=int(port), user=user, pwd=password, sslContext=ssl.create_default_context(cafile=ca))
vim.VirtualMachine(moid, session._stub).PowerOn()
"""


@pytest.mark.parametrize(("when", "state"), [("before", "poweredOff"), ("after", "poweredOn")])
def test_a_client_killed_in_a_hold(site, lab, when, state):
    vm = site.clone("killed", cluster="timed")
    hold = lab.control.hold(when)
    where = [lab.host, str(lab.port), lab.user, lab.password, str(lab.ca), vm._moId]
    with subprocess.Popen([sys.executable, "-c", CLIENT, *where]) as client:
        held = lab.control.await_hold(hold)
        assert held.state == "waiting"
        client.kill()
    until(lambda: lab.control.await_hold(hold, 0.1).state == "dropped")
    assert vm.runtime.powerState == state
    assert lab.control.calls(held.call - 1)[0].outcome == ("dropped" if when == "before" else "ok")


def test_a_stranger_takes_a_place(site, lab):
    lab.control.add_vm("stranger", cluster="mig", host="esx-mig-2", folder="fleets/a", gpu_profiles=["grid_a100-7-40c"])
    assert [vm.name for vm in site.host("esx-mig-2").config.graphicsInfo[0].vm] == ["stranger"]
    vm = site.clone("late", gpus=("grid_a100-1-5c",), host="esx-mig-2")
    assert isinstance(refused(vm.PowerOn()), vim.fault.InsufficientGraphicsResourcesFault)
    with pytest.raises(LabError, match="no-such"):
        lab.control.add_vm("x", cluster="no-such")


def test_guests_that_lie(site, lab):
    vm = site.clone("liar", cluster="timed")
    lab.control.guest("liar", address="none")
    done(vm.PowerOn())
    until(lambda: vm.guest.toolsRunningStatus == "guestToolsRunning")
    assert vm.guest.ipAddress is None
    lab.control.guest("liar", address="link-local")
    assert vm.guest.ipAddress.startswith("169.254.")
    lab.control.guest("liar")
    assert vm.guest.ipAddress.startswith("198.18.7.")
    lab.control.shutdown("liar")
    assert vm.runtime.powerState == "poweredOff"


def test_hosts_and_sessions(site, lab):
    lab.control.host("esx-plain", state="disconnected")
    assert site.host("esx-plain").runtime.connectionState == "disconnected"
    lab.control.host("esx-plain", state="connected", maintenance=False)
    other = lab.connect()
    assert lab.control.end_sessions() >= 2
    with pytest.raises(vim.fault.NotAuthenticated):
        other.CurrentTime()
    site.session = lab.connect()


def test_roles(lab, site):
    vm = site.clone("guarded", cluster="timed")
    auditor = lab.connect("auditor@vsphere.local", "only-looking")
    with pytest.raises(vim.fault.NoPermission) as caught:
        vim.VirtualMachine(vm._moId, auditor._stub).PowerOn()
    assert caught.value.privilegeId == "VirtualMachine.Interact.PowerOn"
    cloner = lab.connect("cloner@vsphere.local", "makes-no-power")._stub
    assert vim.VirtualMachine(vm._moId, cloner).name == "guarded"
    with pytest.raises(vim.fault.NoPermission):
        vim.VirtualMachine(vm._moId, cloner).Destroy()
    content = vim.ServiceInstance("ServiceInstance", cloner).content
    session = content.sessionManager.currentSession.key
    wanted = ["System.View", "VirtualMachine.Provisioning.DeployTemplate", "VirtualMachine.Interact.PowerOn"]
    [entity] = content.authorizationManager.HasPrivilegeOnEntities([vm], session, wanted)
    assert [p.isGranted for p in entity.privAvailability] == [True, True, False]


def test_an_abandoned_wait_ends(site, lab):
    code = CLIENT.replace("vim.VirtualMachine(moid, session._stub).PowerOn()", WAITER)
    where = [lab.host, str(lab.port), lab.user, lab.password, str(lab.ca), site.vm("web-1")._moId]
    mark = lab.control.last()
    waits = lambda: [c for c in lab.control.calls(mark) if c.method == "WaitForUpdatesEx"]  # noqa: E731
    with subprocess.Popen([sys.executable, "-c", code, *where]) as client:
        until(lambda: len(waits()) == 2)
        client.kill()
    until(lambda: waits()[1].outcome != "running")


WAITER = """
from pyVmomi import vmodl
kind = vmodl.query.PropertyCollector
collector = session.content.propertyCollector.CreatePropertyCollector()
spec = kind.FilterSpec(objectSet=[kind.ObjectSpec(obj=vim.VirtualMachine(moid))],
                       propSet=[kind.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])])
collector.CreateFilter(spec, True)
collector.WaitForUpdatesEx(collector.WaitForUpdatesEx("", None).version, None)
"""


def test_a_token_is_required(lab):
    with pytest.raises(LabError, match="token"):
        Control(lab.control.url, "guess").calls()


def test_bad_input_is_one_sentence(program, tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text("datacenters: [{name: dc, clusterz: []}]\n")
    for arguments in (["--site", str(bad)], ["--site", str(tmp_path / "none.yml")], ["--containers", "podman"]):
        more = [f"--{flag}={tmp_path / flag}" for flag in ("state-dir", "tls-cert", "tls-key", "password-file", "ready-file")]
        run = subprocess.run(
            [program, "--site", SITES / "small.yml", *more, *arguments], capture_output=True, text=True, check=False
        )
        assert run.returncode == 1
        assert run.stderr.startswith("lab-vcenter: ")
        assert run.stderr.count("\n") == 1
        assert "goroutine" not in run.stderr


def test_ten_thousand_vms(program, tmp_path):
    site = tmp_path / "big.yml"
    site.write_text(
        "datacenters: [{name: dc, clusters: [{name: c, hosts: [{name: 'h%d', count: 8}]}]}]\n"
        "generate: {vms: 10000, folder: plain, powered_on: 0.5}\n"
    )
    with running(program, site, tmp_path) as big:
        content = big.connect().RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], recursive=True)
        spec = vmodl.query.PropertyCollector
        traversal = spec.TraversalSpec(name="all", path="view", skip=False, type=vim.view.ContainerView)
        read = content.propertyCollector.RetrievePropertiesEx(
            [
                spec.FilterSpec(
                    objectSet=[spec.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
                    propSet=[spec.PropertySpec(type=vim.VirtualMachine, pathSet=["name", "runtime.powerState"])],
                )
            ],
            spec.RetrieveOptions(maxObjects=20000),
        )
        assert len({o.propSet[0].val for o in read.objects}) == 10000
        assert sum(p.val == "poweredOn" for o in read.objects for p in o.propSet if p.name == "runtime.powerState") == 4999
