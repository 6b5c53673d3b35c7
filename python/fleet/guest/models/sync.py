"""Bring a guest's model repository to a manifest: stage beside the repository, verify, rename into place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import FleetError, GuestError, UsageError
from .disk import discard, put, sync_dir, write_whole
from .manifest import CHUNK, Item, Known, checksum, digest_of, scan
from .pending import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .manifest import FileEntry

STAGING = "staging-"


@dataclass(frozen=True)
class Difference:
    """What a repository lacks, and what it has that nobody wants."""

    missing: list[str] = field(default_factory=list)  # items to copy (new or changed)
    extra: list[str] = field(default_factory=list)  # items, or whole models ("old"), that the source does not have
    size: int = 0  # bytes to copy


@dataclass(frozen=True)
class FileOwner:
    """Who owns the files."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str | None) -> FileOwner | None:
        """The owner by a user's name; None for no name.

        Raises:
            UsageError: there is no such user.
        """
        if not name:
            return None
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise UsageError(f"there is no user '{name}' on this VM") from None
        return cls(entry.pw_uid, entry.pw_gid)


def state_dir(repository: Path) -> Path:
    """Where staging, checksums and the digest are: beside the repository, on the same filesystem, never inside it."""
    return repository.with_name(f".{repository.name}.fleet")


def compare(wanted: Mapping[str, Item], found: Mapping[str, Item]) -> Difference:
    """What to copy, in the order it should appear (versions before configurations), and what is extra."""
    missing = [path for path, item in wanted.items() if path not in found or found[path].digest != item.digest]
    missing.sort(key=lambda path: (not wanted[path].is_dir, path))
    models = models_of(wanted)
    extra = {path if path.split("/")[0] in models else path.split("/")[0] for path in found if path not in wanted}
    return Difference(missing, sorted(extra), sum(wanted[path].size for path in missing))


def models_of(paths: Iterable[str]) -> list[str]:
    """The models of item paths."""
    return sorted({path.split("/")[0] for path in paths})


class Repository:
    """A model repository in a guest."""

    def __init__(self, path: Path, owner: FileOwner | None = None) -> None:
        """At ``path``, which need not exist. Files belong to ``owner``, without one to the user that runs this."""
        self.path = path
        self.owner = owner
        self.state = state_dir(path)
        self._known = Known()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out, and remove what killed ones left in staging.

        Raises:
            GuestError: another run is at it, or the disk filled up; what was there is still there then.
        """
        with self._explained():
            self._mkdir(self.state)
            with (self.state / "lock").open("w", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise GuestError(f"another run changes {self.path} right now: wait for it, then run again") from error
                self._clean()
                try:
                    yield
                except (OSError, FleetError):
                    self._clean()
                    raise
                else:
                    self._clean()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise GuestError(
                f"the disk filled up while {self.path} was changed ({error.strerror}). Every model that was there still is, "
                "whole; what was copied half is removed. Enlarge the VM's disk or remove what fills it, and run again"
            ) from error

    def _clean(self) -> None:
        for left in self.state.glob(f"{STAGING}*"):
            shutil.rmtree(left)

    @property
    def live(self) -> bool:
        """Whether somebody loads these models into a running Triton and says what it took (see pending.py)."""
        return (self.state / "live").exists()

    def set_live(self) -> None:
        """From now on, copies can be taken back until Triton took them."""
        self._mkdir(self.state)
        if not self.live:
            write_whole(self.state / "live", "")
            _hand_over(self.state / "live", self.owner, 0o644)

    def pending(self) -> Journal:
        """What Triton has not taken yet."""
        return Journal(self.path, self.state)

    def scan(self, *, trust: bool = True) -> dict[str, Item]:
        """What is there; ``trust`` takes checksums of untouched files from the last run."""
        if not self.path.is_dir():
            return {}
        self._known = Known.load(self.state / "checksums.json") if trust else Known()
        names = [path.name for path in self.path.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return scan(self.path, self._known, sorted(names))

    def room(self, size: int) -> None:
        """Refuse to begin what does not fit.

        Raises:
            GuestError: not enough free space.
        """
        place = next(path for path in (self.path, *self.path.parents) if path.is_dir())
        free = shutil.disk_usage(place).free
        if free < size + (64 << 20):
            raise GuestError(
                f"{place} has {free >> 20} MiB free and the models need {size >> 20} MiB more beside what is there: "
                "enlarge the VM's disk, or remove models"
            )

    def apply(self, wanted: Mapping[str, Item], missing: list[str], archive: Path) -> None:
        """Unpack ``missing`` from a tar file, verify, and rename each into place.

        Raises:
            GuestError: the archive is not what the manifest says. Nothing of the repository has changed then.
        """
        self._mkdir(self.path)
        staging = self.staging()
        new = staging / "new"
        new.mkdir()
        unpack(archive, wanted, missing, new, self.owner)
        pending = self.pending()
        if self.live:
            pending.note(missing)
        for model in models_of(missing):
            target = self.path / model
            if not target.is_dir():
                (new / model).rename(target)  # a new model appears with all its versions at once
                continue
            for path in missing:
                if path.split("/")[0] == model:
                    if self.live:
                        pending.keep(path, staging)
                    put(new / path, self.path / path, staging)
        sync_dir(self.path)
        shutil.rmtree(staging)

    def staging(self) -> Path:
        """A new directory beside the repository, on its filesystem; the end of :meth:`locked` or the next run removes it."""
        return Path(tempfile.mkdtemp(prefix=STAGING, dir=self.state))

    def remove(self, surplus: list[str]) -> None:
        """Remove items or whole models, each at once."""
        trash = self.staging()
        for path in surplus:
            discard(self.path / path, trash)
        shutil.rmtree(trash)

    def postpone(self, surplus: list[str]) -> bool:
        """Remember what is to be removed once the new models serve; whether that is new."""
        pending = self.pending()
        if pending.surplus == surplus:
            return False
        pending.surplus = surplus
        pending.save()
        return True

    def settle(self, wanted: Mapping[str, Item], *, kept: list[str]) -> str:
        """Remember checksums, write and return the digest (what ``startup.sh`` labels its container with)."""
        self._mkdir(self.state)
        there = scan(self.path, self._known, models_of([*wanted, *kept]))
        self._known.save(self.state / "checksums.json")
        digest = digest_of({path: item for path, item in there.items() if path in wanted}, kept)
        if self.digest() != digest:
            write_whole(self.state / "digest", digest + "\n")
        return digest

    def digest(self) -> str:
        """The digest that :meth:`settle` wrote, empty when it never did."""
        try:
            return (self.state / "digest").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def _mkdir(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir()
            _hand_over(path, self.owner, 0o755)


def _hand_over(path: Path, owner: FileOwner | None, mode: int) -> None:
    path.chmod(mode)
    if owner:
        os.chown(path, owner.uid, owner.gid)


def pack(root: Path, items: Mapping[str, Item], missing: list[str], archive: Path) -> None:
    """Write the files of ``missing`` from a repository directory into a tar file (names: item paths)."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(_files(items, missing)):
            info = tarfile.TarInfo(name)
            with (root / name).open("rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                tar.addfile(info, file)


def _files(items: Mapping[str, Item], missing: list[str]) -> dict[str, FileEntry]:
    return {
        f"{path}/{below}" if below else path: entry
        for path in missing
        for below, entry in items[path].entries.items()
        if entry.sha256
    }


def _directories(items: Mapping[str, Item], missing: list[str]) -> list[str]:
    below = [f"{path}/{b}" if b else path for path in missing for b, entry in items[path].entries.items() if not entry.sha256]
    return models_of(missing) + sorted(below)


def unpack(archive: Path, wanted: Mapping[str, Item], missing: list[str], target: Path, owner: FileOwner | None = None) -> None:
    """Unpack and verify: exactly the files of ``missing``, nothing else, each with its checksum, on disk before return.

    Raises:
        GuestError: a file is missing, too many, or has another checksum.
    """
    files = _files(wanted, missing)
    for name in _directories(wanted, missing):
        (target / name).mkdir()
        _hand_over(target / name, owner, 0o755)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name not in files or not member.isreg():
                    raise GuestError(f"the archive holds '{member.name}', which nobody requested")
                _unpack_file(tar, member, target / member.name, files.pop(member.name), owner)
    except (tarfile.TarError, EOFError) as error:
        raise GuestError(f"the archive of models cannot be read: {error}") from error
    if files:
        raise GuestError(f"the archive of models lacks {', '.join(sorted(files)[:5])}")


def _unpack_file(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, entry: FileEntry, owner: FileOwner | None) -> None:
    stream = tar.extractfile(member)
    if stream is None:
        raise GuestError(f"'{member.name}' is no file in the archive")
    with place.open("wb") as file:
        shutil.copyfileobj(stream, file, CHUNK)
        file.flush()
        os.fsync(file.fileno())
    if checksum(place) != entry.sha256:
        raise GuestError(f"'{member.name}' arrived with another checksum: it changed while it was copied; run again")
    _hand_over(place, owner, 0o755 if entry.executable else 0o644)
