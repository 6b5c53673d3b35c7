"""What Ansible makes of a site's variables: Jinja, vault and precedence are its own affair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fleet.ansible.runner import project_root
from fleet.errors import UsageError


def ssh_options(site_folder: Path, fleet: str) -> str:
    """The site's own options of ssh for a fleet, such as a jump host."""
    return site_variable(site_folder, fleet, "ansible_ssh_common_args")


def site_variable(site_folder: Path, fleet: str, name: str) -> str:
    """A variable of a fleet's logical host as text, empty where the site does not set it.

    Raises:
        UsageError: Ansible cannot read the site's variables; its own words are kept.
    """
    ansible = Path(sys.executable).parent / "ansible"
    command = [str(ansible), f"fleet@{fleet}", "--inventory", str(site_folder), "--module-name", "debug"]
    changed = {
        "ANSIBLE_CONFIG": str(project_root() / "ansible.cfg"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_FORCE_COLOR": "False",
    }
    said = subprocess.run(
        [*command, "--args", f"msg={{{{ {{'value': {name} | default('')}} }}}}"],
        env=os.environ | changed,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    _, found, document = said.stdout.partition(" | SUCCESS => ")
    if said.returncode or not found:
        why = (said.stderr or said.stdout).strip()
        raise UsageError(f"Ansible cannot tell {name} of fleet {fleet} in {site_folder}: {why}")
    return str(json.loads(document)["msg"]["value"])
