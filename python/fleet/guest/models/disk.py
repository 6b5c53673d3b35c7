"""Small things with files that have to survive a power cut and a full disk."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync_dir(path: Path) -> None:
    """Have a directory's names on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(new: Path, target: Path, trash: Path) -> None:
    """Put ``new`` in the place of ``target``, in one step where the filesystem can; what was there is ``new`` or in ``trash``."""
    if not os.path.lexists(target):
        new.rename(target)
    elif not _exchange(new, target):
        aside = Path(tempfile.mkdtemp(dir=trash)) / target.name
        target.rename(aside)
        try:
            new.rename(target)
        except OSError:
            aside.rename(target)
            raise
    sync_dir(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places at once, which takes no space; ``False`` where the kernel or the filesystem cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(code, os.strerror(code), str(other))


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, whole or not at all, and on disk when this returns."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def discard(path: Path, trash: Path) -> None:
    """Remove a file or directory: out of its place at once, then for good."""
    if os.path.lexists(path):
        inside = Path(tempfile.mkdtemp(dir=trash))
        path.rename(inside / path.name)
        sync_dir(path.parent)
        shutil.rmtree(inside)
