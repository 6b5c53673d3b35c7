"""HAProxy's runtime API on its unix socket: one command a connection, and the parsers of its answers.

Works with HAProxy 2.6 and 2.8 (management guide, section 9.3 "Unix Socket commands").
"""

from __future__ import annotations

import csv
import re
import socket
from dataclasses import dataclass

from ...errors import GuestError

# Bits of srv_admin_state in "show servers state" (management guide, same command).
FORCED_MAINT = 0x01
CONFIGURED_MAINT = 0x04
FORCED_DRAIN = 0x08

NAME = re.compile(r"^[A-Za-z0-9_.:-]+$")


@dataclass(frozen=True)
class Server:
    """One server of one backend, as the running HAProxy sees it."""

    backend: str
    name: str
    address: str
    port: int
    admin: int  # bits of srv_admin_state
    check: int  # bits of srv_check_state
    status: str  # "UP", "DOWN", "DRAIN", "MAINT", "UP 1/2", "no check" …
    health: str  # the last check's result: "L7OK", "L4CON", "INI", "" when none runs
    health_text: str  # what the check said
    sessions: int  # requests or streams on it now
    queued: int

    @property
    def in_maintenance(self) -> bool:
        """Whether somebody (or its creation) put it into maintenance."""
        return bool(self.admin & (FORCED_MAINT | CONFIGURED_MAINT))

    @property
    def draining(self) -> bool:
        """Whether somebody drained it."""
        return bool(self.admin & FORCED_DRAIN)

    @property
    def healthy(self) -> bool:
        """Whether its last health check succeeded (``MAINT,L7OK`` counts: it may be made ready)."""
        return self.health.lstrip("* ").startswith(("L7OK", "L6OK", "L4OK"))

    @property
    def serving(self) -> bool:
        """Whether it receives traffic."""
        return self.status.startswith(("UP", "no check"))


@dataclass(frozen=True)
class Info:
    """Who answers on the socket."""

    version: str
    pid: int
    uptime: int  # seconds of this worker
    description: str


class Runtime:
    """The runtime API of one HAProxy process behind a unix socket."""

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        """Use the socket at ``path``; each command may take ``timeout`` seconds."""
        self.path = path
        self.timeout = timeout

    def ask(self, command: str) -> str:
        """Send one command, return its answer without surrounding blank lines.

        Raises:
            GuestError: nobody listens on the socket, or the answer does not come.
        """
        if "\n" in command or ";" in command:
            raise GuestError(f"a runtime command is one line without ';', not {command!r}")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self.timeout)
                connection.connect(self.path)
                connection.sendall(command.encode() + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError as error:
            raise GuestError(
                f"HAProxy's runtime API at {self.path} does not answer ({error}): is haproxy running, "
                "and has its configuration 'stats socket … level admin' at that path?"
            ) from error
        return answer.decode(errors="replace").strip("\n")

    def command(self, command: str, *expected: str) -> None:
        """Send a command that changes something; its answer must be empty or begin with one of ``expected``.

        Raises:
            GuestError: HAProxy refused; its own text is part of the message.
        """
        answer = self.ask(command).strip()
        if answer and not answer.startswith(expected or ("\0",)):
            raise GuestError(f"HAProxy refused '{command}': {' '.join(answer.split())}")

    def info(self) -> Info:
        """Version, process and description of the running HAProxy."""
        return parse_info(self.ask("show info"))

    def servers(self) -> list[Server]:
        """All servers of all backends, with state, health and load."""
        return merge(parse_state(self.ask("show servers state")), parse_stat(self.ask("show stat")))

    def state(self) -> str:
        """The text a server-state-file wants."""
        return self.ask("show servers state") + "\n"

    def add(self, backend: str, name: str, address: str, port: int, options: str) -> None:
        """Make a server. It starts in maintenance, its checks asleep."""
        self.command(f"add server {backend}/{name} {endpoint(address, port)} {options}".rstrip(), "New server registered")

    def check_on(self, backend: str, name: str) -> None:
        """Start its health checks."""
        self.command(f"enable health {backend}/{name}")

    def set_state(self, backend: str, name: str, state: str) -> None:
        """Set ``ready``, ``drain`` or ``maint``."""
        self.command(f"set server {backend}/{name} state {state}")

    def cut(self, backend: str, name: str) -> None:
        """End what still runs on it."""
        self.command(f"shutdown sessions server {backend}/{name}")

    def delete(self, backend: str, name: str) -> None:
        """Delete a server that is in maintenance and has no connection left."""
        self.command(f"del server {backend}/{name}", "Server deleted")


def endpoint(address: str, port: int) -> str:
    """``10.0.0.7:8001`` or ``ipv6@[fd00::7]:8001``."""
    return f"ipv6@[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_info(text: str) -> Info:
    """Read ``show info``."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip().lower()] = value.strip()
    if "version" not in fields:
        raise GuestError(f"this is not HAProxy's 'show info': {text[:200]!r}")
    return Info(
        version=fields["version"],
        pid=int(fields.get("pid") or 0),
        uptime=int(fields.get("uptime_sec") or 0),
        description=fields.get("description", ""),
    )


def parse_state(text: str) -> list[dict[str, str]]:
    """Read ``show servers state`` (format version 1) into one dictionary a server."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("#"):  # noqa: PLR2004
        raise GuestError(f"unknown format of HAProxy's 'show servers state': {text[:200]!r}")
    names = lines[1].lstrip("# ").split()
    return [dict(zip(names, line.split())) for line in lines[2:]]  # noqa: B905  Python 3.8


def parse_stat(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Read ``show stat`` (CSV) into one dictionary a (proxy, server)."""
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    return {(row["pxname"], row["svname"]): row for row in rows if row.get("svname")}


def merge(state: list[dict[str, str]], stat: dict[tuple[str, str], dict[str, str]]) -> list[Server]:
    """One :class:`Server` for each server that both answers know."""
    found = []
    for row in state:
        key = (row["be_name"], row["srv_name"])
        if key not in stat:  # deleted between the two commands
            continue
        other = stat[key]
        found.append(
            Server(
                backend=key[0],
                name=key[1],
                address=row["srv_addr"],
                port=int(row["srv_port"]),
                admin=int(row["srv_admin_state"]),
                check=int(row["srv_check_state"]),
                status=other.get("status") or "",
                health=other.get("check_status") or "",
                health_text=other.get("last_chk") or "",
                sessions=int(other.get("scur") or 0),
                queued=int(other.get("qcur") or 0),
            )
        )
    return found
