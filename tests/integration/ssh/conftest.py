"""SSH servers on loopback: a guest that runs commands, a jump host that forwards, each with host keys of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def keygen(path: Path) -> str:
    """Make a key pair; returns the public half, without the comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


@dataclass
class Sshd:
    """One machine's server; its host key can be changed by starting it again."""

    home: Path
    address: str
    port: int = 0
    hostkey: str = ""
    process: Any = None
    keys: int = 0

    def start(self) -> Sshd:
        """Listen with a fresh host key, at the second time on the same port."""
        self.stop()
        self.keys += 1
        path = self.home / f"host-{self.address.replace(':', '')}-{self.keys}"
        self.hostkey = keygen(path)
        command = [
            sys.executable,
            Path(__file__).with_name("sshd.py"),
            self.address,
            str(self.port),
            path,
            self.home / "id_ed25519.pub",
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=self.home, env={"PATH": os.environ["PATH"], "HOME": str(self.home)}
        )
        self.port = int(self.process.stdout.readline())
        return self

    def forwarded(self) -> str:
        """The next place that it was asked to connect to."""
        line: str = self.process.stdout.readline()
        return line.strip()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """The private key by which all servers are entered."""
    keygen(tmp_path / "id_ed25519")
    return tmp_path / "id_ed25519"


@pytest.fixture
def sshd(tmp_path: Path, login: Path) -> Iterator[Any]:
    """A maker of servers; they end with the test."""
    made: list[Sshd] = []

    def make(address: str = "127.0.0.1") -> Sshd:
        made.append(Sshd(tmp_path, address).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()
