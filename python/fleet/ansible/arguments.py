"""The arguments of ``ansible-playbook`` that a command of ``fleet`` passes on. Reads @files; else pure."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Variables that the command line sets by itself → what to use instead of ``-e``, which would bypass the plan that was shown.
RESERVED: Final = {
    "fleet": "name the fleet with --fleet",
    "fleet_size": "use fleet scale --size",
    "fleet_add": "use fleet add-vm --count",
    "fleet_confirm": "consent at the question or with --yes",
    "fleet_shown": "the command sets it to the plan that it showed",
    "fleet_more": "use --more",
    "fleet_request_id": "use --request-id",
    "server_vm_names": "name the servers after the command",
    "server_vm_count": "use fleet remove-vm --count",
    "server_gpus_names": "name the servers after the command",
    "fleet_adoption_vms": "name the VMs after the command",
    "fleet_adoption_role": "use fleet adopt --role",
}
_VAULT: Final = "$ANSIBLE_VAULT"
#: A term of a host pattern that has no comma, as Ansible splits it (``split_host_pattern``): colons part, except within ``[]``.
_TERM: Final = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Options of ``ansible-playbook``, by their names there.

    Attributes:
        extra_vars: each NAME=VALUE pairs, JSON or YAML text, or @FILE.
        limit: the host pattern of ``--limit``.
        tags: tags of the tasks to run.
        skip_tags: tags of the tasks to leave out.
        list_tasks: list the tasks, run none.
        check: ``--check --diff``.
        verbosity: how many ``-v``.
    """

    extra_vars: tuple[str, ...] = ()
    limit: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    list_tasks: bool = False
    check: bool = False
    verbosity: int = 0


def build_args(arguments: Arguments, logical_host: str) -> list[str]:
    """The arguments of ``ansible-playbook`` before the playbook's own variables and name.

    Args:
        arguments: what the user said.
        logical_host: the fleet's (``fleet@NAME``); a limit always includes it, because the run is planned there.

    Raises:
        UsageError: a file that ``--limit`` names cannot be read.
    """
    built = extra_vars_args(arguments.extra_vars)
    if arguments.limit is not None:
        built.append(f"--limit={_limit(arguments.limit, logical_host)}")
    built += [f"--tags={tags}" for tags in arguments.tags]
    built += [f"--skip-tags={tags}" for tags in arguments.skip_tags]
    built += ["--list-tasks"] if arguments.list_tasks else []
    built += ["--check", "--diff"] if arguments.check else []
    built += [f"-{'v' * arguments.verbosity}"] if arguments.verbosity else []
    return built


def extra_vars_args(extra_vars: Iterable[str]) -> list[str]:
    """The same ``-e`` for any of Ansible's programs, wherever it is started: a file's path is absolute."""
    return [f"--extra-vars={f'@{_path(text)}' if text.startswith('@') else text}" for text in extra_vars]


def check_extra_vars(extra_vars: Iterable[str]) -> None:
    """Refuse what Ansible would not understand, and the variables that the command line sets by itself.

    Raises:
        UsageError: which ``-e``, and what to do instead.
    """
    for text in extra_vars:
        for name in sorted(variable_names(text) & RESERVED.keys()):
            raise UsageError(f"-e {name} is refused, and nothing was done: {RESERVED[name]}.")


def variable_names(text: str) -> set[str]:
    """The variables that one ``-e`` sets. Those of a file that is encrypted as a whole are not known.

    Raises:
        UsageError: it sets none, or cannot be read.
    """
    if not text.strip():
        return set()
    if text[0] in "/.":
        raise UsageError(f"-e {text} looks like a file: write -e @{text}.")
    if text[0] == "@":
        return _names_of_yaml(text, _read(_path(text)))
    if text[0] in "[{":
        return _names_of_yaml(text, text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"-e {text} cannot be read: {error}.") from error
    names = {word.split("=", 1)[0] for word in words if "=" in word}
    if not names:
        raise UsageError(f"-e {text} sets no variable: write NAME=VALUE, JSON or YAML text, or @FILE.")
    return names


class _Loader(yaml.SafeLoader):
    """Reads YAML with Ansible's own tags (``!vault``, ``!unsafe``), whose values do not matter here."""


_Loader.add_multi_constructor("!", lambda *_: None)


def _names_of_yaml(where: str, text: str) -> set[str]:
    if text.startswith(_VAULT):
        return set()
    try:
        found: Any = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise UsageError(f"-e {where} is neither JSON nor YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"-e {where} holds no variables: it has to be a mapping of names to values.")
    return {str(name) for name in found}


def _limit(limit: str, logical_host: str) -> str:
    """The pattern with the logical host in it. One that only excludes means all others, and so includes it already."""
    terms = [term for part in _split(limit) for term in (_read(_path(part)).split() if part.startswith("@") else [part])]
    if any(term[0] not in "!&" for term in terms):
        terms.insert(0, logical_host)
    return ",".join(terms)


def _split(pattern: str) -> list[str]:
    terms = pattern.split(",") if "," in pattern else _TERM.findall(pattern)
    return [term.strip() for term in terms if term.strip()]


def _path(text: str) -> Path:
    return Path(os.path.expandvars(text.removeprefix("@"))).expanduser().absolute()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
