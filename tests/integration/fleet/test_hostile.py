"""What stands in vCenter is written by the owners of VMs too: none of it runs on the controller, and it stops nobody else."""

from __future__ import annotations

from pyVmomi import vim

from fleet.domain.identity import member_uuid
from fleet.service.inventory import site_inventory

from .conftest import done


def write(vm, **keys):
    """As somebody with rights on this VM alone."""
    changes = [vim.option.OptionValue(key=f"fleet.{key}", value=value) for key, value in keys.items()]
    done(vm.ReconfigVM_Task(spec=vim.vm.ConfigSpec(extraConfig=changes)))


def test_a_host_key_that_is_none_runs_nothing_on_the_controller(site, tmp_path):
    site.grown(size=2)
    canary = tmp_path / "canary"
    write(site.vm("fleets/demo/demo-001"), hostkey=f'ssh-ed25519 AAAA" -o "ProxyCommand=touch {canary}')
    result = site.ansible("ansible", "demo-001,demo-002", "-T", "1", "-m", "ansible.builtin.ping")
    assert not canary.exists(), result.text
    assert "demo-001" not in site.members(), "it is unconfirmed"
    assert site.members()["demo-002"].state == "ready"
    shown = " ".join(site.fleet("status").text.split())
    assert "fleet.hostkey of VM demo-001 is no SSH host key" in shown


def test_a_vm_with_an_odd_name_is_no_member_and_stops_nobody(site):
    """The identity is that of a member: anybody can compute it."""
    site.grown(size=1)
    stranger = site.vm("others/web-1")
    with site.open() as controller:
        vcenter = controller.session.instance_uuid
    for name in ("localhost", "www.example.org", "fleet@demo", "[/bold]", "{{ 1 }}", "a\nb", "demo-" + "9" * 5000):
        own = member_uuid(vcenter, "demo", name)
        done(stranger.ReconfigVM_Task(spec=vim.vm.ConfigSpec(instanceUuid=own)))
        write(stranger, name="demo", role="triton", server=name, uuid=own, state="ready")
        (fleet,) = site_inventory(site.load())
        assert [host.name for host in fleet.members] == ["demo-001"]
        assert fleet.unconfirmed == [f"{stranger._moId}@{stranger._moId}"]
        plan = site.present(check=True)
        assert (plan["changed"], [one["name"] for one in plan["servers"]]) == (False, ["demo-001"])
    shown = site.fleet("status")
    assert "cannot be a host name" in " ".join(shown.text.split())
    write(stranger, **dict.fromkeys(("name", "role", "server", "uuid", "state"), ""))
