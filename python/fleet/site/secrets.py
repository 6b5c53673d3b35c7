"""Reads the files that hold a site's secrets: plain ones that nobody else may read, or ones that ansible-vault encrypted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fleet.errors import SiteError

_VAULT = "$ANSIBLE_VAULT;"
_SECONDS = 60.0  # a vault password may come from a script that asks another service


def read_secret(path: Path, *, named_by: str) -> str:
    """The first line of a secret file.

    A file that ansible-vault encrypted is opened with the run's own vault password (``ANSIBLE_VAULT_PASSWORD_FILE``, or
    ``vault_password_file`` in ansible.cfg) and may be readable by all; a plain one may be readable by its owner alone.

    Args:
        path: the file.
        named_by: the file that names it, for messages.

    Raises:
        SiteError: it cannot be read, others may read it, or the vault does not open it.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
        mode = path.stat().st_mode & 0o777
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SiteError(f"{named_by} names {path}, which cannot be read: {why}.") from error
    if text.startswith(_VAULT):
        return _open_vault(path)
    if mode & 0o077:
        raise SiteError(
            f"{path} holds a secret and has mode {mode:04o}, so others may read it: chmod 0600 it (and think of changing the "
            "secret), or encrypt it with ansible-vault."
        )
    return text.partition("\n")[0].strip()


def _open_vault(path: Path) -> str:
    program = Path(sys.executable).with_name("ansible-vault")
    command = [str(program) if program.is_file() else "ansible-vault", "view", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SiteError(f"{path} is encrypted and ansible-vault could not open it: {error}.") from error
    if done.returncode:
        output = " ".join(done.stderr.split())[-300:].removeprefix("[ERROR]: ")
        raise SiteError(
            f"{path} is encrypted and ansible-vault did not open it: {output} (set ANSIBLE_VAULT_PASSWORD_FILE to the file with "
            "the vault's password)."
        )
    return done.stdout.strip().partition("\n")[0].strip()
