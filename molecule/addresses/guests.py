"""The guests of a site, as its inventory tells how they are reached; the scripts of this scenario run commands in them."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Guest:
    """One guest."""

    name: str
    address: str
    login: tuple[str, ...]

    def run(self, script: str, text: str = "") -> str:
        """What a script of root says there; ``text`` is its standard input: a command line would be seen and logged."""
        command = ["ssh", *self.login, f"sudo sh -c {shlex.quote(script)}"]
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True, timeout=120, text=True).stdout


def plain(value: Any) -> str:
    """A host variable; strings that Ansible may not take for templates come wrapped."""
    return str(value["__ansible_unsafe"] if isinstance(value, dict) else value)


def guests_of(site: Path) -> list[Guest]:
    """All guests of a site, servers first."""
    listed = subprocess.run(["ansible-inventory", "-i", site, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    hosts: dict[str, dict[str, Any]] = json.loads(listed)["_meta"]["hostvars"]
    found = []
    for name, host in sorted(hosts.items(), key=lambda item: ("-lb-" in item[0], item[0])):
        if "@" not in name:
            address, options, key = (plain(host[f"ansible_{one}"]) for one in ("host", "ssh_args", "ssh_private_key_file"))
            found.append(Guest(name, address, (*shlex.split(options), "-i", key, f"nvidia@{address}")))
    return found
