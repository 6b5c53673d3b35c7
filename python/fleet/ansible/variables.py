"""What Ansible makes of a site's variables: Jinja, vault and precedence are its own affair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fleet.ansible.runner import project_root
from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TRUE = {"true", "yes", "on", "y", "t", "1"}


def ssh_options(site_folder: Path, fleet: str, extra_vars: Sequence[str] = ()) -> str:
    """The site's own options of ssh for a fleet, such as a jump host."""
    expressions = {"ssh": "ansible_ssh_common_args | default('')"}
    return str(_evaluate(site_folder, fleet, expressions, extra_vars)["ssh"])


def role_variables(
    site_folder: Path, fleet: str, role: str, names: Iterable[str], extra_vars: Sequence[str] = ()
) -> dict[str, Any]:
    """What a run's role would be given: from ``-e``, else as the site sets it, else the role's default, else ``None``.

    Args:
        site_folder: the folder of the site.
        fleet: the fleet.
        role: the role, whose defaults/main.yml is read.
        names: the variables of the role.
        extra_vars: arguments of Ansible (``arguments.extra_vars_args``).

    Raises:
        UsageError: Ansible cannot read the site's variables; its own words are kept.
    """
    defaults = yaml.safe_load((project_root() / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    expressions = {name: f"{name} | default({default_expression(defaults.get(name))})" for name in names}
    return _evaluate(site_folder, fleet, expressions, extra_vars)


def count_in(variables: Mapping[str, Any], name: str) -> int:
    """A variable that counts servers.

    Raises:
        UsageError: it is no number, or below 1.
    """
    text = str(variables[name]).strip()
    if not (text.isdecimal() and int(text) >= 1):
        raise UsageError(f"{name} is a number of servers, 1 or more, and not {variables[name]!r}.")
    return int(text)


def truth_in(variables: Mapping[str, Any], name: str) -> bool:
    """A variable that is true or false; one that came as text (``-e name=true``) is read as Ansible does."""
    return str(variables[name]).strip().lower() in TRUE


def default_expression(default: Any) -> str:
    """A default of a role as a part of a Jinja expression."""
    text = str(default)
    if isinstance(default, str) and text.startswith("{{") and text.endswith("}}"):
        return text[2:-2].strip()
    return repr(default)


def _evaluate(site_folder: Path, fleet: str, expressions: Mapping[str, str], extra_vars: Sequence[str]) -> dict[str, Any]:
    """Let Ansible evaluate Jinja expressions for a fleet's logical host."""
    ansible = Path(sys.executable).parent / "ansible"
    wanted = ", ".join(f"'{name}': {expression}" for name, expression in expressions.items())
    command = [str(ansible), f"fleet@{fleet}", "--inventory", str(site_folder), *extra_vars, "--module-name", "debug"]
    changed = {
        "ANSIBLE_CONFIG": str(project_root() / "ansible.cfg"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_FORCE_COLOR": "False",
    }
    done = subprocess.run(
        [*command, "--args", f"msg={{{{ {{{wanted}}} }}}}"],
        env=os.environ | changed,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    _, found, document = done.stdout.partition(" | SUCCESS => ")
    if done.returncode or not found:
        why = (done.stderr or done.stdout).strip()
        raise UsageError(f"Ansible cannot resolve {', '.join(expressions)} of fleet {fleet} in {site_folder}: {why}")
    values: dict[str, Any] = json.loads(document)["msg"]
    return values
