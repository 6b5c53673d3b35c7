"""What a model repository holds, with checksums.

An *item* is what appears or changes as one: a version directory (``qa/1``), or another file or directory of a model
(``qa/config.pbtxt``).
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .disk import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: What no model needs and every tool leaves behind.
SKIPPED = ("__pycache__", "lost+found")
CHUNK = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """One file, or one directory (``sha256`` empty)."""

    sha256: str = ""
    size: int = 0
    executable: bool = False


@dataclass(frozen=True)
class Item:
    """Files and directories by their path below the item; ``""`` is the item itself."""

    entries: Mapping[str, FileEntry]

    @property
    def digest(self) -> str:
        """Equal for equal content, names and executable bits."""
        lines = [f"{path}\0{e.sha256}\0{int(e.executable)}\n" for path, e in sorted(self.entries.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(entry.size for entry in self.entries.values())

    @property
    def is_dir(self) -> bool:
        """Whether the item is a directory."""
        return not self.entries[""].sha256


@dataclass
class Known:
    """Checksums of earlier scans: (size, mtime, ctime) in nanoseconds of a file, and its sha256."""

    files: dict[str, list[Any]] = field(default_factory=dict)

    def get(self, path: str, status: os.stat_result) -> str | None:
        """The checksum, if the file has not been touched since."""
        known = self.files.get(path)
        if known and known[:3] == [status.st_size, status.st_mtime_ns, status.st_ctime_ns]:
            return str(known[3])
        return None

    def put(self, path: str, status: os.stat_result, digest: str) -> None:
        """Remember a checksum."""
        self.files[path] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest]

    @classmethod
    def load(cls, path: Path) -> Known:
        """From a file; empty when there is none that can be read."""
        try:
            return cls(dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """To a file, whole or not at all."""
        write_whole(path, json.dumps(self.files))


def is_model(directory: Path) -> bool:
    """Whether a directory is a model: it has a ``config.pbtxt`` or a version."""
    return (directory / "config.pbtxt").exists() or any(path.name.isdigit() and path.is_dir() for path in directory.iterdir())


def models(root: Path) -> list[str]:
    """The names of the models in a repository directory."""
    return sorted(path.name for path in _children(root) if path.is_dir() and is_model(path))


def scan(root: Path, known: Known, names: Iterable[str] | None = None) -> dict[str, Item]:
    """The items of a repository directory by path; ``known`` spares reading untouched files and is brought up to date.

    Symbolic links are followed.

    Raises:
        UsageError: something that is neither file nor directory, or a link that leads nowhere.
    """
    fresh = Known()
    items: dict[str, Item] = {}
    for model in models(root) if names is None else names:
        for path in _children(root / model):
            items[f"{model}/{path.name}"] = Item(dict(_walk(root, path, "", known, fresh)))
    known.files = fresh.files
    return items


def _children(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name not in SKIPPED and not path.name.startswith("."))


def _walk(root: Path, path: Path, below: str, known: Known, fresh: Known) -> Iterator[tuple[str, FileEntry]]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UsageError(f"{path} is a link that leads nowhere") from error
    if stat.S_ISDIR(status.st_mode):
        yield below, FileEntry()
        for child in _children(path):
            yield from _walk(root, child, f"{below}/{child.name}" if below else child.name, known, fresh)
    elif stat.S_ISREG(status.st_mode):
        relative = path.relative_to(root).as_posix()
        digest = known.get(relative, status) or checksum(path)
        fresh.put(relative, status, digest)
        yield below, FileEntry(digest, status.st_size, bool(status.st_mode & 0o111))
    else:
        raise UsageError(f"{path} is neither a file nor a directory: a model repository holds nothing else")


def checksum(path: Path) -> str:
    """sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(CHUNK), b""):
            digest.update(block)
    return digest.hexdigest()


def digest_of(items: Mapping[str, Item], extra: Iterable[str] = ()) -> str:
    """One digest of a repository; ``extra`` are the names of items whose content does not matter."""
    lines = [f"{path} {item.digest}\n" for path, item in sorted(items.items())]
    return hashlib.sha256("".join(lines + [f"{path}\n" for path in sorted(extra)]).encode()).hexdigest()[:16]


def to_json(items: Mapping[str, Item]) -> dict[str, Any]:
    """For the way to a guest."""
    return {path: {below: [e.sha256, e.size, e.executable] for below, e in item.entries.items()} for path, item in items.items()}


def from_json(value: Mapping[str, Any]) -> dict[str, Item]:
    """Back from :func:`to_json`.

    Raises:
        UsageError: a path that leaves the repository.
    """
    items = {}
    for path, entries in value.items():
        for below in entries:
            parts = f"{path}/{below}".rstrip("/").split("/")
            if len(parts) < 2 or any(part in ("", ".", "..") for part in parts):  # noqa: PLR2004
                raise UsageError(f"'{path}/{below}' is not a path in a model repository")
        items[path] = Item({below: FileEntry(e[0], int(e[1]), bool(e[2])) for below, e in entries.items()})
    return items
