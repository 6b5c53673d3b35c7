"""What stands in vCenter is written by the owners of VMs too: none of it runs on the controller, and it stops nobody else."""

from __future__ import annotations

from pyVmomi import vim

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
