"""The labs that benches run on: a vCenter of their own without containers, or a fleet of their own in the lab that is up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from _measure import ROOT

from fleet.domain.endpoint import Endpoint
from fleet.lab import api
from fleet.lab.control import Control
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fleet.vsphere.session import Session

ADMIN = {"name": api.USERNAME, "role": "admin"}


@contextmanager
def vcenter(site: Mapping[str, Any]) -> Iterator[tuple[Session, Control]]:
    """Run a vCenter that holds ``site`` (a model file of lab/vcenter), and log in to it."""
    with tempfile.TemporaryDirectory(prefix="triton-fleet-bench-") as name:
        folder = Path(name)
        model = folder / "site.yml"
        model.write_text(yaml.safe_dump({"users": [ADMIN], **site}), encoding="utf-8")
        try:
            lab = api.up(model, containers="none", root=ROOT, directory=folder / "lab")
            password = Path(lab["password_file"]).read_text(encoding="utf-8").strip()
            with connect(Endpoint(lab["host"], lab["port"], lab["username"], password, lab["ca_file"])) as session:
                yield session, Control(**lab["control"])
        finally:
            api.down(root=ROOT, directory=folder / "lab")


@dataclass(frozen=True)
class Fleet:
    """A fleet in the lab that is up, driven by the commands that people use."""

    site: Path

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run ``fleet … --json``; a failure is shown and ends the bench."""
        command = [sys.executable, "-m", "fleet", *arguments, "--json"]
        environment = {**os.environ, "FLEET_SITE": str(self.site), "FLEET_NAME": "bench"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"fleet {' '.join(arguments)} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def status(self) -> dict[str, Any]:
        """The fleet's part of ``fleet status --json``."""
        found: dict[str, Any] = self.run("status")["fleets"][0]
        return found

    def destroy(self) -> None:
        """Destroy what there is of it."""
        self.run("destroy", "--yes")


@contextmanager
def fleet(*, own_lab: bool = False) -> Iterator[Fleet]:
    """Describe a fleet ``bench`` of the lab that is up, like ``inventory/lab`` but in the lab's spare folder and cluster.

    Args:
        own_lab: bring up a lab for the bench alone, and take it down again.
    """
    with tempfile.TemporaryDirectory(prefix="triton-fleet-bench-") as name:
        folder = Path(name)
        directory = folder / "lab" if own_lab else None
        try:
            if own_lab:
                api.up(ROOT / "lab" / "sites" / "default.yml", root=ROOT, directory=directory)
            elif not api.status(root=ROOT)["running"]:
                sys.exit("The lab is not up: make lab-up.")
            ours = Fleet(described(folder / "site", directory or ROOT / "build" / "lab"))
            ours.destroy()
            try:
                yield ours
            finally:
                ours.destroy()
        finally:
            if own_lab:
                api.down(root=ROOT, directory=directory)


def described(site: Path, lab: Path) -> Path:
    """Write the site folder of the fleet ``bench`` in the lab whose files are in ``lab``."""
    source = ROOT / "inventory" / "lab"
    (site / "group_vars").mkdir(parents=True)
    document = yaml.safe_load((source / "fleet.yml").read_text(encoding="utf-8"))
    for key in ("port_file", "password_file", "ca_file"):
        document["vcenter"][key] = str(lab / Path(document["vcenter"][key]).name)
    spare = {"folder": "fleets/spare", "cluster": "gpu-spare", "size": {"initial": 1, "min": 0, "max": 9}}
    document["fleets"] = {"bench": {**document["fleets"]["demo"], **spare}}
    (site / "fleet.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    variables = (source / "group_vars" / "all.yml").read_text(encoding="utf-8")
    for there, here in (("build/lab", lab), ("lab/models", ROOT / "lab" / "models")):
        variables = variables.replace(f"{{{{ fleet_site_dir }}}}/../../{there}", str(here))
    (site / "group_vars" / "all.yml").write_text(variables, encoding="utf-8")
    return site
