from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from fleet.client.model_source.source import Source
from fleet.errors import GuestError, UsageError
from fleet.guest.models.manifest import Known, digest_of, from_json, models, scan, to_json
from fleet.guest.models.sync import Repository, compare, pack, state_dir


def model(root: Path, name: str, *versions: int, text: str = "weights") -> Path:
    folder = root / name
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "model.onnx").write_text(f"{text} {version}")
    folder.mkdir(exist_ok=True)
    (folder / "config.pbtxt").write_text(f'name: "{name}"')
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    model(root, "qa", 1, 2)
    model(root, "ensemble")
    (root / "ensemble" / "1").mkdir()  # an ensemble's version is an empty directory
    (root / "qa" / "1" / "__pycache__").mkdir()
    (root / "docs").mkdir()
    (root / "README.md").write_text("no model")
    return root


def copy(source: Path, repository: Repository, tmp_path: Path, *, prune: bool = False):
    items = scan(source, Known())
    wanted = from_json(to_json(items))
    difference = compare(wanted, repository.scan())
    with repository.locked():
        if difference.missing:
            pack(source, items, difference.missing, tmp_path / "send.tar")
            repository.apply(wanted, difference.missing, tmp_path / "send.tar")
        if prune:
            repository.remove(difference.extra)
        digest = repository.settle(wanted, kept=[] if prune else difference.extra)
    return difference, digest


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "home").mkdir()
    return Repository(tmp_path / "home" / "triton_models")


def test_only_models_are_models(source: Path) -> None:
    assert models(source) == ["ensemble", "qa"]
    assert sorted(scan(source, Known())) == ["ensemble/1", "ensemble/config.pbtxt", "qa/1", "qa/2", "qa/config.pbtxt"]


def test_a_copy_is_equal_and_a_second_one_does_nothing(source, repository, tmp_path) -> None:
    first, digest = copy(source, repository, tmp_path)
    assert first.missing == ["ensemble/1", "qa/1", "qa/2", "ensemble/config.pbtxt", "qa/config.pbtxt"]
    assert digest_of(scan(repository.path, Known())) == digest_of(scan(source, Known())) == digest
    assert (repository.path / "ensemble" / "1").is_dir()
    inodes = {p: p.stat().st_ino for p in repository.path.rglob("*")}
    second, again = copy(source, repository, tmp_path)
    assert (second.missing, second.extra, again) == ([], [], digest)
    assert inodes == {p: p.stat().st_ino for p in repository.path.rglob("*")}
    assert sorted(p.name for p in state_dir(repository.path).iterdir()) == ["checksums.json", "digest", "lock"]


def test_only_what_changed_is_sent(source, repository, tmp_path) -> None:
    _, before = copy(source, repository, tmp_path)
    (source / "qa" / "2" / "model.onnx").write_text("better")
    model(source, "new", 1)
    difference, after = copy(source, repository, tmp_path)
    assert difference.missing == ["new/1", "qa/2", "new/config.pbtxt"]
    with tarfile.open(tmp_path / "send.tar") as tar:
        assert tar.getnames() == ["new/1/model.onnx", "new/config.pbtxt", "qa/2/model.onnx"]
    assert (repository.path / "qa" / "2" / "model.onnx").read_text() == "better"
    assert before != after


def test_what_the_source_lacks_stays_unless_pruned(source, repository, tmp_path) -> None:
    model(repository.path, "own", 1)
    model(repository.path, "qa", 7)
    kept, digest = copy(source, repository, tmp_path)
    assert kept.extra == ["own", "qa/7"]
    assert (repository.path / "own" / "1" / "model.onnx").exists()
    pruned, other = copy(source, repository, tmp_path, prune=True)
    assert pruned.extra == ["own", "qa/7"]
    assert sorted(scan(repository.path, Known())) == sorted(scan(source, Known()))
    assert digest != other, "Triton has to let go of what was removed"


@pytest.mark.parametrize("damage", ["changed", "missing", "extra", "cut"])
def test_a_damaged_transfer_changes_nothing(source, repository, tmp_path, damage) -> None:
    copy(source, repository, tmp_path)
    before = {p: p.read_bytes() for p in repository.path.rglob("*") if p.is_file()}
    (source / "qa" / "2" / "model.onnx").write_text("better")
    items = scan(source, Known())
    archive = tmp_path / "bad.tar"
    if damage == "changed":
        (source / "qa" / "2" / "model.onnx").write_text("even better")
    sent = {"missing": [], "extra": ["qa/2", "qa/1"]}.get(damage, ["qa/2"])
    pack(source, items, sent, archive)
    if damage == "cut":
        archive.write_bytes(archive.read_bytes()[:600])
    with repository.locked(), pytest.raises(GuestError):
        repository.apply(items, ["qa/2"], archive)
    assert before == {p: p.read_bytes() for p in repository.path.rglob("*") if p.is_file()}
    copy(source, repository, tmp_path)
    assert not list(state_dir(repository.path).glob("staging-*")), "the next run cleans up"


class Killed(BaseException):
    pass


def test_killed_at_any_rename_no_version_is_ever_half(source, repository, tmp_path, monkeypatch) -> None:
    copy(source, repository, tmp_path)
    (source / "qa" / "2" / "model.onnx").write_text("better")
    (source / "qa" / "2" / "vocabulary.txt").write_text("words")
    (source / "qa" / "config.pbtxt").write_text("changed")
    model(source, "new", 1, 2)
    before, after = scan(repository.path, Known()), scan(source, Known())
    rename = Path.rename
    for allowed in range(20):
        left = [allowed]

        def once(self, target, left=left):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", once)
        try:
            copy(source, repository, tmp_path)
        except Killed:
            for path, item in scan(repository.path, Known()).items():
                assert item.digest in {known[path].digest for known in (before, after) if path in known}, path
            if (repository.path / "new").exists():
                assert sorted(p.name for p in (repository.path / "new").iterdir()) == ["1", "2", "config.pbtxt"]
        else:
            break
        finally:
            monkeypatch.undo()
    else:
        pytest.fail("it never came through")
    assert digest_of(scan(repository.path, Known())) == digest_of(after)


def test_two_runs_at_once_are_refused(repository) -> None:
    with repository.locked(), pytest.raises(GuestError, match="another run"), Repository(repository.path).locked():
        pass


def test_untouched_files_are_not_read_again_and_touched_ones_are(source, monkeypatch) -> None:
    known = Known()
    scan(source, known)
    read: list[str] = []
    monkeypatch.setattr("fleet.guest.models.manifest.checksum", lambda path: read.append(path.name) or "x" * 64)
    scan(source, known)
    assert read == []
    (source / "qa" / "config.pbtxt").write_text('name: "qb"')  # the same size
    scan(source, known)
    assert read == ["config.pbtxt"]


def test_executable_bits_travel_and_count(source, repository, tmp_path) -> None:
    (source / "qa" / "1" / "run.sh").write_text("#!/bin/sh")
    copy(source, repository, tmp_path)
    (source / "qa" / "1" / "run.sh").chmod(0o755)
    difference, _ = copy(source, repository, tmp_path)
    assert difference.missing == ["qa/1"]
    assert (repository.path / "qa" / "1" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (repository.path / "qa" / "1" / "model.onnx").stat().st_mode & 0o777 == 0o644


def test_links_are_followed_and_what_is_no_file_is_refused(source) -> None:
    (source / "qa" / "3").symlink_to(source / "qa" / "1")
    assert scan(source, Known())["qa/3"].digest == scan(source, Known())["qa/1"].digest
    (source / "qa" / "4").symlink_to("nowhere")
    with pytest.raises(UsageError, match="leads nowhere"):
        scan(source, Known())
    (source / "qa" / "4").unlink()
    os.mkfifo(source / "qa" / "5")
    with pytest.raises(UsageError, match="neither a file"):
        scan(source, Known())


@pytest.mark.parametrize("path", ["../etc", "qa", "qa/..", "/etc/passwd", "qa//x"])
def test_a_path_that_leaves_the_repository_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        from_json({path: {"": ["", 0, False]}})
    with pytest.raises(UsageError):
        from_json({"qa/1": {"../../x": ["a" * 64, 1, False]}})


def test_no_room_is_said_before_anything_is_sent(repository) -> None:
    with pytest.raises(GuestError, match="enlarge the VM's disk"):
        repository.room(1 << 60)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "tar of a folder"])
def test_archives_are_as_good_as_directories(source, tmp_path, kind) -> None:
    archive = tmp_path / ("models." + kind.split()[0])
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(source.rglob("*")):
                file.write(path, path.relative_to(source))
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as tar:
            tar.add(source, "models-1.0" if "folder" in kind else ".")
    cache = tmp_path / "cache"
    cache.mkdir()
    items = Source(str(archive), cache).items()
    assert digest_of(items) == digest_of(scan(source, Known()))
    with Source(str(archive), cache).archive(items, ["qa/1"]) as sent, tarfile.open(sent) as tar:
        assert tar.getnames() == ["qa/1/model.onnx"]


def test_an_archive_that_leaves_its_directory_is_refused(tmp_path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../../evil")
    with pytest.raises(UsageError, match="cannot be unpacked"):
        Source(str(tmp_path / "evil.tar"), tmp_path / "cache")


@pytest.mark.parametrize("what", ["nothing", "file", "empty"])
def test_a_source_without_models_is_one_sentence(tmp_path, what) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=str(tmp_path / what)):
        Source(str(tmp_path / what), tmp_path / "cache")
