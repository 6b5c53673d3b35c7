"""SSH host keys at first contact: read once from the new guest, recorded with its VM, checked ever after.

Guests that are reached directly are scanned by ``ssh-keyscan``, all at once. It knows no jump host: where the site has ssh
options of its own (``ansible_ssh_common_args``), ``ssh`` itself scans with them, so that first contact goes the way of every
later connection; it stops where it would log in.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.domain.host_key import KEY_TYPE, parse_host_key
from fleet.errors import GuestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_ALIAS = "guest"
_AT_ONCE = 8  # connections through a jump host; sshd's own MaxStartups begins to refuse at 10


def scan_host_keys(
    addresses: Iterable[str],
    *,
    timeout: float,
    ssh_args: str = "",
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Ask many guests for their ed25519 host key until all have answered or ``timeout`` seconds are over.

    Args:
        addresses: of the guests.
        timeout: seconds in all.
        ssh_args: the site's own options of ssh, such as ``-o ProxyJump=operator@bastion``.
        clock: seconds that only go forward.
        sleep: waits some seconds.

    Returns:
        ``{address: "ssh-ed25519 AAAA…"}``, which a guest that never answered is missing from, and for those what ssh said last.

    Raises:
        GuestError: there is no OpenSSH client on this machine.
        UsageError: ``ssh_args`` cannot be split into words.
    """
    missing = set(addresses)
    options = _words(ssh_args)
    found: dict[str, str] = {}
    failed: dict[str, str] = {}
    deadline = clock() + timeout
    pause = 0.2
    while missing:
        limit = max(1.0, min(5.0, deadline - clock()))
        keys, reasons = _through(missing, options, limit=max(limit, 3.0)) if options else (_scan(missing, limit=limit), {})
        found |= keys
        failed |= reasons
        missing -= found.keys()
        if not missing or clock() >= deadline:
            break
        sleep(pause)
        pause = min(pause * 1.5, 2.0)
    return found, {address: text for address, text in failed.items() if address in missing}


def _words(ssh_args: str) -> list[str]:
    try:
        return shlex.split(ssh_args)
    except ValueError as error:
        raise UsageError(f"ansible_ssh_common_args {ssh_args!r} is not a list of ssh options: {error}.") from error


def _scan(addresses: Iterable[str], *, limit: float) -> dict[str, str]:
    command = ["ssh-keyscan", "-T", str(int(limit)), "-t", KEY_TYPE, *sorted(addresses)]
    done = _run(command, limit * 10 + 10)
    keys = {}
    for line in done.stdout.splitlines() if done else ():
        address, _, key = line.partition(" ")
        if known := parse_host_key(key.strip()):
            keys[address] = known
    return keys


def _through(addresses: Iterable[str], options: Sequence[str], *, limit: float) -> tuple[dict[str, str], dict[str, str]]:
    """Host keys by address, and for the addresses without one what ssh said."""
    listed = sorted(addresses)
    with ThreadPoolExecutor(min(_AT_ONCE, len(listed))) as pool:
        answers = list(pool.map(lambda address: _ask(address, options, limit=limit), listed))
    keys = {address: key for address, (key, _) in zip(listed, answers, strict=True) if key}
    return keys, {address: why for address, (key, why) in zip(listed, answers, strict=True) if not key}


def _ask(address: str, options: Sequence[str], *, limit: float) -> tuple[str, str]:
    """The host key that ssh meets at an address, and what it said; no login is tried there."""
    with tempfile.TemporaryDirectory(prefix="fleet-ssh-") as folder:
        known = Path(folder) / "known_hosts"
        ours = {  # the first value counts for ssh: these come before the site's own
            "BatchMode": "yes",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
            "HashKnownHosts": "no",
            "UpdateHostKeys": "no",
            "HostKeyAlias": _ALIAS,
            "HostKeyAlgorithms": f"ssh-{KEY_TYPE}",
            "PreferredAuthentications": "none",
            "ControlMaster": "no",
            "ControlPath": "none",
            "ConnectTimeout": str(int(limit)),
        }
        words = [word for key, value in ours.items() for word in ("-o", f"{key}={value}")]
        done = _run(["ssh", "-n", *words, *options, address, "true"], limit * 2 + 5)
        for line in known.read_text(encoding="ascii").splitlines() if known.exists() else ():
            alias, _, key = line.partition(" ")
            if alias == _ALIAS and (found := parse_host_key(key.strip())):
                return found, ""
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] if done else []
        return "", lines[-1] if lines else "no answer in time"


def _run(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Run without a terminal, so that a jump host that wants a password fails instead of asking for one."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GuestError(f"{command[0]} is not installed on this machine: install the OpenSSH client.") from error
    except subprocess.TimeoutExpired:
        return None
