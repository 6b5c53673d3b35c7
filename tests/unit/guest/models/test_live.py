"""Versions that are kept, a live repository's way back, and a disk that is full."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import GuestError
from fleet.guest.models.manifest import Item, Known, digest_of, scan
from fleet.guest.models.sync import Repository, compare, pack, state_dir
from fleet.guest.models.versions import newest, number


def model(root: Path, name: str, *versions: int, text: str = "weights") -> None:
    for version in versions:
        (root / name / str(version)).mkdir(parents=True, exist_ok=True)
        (root / name / str(version) / "model.onnx").write_text(f"{text} {version}")
    (root / name / "config.pbtxt").write_text(f'name: "{name}" # {text}')


def copy(source: Path, repository: Repository, tmp_path: Path) -> None:
    items = scan(source, Known())
    difference = compare(items, repository.scan(trust=False))
    pack(source, items, difference.missing, tmp_path / "send.tar")
    with repository.locked():
        if difference.missing:
            repository.apply(items, difference.missing, tmp_path / "send.tar")
        repository.settle(items, kept=difference.extra)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    model(tmp_path / "source", "qa", 1)
    model(tmp_path / "source", "echo", 1)
    return tmp_path / "source"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "home").mkdir()
    return Repository(tmp_path / "home" / "models")


def paths(*versions: int) -> dict[str, Item]:
    return {f"qa/{v}": Item({}) for v in versions} | {"qa/config.pbtxt": Item({})}


@pytest.mark.parametrize(
    ("source_has", "guest_has", "keep", "stay", "go"),
    [
        ((1, 2, 3), (), 0, {1, 2, 3}, []),
        ((1, 2, 10), (), 2, {2, 10}, []),
        ((1, 2, 3), (1, 2), 2, {2, 3}, ["qa/1"]),
        ((5,), (3, 4), 2, {5}, ["qa/3"]),
        ((5,), (3, 4), 1, {5}, ["qa/3", "qa/4"]),
        ((1, 2), (8, 9), 2, {1, 2}, ["qa/8", "qa/9"]),
        ((4,), (5,), 2, {4}, []),
    ],
)
def test_versions_kept(source_has, guest_has, keep, stay, go) -> None:
    wanted, gone = newest(paths(*source_has), [f"qa/{v}" for v in guest_has] + ["own/1", "own/2", "own/3"], keep)
    assert set(wanted) == set(paths(*stay))
    assert gone == go


@settings(deadline=None)
@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(1, 5))
def test_never_more_than_kept_and_never_an_older_one_of_the_source(own, there, keep) -> None:
    wanted, gone = newest(paths(*own), [f"qa/{v}" for v in there], keep)
    left = {number(p) for p in wanted if number(p) is not None} | {v for v in there if f"qa/{v}" not in gone}
    assert len(left) <= keep
    assert len(left) == min(keep, len(own | there))
    assert set(sorted(own)[-keep:]) <= left


def test_a_refused_model_is_as_before(source, repository, tmp_path) -> None:
    copy(source, repository, tmp_path)
    repository.set_live()
    before = scan(repository.path, Known())
    model(source, "qa", 1, 2, text="worse")
    model(source, "new", 1)
    (source / "qa" / "labels.txt").write_text("labels")
    copy(source, repository, tmp_path)
    assert set(repository.pending().changes) == {"new", "qa"}
    model(source, "qa", 1, 3, text="worst")
    copy(source, repository, tmp_path)  # and once more, before anybody loaded it
    with repository.locked():
        for name in ("qa", "new"):
            repository.pending().revert(name, repository.staging())
    assert digest_of(scan(repository.path, Known())) == digest_of(before)
    assert sorted(p.name for p in repository.path.iterdir()) == ["echo", "qa"]
    assert sorted(p.name for p in state_dir(repository.path).iterdir()) == [
        "before",
        "checksums.json",
        "digest",
        "live",
        "lock",
    ] or (not (state_dir(repository.path) / "pending.json").exists())


def test_a_confirmed_model_leaves_nothing_behind(source, repository, tmp_path) -> None:
    copy(source, repository, tmp_path)
    repository.set_live()
    model(source, "qa", 1, 2, text="better")
    copy(source, repository, tmp_path)
    repository.pending().confirm("qa")
    assert repository.pending().changes == {}
    assert not list((state_dir(repository.path) / "before").glob("*"))
    assert (repository.path / "qa" / "1" / "model.onnx").read_text() == "better 1"
    repository.pending().revert("qa", repository.staging())
    assert (repository.path / "qa" / "2" / "model.onnx").read_text() == "better 2"


class Killed(BaseException):
    pass


def test_killed_at_any_rename_a_live_model_can_still_be_taken_back(source, repository, tmp_path, monkeypatch) -> None:
    copy(source, repository, tmp_path)
    repository.set_live()
    before = digest_of(scan(repository.path, Known()))
    model(source, "qa", 1, 2, text="worse")
    rename = Path.rename
    for allowed in range(30):
        left = [allowed]

        def once(self, target, left=left):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", once)
        try:
            copy(source, repository, tmp_path)
            finished = True
        except Killed:
            finished = False
        finally:
            monkeypatch.undo()
        with repository.locked():
            repository.pending().revert("qa", repository.staging())
        assert digest_of(scan(repository.path, Known())) == before, f"killed at rename {allowed}"
        if finished:
            assert allowed >= 3
            return
    pytest.fail("it never came through")


class FullDisk:
    """ENOSPC at the n-th call that may take space on the guest's disk: a new file or directory, a write, an fsync, a rename."""

    def __init__(self, monkeypatch, below: Path) -> None:
        self.left, self.below = 10**9, below
        opened = Path.open

        def guarded(real):
            def call(path, *arguments, **options):
                if str(self.below) in os.fspath(path):
                    self.take()
                return real(path, *arguments, **options)

            return call

        def open_(path, mode="r", *arguments, **options):
            if "w" in mode and str(self.below) in str(path):
                self.take()
            return opened(path, mode, *arguments, **options)

        def copy_(stream, file, *_):
            file.write(stream.read(3))  # a part arrives before the disk is full
            self.take()
            file.write(stream.read())

        def sync(_handle):
            self.take()

        monkeypatch.setattr(Path, "open", open_)
        monkeypatch.setattr(os, "mkdir", guarded(os.mkdir))
        monkeypatch.setattr(os, "rename", guarded(os.rename))
        monkeypatch.setattr(shutil, "copyfileobj", copy_)
        monkeypatch.setattr(os, "fsync", sync)

    def take(self) -> None:
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1


@pytest.mark.parametrize("live", [False, True])
def test_a_disk_that_fills_up_anywhere_loses_nothing(source, repository, tmp_path, monkeypatch, live) -> None:
    copy(source, repository, tmp_path)
    if live:
        repository.set_live()
    before = scan(repository.path, Known())
    model(source, "qa", 1, 2, text="other")
    model(source, "new", 1, 2)
    after = scan(source, Known())
    shutil.copytree(tmp_path / "home", tmp_path / "start")
    points = 0
    while True:
        shutil.rmtree(tmp_path / "home")
        shutil.copytree(tmp_path / "start", tmp_path / "home")
        with monkeypatch.context() as patch:
            disk = FullDisk(patch, tmp_path / "home")
            disk.left = points
            try:
                copy(source, repository, tmp_path)
                break
            except GuestError as error:
                assert "the disk filled up" in str(error)  # noqa: PT017
        there = scan(repository.path, Known())
        assert set(before) <= set(there), f"at point {points} something is gone"
        for path, item in there.items():
            assert item.digest in {known[path].digest for known in (before, after) if path in known}, f"{path} at point {points}"
        assert not list(state_dir(repository.path).glob("staging-*")), "what was copied half still takes space"
        points += 1
    assert points > 20
    assert digest_of(scan(repository.path, Known())) == digest_of(after)


def test_after_a_full_disk_the_next_run_finishes(source, repository, tmp_path, monkeypatch) -> None:
    copy(source, repository, tmp_path)
    model(source, "qa", 1, 2, text="other")
    with monkeypatch.context() as patch:
        FullDisk(patch, tmp_path / "home").left = 12
        with pytest.raises(GuestError, match="Enlarge the VM's disk"):
            copy(source, repository, tmp_path)
    copy(source, repository, tmp_path)
    assert digest_of(scan(repository.path, Known())) == digest_of(scan(source, Known()))
