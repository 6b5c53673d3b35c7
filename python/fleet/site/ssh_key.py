"""The SSH key by which a site's guests are administered where the site gives none: made once, kept by the user who runs fleet."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import SiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 30.0


def key_path(site: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where the private key of a site lies: ``~/.config/triton-fleet/<site>/id_ed25519``."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "triton-fleet" / site / "id_ed25519"


def ensure_key(site: str, environ: Mapping[str, str] | None = None) -> tuple[Path, bool]:
    """The site's private key, made if there is none, and whether it was made. Two runs that make one at once take the same.

    Raises:
        UsageError: this is a job of AWX, whose home is gone after it: the key would be lost with it.
        SiteError: it cannot be made, or others may read it.
    """
    env = os.environ if environ is None else environ
    path = key_path(site, env)
    if path.exists():
        if path.stat().st_mode & 0o077:
            raise SiteError(f"{path} is a private key and others may read it, so ssh refuses it: chmod 0600 it.")
        return path, False
    if env.get("AWX_HOST") or env.get("JOB_ID"):
        raise UsageError(
            "A key that an AWX job makes is gone after the job: give the template a machine credential with the site's private "
            "key, and set server_vm_authorized_keys to its public half."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            _keygen("-q", "-t", "ed25519", "-N", "", "-C", f"triton-fleet {site}", "-f", str(fresh))
            try:
                path.hardlink_to(fresh)  # never over a key that is there already
            except FileExistsError:
                return path, False
    except OSError as error:
        raise SiteError(f"The site's SSH key {path} cannot be made: {error.strerror}.") from error
    return path, True


def public_key(path: Path) -> str:
    """The public half of a private key.

    Raises:
        SiteError: it is no key that can be opened without a passphrase.
    """
    return _keygen("-y", "-P", "", "-f", str(path)).strip()


def public_keys(site: str, given: str | None, *, make: bool) -> tuple[list[str], Path | None, str | None]:
    """The public keys that new guests get: of the private key that the site gave, else of the site's own key.

    Args:
        site: the site's name.
        given: path of the private key that the site's variables name; its ``.pub`` beside it is enough.
        make: make the site's own key where there is none; else (check mode) nothing is written.

    Returns:
        The keys, the private key by which the guests are reached if it is the site's own, and what there is to report.

    Raises:
        SiteError: no public key can be had.
    """
    path, note = Path(given).expanduser() if given else key_path(site), None
    if not given and not path.exists() and not make:
        return [], None, f"an SSH key of the site would be made: {path}"
    if not given:
        path, made = ensure_key(site)
        note = f"made an SSH key of this site: {path}. Keep it: its guests know no other" if made else None
    public = path.with_name(f"{path.name}.pub")
    try:
        key = public.read_text(encoding="ascii").strip() if public.exists() else public_key(path)
    except OSError as error:
        raise SiteError(f"{public} cannot be read: {error.strerror}.") from error
    return [key], None if given else path, note


def _keygen(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments], capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise SiteError("ssh-keygen is not installed on this machine: install the OpenSSH client.") from error
    if done.returncode:
        raise SiteError(f"ssh-keygen failed: {' '.join(done.stderr.split())}.")
    return done.stdout
