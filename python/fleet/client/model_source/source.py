"""The controller's side: where models come from, with checksums and archives cached between servers and runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import UsageError
from fleet.guest.models.disk import sync_dir
from fleet.guest.models.manifest import Item, Known, checksum, digest_of, models, scan
from fleet.guest.models.sync import pack

from .fetch import fetch, is_url, require_no_password, sha256_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAKING = "making-"
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")


def cache_dir() -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/triton-fleet/models``, made when needed."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "triton-fleet" / "models"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


class Source:
    """A directory or archive with models."""

    def __init__(
        self, path: str, cache: Path | None = None, *, digest: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Find the directory with the models at ``path``: a directory, an archive, or the URL of one (unpacked in the cache).

        ``digest`` (``sha256:…``) is what an archive has to have. A URL must have one; what the cache holds is not fetched again.

        Raises:
            UsageError: there is nothing, no model in it, or another content than ``digest``.
            GuestError: a URL does not answer with it.
        """
        self.cache = cache or cache_dir()
        self._forget_old()
        given = Path(path).expanduser().absolute()
        if is_url(path):
            self.root = self._fetched(path, digest, headers)
        elif given.is_dir():
            self.root = given
        elif given.is_file() and given.name.endswith(ARCHIVES):
            self.root = self._unpacked(given, digest)
        elif given.exists():
            raise UsageError(f"{given} is neither a directory nor an archive ({', '.join(ARCHIVES)})")
        else:
            raise UsageError(f"there are no models at {given}: give model_repository_source a directory or an archive")
        self.root = _descend(self.root)
        if not models(self.root):
            where = shown(path) if is_url(path) else given
            raise UsageError(
                f"there is no model in {where}: each model is a directory with a config.pbtxt or a version directory (1, 2, …)"
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
                with tempfile.NamedTemporaryFile(dir=self.cache, prefix=MAKING, delete=False) as file:
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

    def _fetched(self, url: str, digest: str, headers: Mapping[str, str] | None) -> Path:
        require_no_password(url)
        if not digest:
            raise UsageError(
                f"models from a URL need model_repository_checksum: nothing else says that {shown(url)} is what you mean"
            )
        wanted = sha256_of(digest)

        def make(making: Path) -> None:
            archive = making.with_name(making.name + ".archive")
            try:
                fetch(url, wanted, archive, headers)
                _unpack(archive, making, shown(url))
            finally:
                archive.unlink(missing_ok=True)

        return self._made(f"unpacked-{wanted}", make)

    def _unpacked(self, archive: Path, digest: str) -> Path:
        status = archive.stat()
        key = f"{archive}\0{status.st_size}\0{status.st_mtime_ns}\0{digest}"

        def make(making: Path) -> None:
            if digest and checksum(archive) != sha256_of(digest):
                raise UsageError(f"{archive} is not what model_repository_checksum says: it has sha256:{checksum(archive)}")
            _unpack(archive, making, str(archive))

        return self._made("unpacked-" + hashlib.sha256(key.encode()).hexdigest()[:32], make)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        """A directory of the cache, made by ``make`` unless it is there: whole or not at all, by one process for all."""
        target = self.cache / name
        with self._lock(name):
            if not target.exists():
                making = Path(tempfile.mkdtemp(dir=self.cache, prefix=MAKING))
                try:
                    make(making)
                    _sync_tree(making)
                except BaseException:
                    shutil.rmtree(making, ignore_errors=True)
                    raise
                making.rename(target)
            os.utime(target)
        return target

    def _forget_old(self) -> None:
        """Remove unpacked archives that nobody used for a month, and what killed runs left a day ago."""
        now = time.time()
        for prefix, days in ((MAKING, 1), ("unpacked-", 30)):
            for path in self.cache.glob(f"{prefix}*"):
                with contextlib.suppress(OSError):
                    if path.suffix != ".lock" and path.stat().st_mtime < now - days * 86400:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _unpack(archive: Path, target: Path, name: str) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                file.extractall(target)  # noqa: S202  zipfile drops .. and leading /
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{name} cannot be unpacked: {error}") from error


def _sync_tree(root: Path) -> None:
    """Have it on disk before it receives its name: nobody looks into the cache again."""
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_dir(Path(folder))


def _descend(root: Path) -> Path:
    """An archive of one directory means that directory's content."""
    inside = [p for p in root.iterdir() if not p.name.startswith(".")]
    if len(inside) == 1 and inside[0].is_dir() and not models(root) and models(inside[0]):
        return inside[0]
    return root
