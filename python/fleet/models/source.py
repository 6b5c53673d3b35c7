"""The controller's side: where models come from, with checksums and archives cached between servers and runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import UsageError

from .manifest import Item, Known, digest_of, models, scan
from .sync import pack

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")


def cache_dir() -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/triton-fleet/models``, made when needed."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "triton-fleet" / "models"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


class Source:
    """A directory or archive with models."""

    def __init__(self, path: str, cache: Path | None = None) -> None:
        """Find the directory with the models at ``path``, unpacking an archive into the cache.

        Raises:
            UsageError: there is nothing, or no model in it.
        """
        self.cache = cache or cache_dir()
        given = Path(path).expanduser().absolute()
        if given.is_dir():
            self.root = given
        elif given.is_file() and given.name.endswith(ARCHIVES):
            self.root = self._unpacked(given)
        elif given.exists():
            raise UsageError(f"{given} is neither a directory nor an archive ({', '.join(ARCHIVES)})")
        else:
            raise UsageError(f"there are no models at {given}: give model_repository_source a directory or an archive")
        self.root = _descend(self.root)
        if not models(self.root):
            raise UsageError(
                f"there is no model in {given}: each model is a directory with a config.pbtxt or a version directory (1, 2, …)"
            )

    def items(self) -> dict[str, Item]:
        """The models' items; files that have not been touched since an earlier run are not read again."""
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:16]
        path = self.cache / f"{name}.json"
        with self._lock(name):
            known = Known.load(path)
            before = dict(known.files)
            items = scan(self.root, known)
            if known.files != before:
                known.save(path)
        return items

    @contextlib.contextmanager
    def archive(self, items: dict[str, Item], missing: list[str]) -> Iterator[Path]:
        """A tar file with ``missing``, made once for all servers that lack the same at the same time."""
        chosen = {path: items[path] for path in missing}
        name = f"send-{digest_of(chosen)}.tar"
        path = self.cache / name
        with self._lock(name):
            if not path.exists():
                with tempfile.NamedTemporaryFile(dir=self.cache, prefix="making-", delete=False) as file:
                    made = Path(file.name)
                pack(self.root, items, missing, made)
                made.replace(path)
        self._forget(name)
        yield path

    def _forget(self, keep: str) -> None:
        """Remove archives that nobody has made or used lately."""
        (self.cache / keep).touch()
        newest = max((p.stat().st_mtime for p in self.cache.glob("send-*.tar")), default=0.0)
        for path in self.cache.glob("send-*.tar"):
            if path.name != keep and path.stat().st_mtime < newest - 3600:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.cache / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _unpacked(self, archive: Path) -> Path:
        status = archive.stat()
        key = f"{archive}\0{status.st_size}\0{status.st_mtime_ns}"
        name = "unpacked-" + hashlib.sha256(key.encode()).hexdigest()[:16]
        target = self.cache / name
        with self._lock(name):
            if not target.exists():
                making = Path(tempfile.mkdtemp(dir=self.cache, prefix="making-"))
                try:
                    if archive.name.endswith(".zip"):
                        with zipfile.ZipFile(archive) as file:
                            file.extractall(making)  # noqa: S202  zipfile drops .. and leading /
                    else:
                        with tarfile.open(archive) as tar:
                            tar.extractall(making, filter="data")
                except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
                    shutil.rmtree(making)
                    raise UsageError(f"{archive} cannot be unpacked: {error}") from error
                making.rename(target)
        return target


def _descend(root: Path) -> Path:
    """An archive of one directory means that directory's content."""
    inside = [p for p in root.iterdir() if not p.name.startswith(".")]
    if len(inside) == 1 and inside[0].is_dir() and not models(root) and models(inside[0]):
        return inside[0]
    return root
