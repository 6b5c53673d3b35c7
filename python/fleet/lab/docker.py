"""The docker command line: every call with a limit, every failure a sentence."""

from __future__ import annotations

import json
import subprocess
from typing import IO, Any

from fleet.errors import LabError


def docker(*arguments: str, stdin: IO[bytes] | None = None, timeout: float = 120) -> str:
    """Run one docker command and return its standard output, stripped.

    Args:
        arguments: what follows ``docker``.
        stdin: a file that the command reads.
        timeout: limit in seconds.

    Raises:
        LabError: docker is missing, says no, or does not end in time; its last line of text is part of the message.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments], stdin=stdin or subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise LabError("The lab needs Docker, and there is no docker command: run `make setup`, or install docker.io.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`docker {arguments[0]}` did not end within {timeout:.0f} s: does dockerd still answer?") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise LabError(f"`docker {' '.join(arguments[:2])}` failed: {lines[-1]}")
    return done.stdout.decode(errors="replace").strip()


def require_docker() -> None:
    """Ask the daemon for its version.

    Raises:
        LabError: there is no daemon that this user may talk to.
    """
    try:
        docker("version", "--format", "{{.Server.Version}}", timeout=20)
    except LabError as error:
        raise LabError(f"The lab's VMs need Docker's daemon, and it does not answer ({error}): run `make setup`.") from error


def image_exists(tag: str) -> bool:
    """Whether this daemon has an image of that tag."""
    return bool(docker("image", "ls", "--quiet", tag))


def inspect(kind: str, *names: str) -> list[dict[str, Any]]:
    """Return ``docker KIND inspect`` of the names, decoded; nothing for no names."""
    if not names:
        return []
    found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", *names))
    return found


def remove_labelled(label: str) -> str:
    """Remove the containers (with their volumes), volumes and networks that carry a label; say how many.

    Args:
        label: ``key=value``, of this lab alone.

    Raises:
        LabError: Docker refuses.
    """
    containers = docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
    if containers:
        docker("rm", "--force", "--volumes", *containers, timeout=300)
    volumes = docker("volume", "ls", "--quiet", "--filter", f"label={label}").split()
    if volumes:
        docker("volume", "rm", *volumes)
    networks = docker("network", "ls", "--quiet", "--filter", f"label={label}").split()
    if networks:
        docker("network", "rm", *networks)
    return f"{len(containers)} containers, {len(volumes)} volumes, {len(networks)} networks"
