"""Whole fleets on a vCenter of the lab without containers: the real protocol, the real Ansible, a site folder of the test's own.

The guests are the one thing that is not there: `ssh-keyscan` is a script of the tests on PATH, in this process as in every child.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pyVmomi import vim

from fleet.lab.build import build_vcenter
from fleet.operations.fleet import FirstBoot, Limits
from fleet.service import scale
from fleet.service.session import open_fleet
from fleet.site.load import load_site

from ..lab.conftest import done
from .lease_by_plugins import leased
from .role import USER, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fleet.lab.control import Call, Control
    from fleet.operations.fleet import Controller

ROOT = Path(__file__).parents[3]
MODEL = Path(__file__).with_name("site.yml")
BIN = Path(sys.executable).parent
SLICE = "grid_a100-2-10c"
BOOT = FirstBoot("nvidia", ["ssh-ed25519 AAAATEST fleet"])
LIMITS = Limits(clone=20, power=20, address=5, ssh=5)
KEYSCAN = """#!/bin/sh
# Answers for every address as `ssh-keyscan -t ed25519` does, or with FLEET_TEST_MUTE=all for none.
shift 4
for address in "$@"; do
  key=$(printf '%s%s%043d' "$FLEET_TEST_KEY" "$(echo "$address" | tr -d .:)" 0 | cut -c1-43)
  case "$FLEET_TEST_MUTE" in all) ;; *) echo "$address ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI$key" ;; esac
done
"""


def fleet_of(name: str, **more: Any) -> dict[str, Any]:
    """A fleet for fleet.yml: three servers at most on the GPU cluster, no balancer."""
    return {
        "folder": f"fleets/{name}",
        "template": "triton-template",
        "cluster": "gpu",
        "datastore": "ds",
        "network": "triton-net",
        "gpu_profiles": [SLICE],
        "cpu": 4,
        "memory_gb": 16,
        "size": {"initial": 1, "min": 0, "max": 4},
        **more,
    }


BALANCER = {"count": 1, "template": "haproxy-template", "cluster": "infra", "cpu": 2, "memory_gb": 4}


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        assert self.code == 0, self.text
        return json.loads(self.out)


@dataclass
class Site:
    """A site folder that points at the vCenter, and short words for what the tests do with it."""

    vcenter: Any
    folder: Path
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def control(self) -> Control:
        control: Control = self.vcenter.control
        return control

    @property
    def boot(self) -> FirstBoot:
        return BOOT

    def load(self) -> Any:
        return load_site(self.file)

    @property
    def file(self) -> Path:
        return self.folder / "fleet.yml"

    @property
    def secrets(self) -> Path:
        return self.folder.parent / "secret"  # beside the folder: Ansible reads everything in it as an inventory

    def write(self, fleets: Mapping[str, Any], **top: Any) -> Site:
        """Write fleet.yml and the variables that the playbooks ask for."""
        connection = {
            "host": self.vcenter.host,
            "port": self.vcenter.port,
            "username": USER,
            "password_file": "../secret/password",
            "ca_file": str(self.vcenter.ca),
        }
        self.document = {"plugin": "fleet_vsphere", "vcenter": connection, "fleets": dict(fleets), **top}
        (self.folder / "group_vars").mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        (self.secrets / "password").write_text(self.vcenter.password)
        (self.secrets / "password").chmod(0o600)
        (self.secrets / "id.pub").write_text("ssh-ed25519 AAAATEST fleet\n")
        (self.secrets / "id").touch(mode=0o600)
        self.vars({"ansible_user": "nvidia", "ansible_ssh_private_key_file": "{{ fleet_site_dir }}/../secret/id"})
        self.file.write_text(yaml.safe_dump(self.document))
        return self

    def vars(self, variables: Mapping[str, Any]) -> None:
        (self.folder / "group_vars" / "all.yml").write_text(yaml.safe_dump(dict(variables)))

    def change(self, *path: str, **values: Any) -> None:
        """Change some keys below one place of fleet.yml: `change("fleets", "demo", template="other")`."""
        place = self.document
        for part in path:
            place = place[part]
        place.update(values)
        self.file.write_text(yaml.safe_dump(self.document))

    @contextlib.contextmanager
    def open(self, fleet: str | None = None) -> Iterator[Controller]:
        with open_fleet(str(self.file), fleet, limits=LIMITS) as controller:
            yield controller

    @contextlib.contextmanager
    def hold(
        self, fleet: str | None = None, *, create: bool = True, scale_out: bool = False, limits: Limits = LIMITS
    ) -> Iterator[Controller]:
        """A controller that may write: it holds the fleet's lease, as a playbook's modules do."""
        with (
            leased(self.file, fleet, lease_create=create, lease_scale_out=scale_out) as run,
            open_fleet(str(self.file), fleet, limits=limits, run=run) as controller,
        ):
            yield controller

    def present(self, fleet: str | None = None, **how: Any) -> dict[str, Any]:
        with (self.open if how.get("check") else self.hold)(fleet) as controller:
            return scale.present(controller, BOOT, **how)

    def drain(self, fleet: str | None = None, **how: Any) -> dict[str, Any]:
        with self.hold(fleet, create=False) as controller:
            return scale.drain(controller, **how)

    def remove(self, fleet: str | None = None, **how: Any) -> dict[str, Any]:
        with self.hold(fleet, create=False) as controller:
            return scale.remove(controller, **how)

    def mark_ready(self, fleet: str | None = None) -> None:
        """What a run writes down after each member answered."""
        with self.hold(fleet) as controller:
            controller.mark({m.name: ("ready", None) for m in controller.observe().state.members if m.confirmed})

    def grown(self, fleet: str | None = None, **how: Any) -> dict[str, Any]:
        """A fleet that is up and ready."""
        answer = self.present(fleet, **how)
        assert answer["failures"] == {}
        self.mark_ready(fleet)
        return answer

    def members(self, fleet: str | None = None) -> dict[str, Any]:
        with self.open(fleet) as controller:
            return {m.name: m for m in controller.observe().state.members if m.confirmed}

    def record(self, fleet: str | None = None) -> Any:
        with self.open(fleet) as controller:
            return controller.observe().record

    @functools.cached_property
    def content(self) -> Any:
        """The vCenter as any other client sees it."""
        return self.vcenter.connect().content

    def everything(self) -> dict[str, Any]:
        """All VMs of the vCenter by name."""
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [vim.VirtualMachine], recursive=True)
        try:
            return {vm.name: vm for vm in view.view}
        finally:
            view.Destroy()

    def vms(self) -> set[str]:
        return set(self.everything())

    def vm(self, path: str) -> Any:
        found = self.content.searchIndex.FindByInventoryPath(f"/dc/vm/{path}")
        assert found is not None, path
        return found

    def writes(self, since: int) -> list[Call]:
        """What was written in the vCenter since a mark; logging in is no write."""
        return self.control.calls(since, writes=True)

    def changes(self, since: int) -> list[Call]:
        """What was written beside the lease, which every changing run writes into the record."""
        return [call for call in self.writes(since) if not (call.name.endswith("-state") and call.method == "ReconfigVM_Task")]

    def ansible(self, program: str, *arguments: str, **environment: str) -> Done:
        """`ansible-…` with this site, wired by the checkout's own ansible.cfg."""
        return self.command(str(BIN / program), "-i", str(self.folder), *arguments, **environment)

    def fleet(self, *arguments: str, cwd: Path = ROOT, **environment: str) -> Done:
        """`fleet …` with this site."""
        return self.command(str(BIN / "fleet"), *arguments, cwd=cwd, **{"FLEET_SITE": str(self.folder), **environment})

    def command(self, *command: str, cwd: Path = ROOT, **environment: str) -> Done:
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        env = {key: value for key, value in os.environ.items() if not key.startswith(("VMWARE_", "FLEET_", "ANSIBLE_"))}
        env |= {
            "PATH": path,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "200",
            **environment,
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=env, cwd=cwd)
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def vcenter_program() -> Path:
    return build_vcenter(ROOT)


@pytest.fixture(scope="module")
def vcenter(vcenter_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One vCenter for a module; every test's fleets have names of their own or are removed at its end."""
    with running(vcenter_program, MODEL, tmp_path_factory.mktemp("vcenter"), "--containers", "none") as found:
        yield found


@pytest.fixture(scope="session")
def keyscan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "ssh-keyscan"
    script.write_text(KEYSCAN)
    script.chmod(0o755)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _guests(keyscan: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{keyscan}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture
def site(vcenter: Any, tmp_path: Path) -> Iterator[Site]:
    """A site with one fleet `demo` of one server; afterwards the vCenter holds what it held before."""
    here = Site(vcenter, tmp_path / "here").write({"demo": fleet_of("demo")})
    before = here.vms()
    try:
        with vcenter.control.quiet():
            yield here
            assert vcenter.control.unfired() == [], "trouble that the test injected did not happen"
        for name, vm in here.everything().items():
            if name not in before:
                remove(vm)
    finally:
        vcenter.disconnect()


def remove(vm: Any) -> None:
    """Remove a VM, whoever made it."""
    if vm.runtime.powerState == "poweredOn":
        done(vm.PowerOff())
    done(vm.Destroy())


def hand_made_clone(site: Site, path: str, name: str, **config: Any) -> Any:
    """A clone made in vCenter's own client: it carries the keys of the one it was made of, and a uuid of its own."""
    original = site.vm(path)
    keys = [option for option in original.config.extraConfig if option.key.startswith("fleet.")]
    spec = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(pool=original.resourcePool),
        config=vim.vm.ConfigSpec(extraConfig=keys, **config),
        powerOn=False,
        template=False,
    )
    return done(original.Clone(folder=original.parent, name=name, spec=spec))
