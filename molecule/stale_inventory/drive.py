"""Runs with the host list that ``ansible-inventory --list --export`` wrote before the fleet changed, as an AWX job has it.

That ``--limit`` does not change what shared configuration contains needs guests with addresses:
tests/integration/fleet/test_stale_inventory.py shows it.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))
from commands import SITE, check, end, names, start, status

if TYPE_CHECKING:
    import subprocess

FLEET = "stale"
QUARANTINED = 3  # exit code of fleet: the servers have no guests


def fleet(code: int, *arguments: str) -> str:
    """What a command says."""
    return end(start(FLEET, "fleet", *arguments), code)


def export(folder: Path) -> Path:
    """The host list of this moment, printed by a script: AWX hands it to a job as one."""
    result = end(start(FLEET, "ansible-inventory", "-i", str(SITE), "--list", "--export"), 0)
    document = json.loads(result, object_hook=lambda entry: entry.get("__ansible_unsafe", entry))
    script = folder / "export"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(document)}\nEND\n", encoding="utf-8")
    script.chmod(0o700)
    return script


def play(inventory: Path, playbook: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a playbook with the old host list."""
    return start(FLEET, "ansible-playbook", "-i", str(inventory), f"playbooks/{playbook}.yml", "-e", f"fleet={FLEET}", *arguments)


def main() -> None:
    """The list is written, the fleet changes, runs work with the list."""
    fleet(QUARANTINED, "scale", "--size", "2")
    with tempfile.TemporaryDirectory() as folder:
        old = export(Path(folder))
        check(
            "exported",
            sorted(set(re.findall(rf"{FLEET}-\d+", old.read_text(encoding="utf-8")))),
            [f"{FLEET}-001", f"{FLEET}-002"],
        )
        fleet(0, "remove-vm", f"{FLEET}-001", "--yes")
        fleet(QUARANTINED, "add-vm")
        check("by now there are", names(FLEET), [f"{FLEET}-002", f"{FLEET}-003"])
        end(play(old, "scale_in", "-e", "server_vm_count=1", "-e", f"fleet_confirm={FLEET}"), 0)
        check("scale_in took the newest, of which the list knows nothing", names(FLEET), [f"{FLEET}-002"])
        result = end(play(old, "scale_out", "-e", "fleet_add=1", "--limit", f"fleet@{FLEET}"), 2)
        check("scale_out spoke of", sorted(set(re.findall(rf"{FLEET}-\d+", result))), [f"{FLEET}-002", f"{FLEET}-004"])
        check("and made the next one", names(FLEET), [f"{FLEET}-002", f"{FLEET}-004"])
        check("target", status(FLEET)["target"], 2)


if __name__ == "__main__":
    main()
