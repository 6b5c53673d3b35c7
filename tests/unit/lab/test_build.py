from __future__ import annotations

import pytest

from fleet.errors import LabError
from fleet.lab import build


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    return folder


def test_the_hash_is_that_of_contents_names_and_modes(tree):
    first = build.hash_tree(tree)
    assert first == build.hash_tree(tree)
    assert len(first) == 12
    (tree / "README.md").write_text("does not count")
    (tree / "x_test.go").write_text("nor does this")
    assert build.hash_tree(tree, ignore=r"_test\.go$") == first
    (tree / "x_test.go").unlink()
    (tree / "a").chmod(0o755)
    executable = build.hash_tree(tree)
    (tree / "a").rename(tree / "c")
    assert len({first, executable, build.hash_tree(tree), build.hash_tree(tree, "more")}) == 4


def test_an_entry_is_made_once_and_whole():
    made = []

    def make(partial):
        made.append(partial)
        partial.write_text("content")

    paths = {build.cached("key", "name", make) for _ in range(3)}
    assert [path.read_text() for path in paths] == ["content"]
    assert len(made) == 1

    def fail(partial):
        partial.write_text("half")
        raise LabError("no")

    with pytest.raises(LabError):
        build.cached("key", "other", fail)
    assert not (build.cache_dir() / "key" / "other").exists()


def test_a_failing_step_is_quoted():
    with pytest.raises(LabError, match=r"Building x failed with status 4: sh -c .*\nout of disk"):
        build.run(["sh", "-c", "echo out of disk >&2; exit 4"], what="Building x")


def test_a_missing_program_is_a_sentence():
    with pytest.raises(LabError, match="Building x needs the command no-such-program"):
        build.run(["no-such-program"], what="Building x")


def test_an_old_go_is_refused(tmp_path, monkeypatch):
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.19.8\n")
    go.chmod(0o755)
    monkeypatch.setattr(build.shutil, "which", lambda _: str(go))
    monkeypatch.setattr(build.sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setattr(build, "FALLBACK_GO", str(tmp_path / "none"))
    with pytest.raises(LabError, match=r"Go 1\.25 or later, and only go1\.19\.8 was found"):
        build.find_go()
