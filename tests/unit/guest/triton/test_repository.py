"""A running Triton and its repository. The double does what the real one was seen to do; molecule `models` asks the real one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from fleet.errors import GuestError
from fleet.guest.models.manifest import Known, digest_of, models, scan
from fleet.guest.models.sync import Repository, compare, pack
from fleet.guest.triton.http import TritonError
from fleet.guest.triton.repository import bring, until_unloaded, work

if TYPE_CHECKING:
    from pathlib import Path


class Double:
    """Serves the newest version of a model (or all), refuses what says "broken", and then goes on with what it has."""

    def __init__(self, path: Path, policy: str = "latest") -> None:
        self.path, self.policy = path, policy
        self.memory: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.left_unloading = 0

    def load(self, model: str, timeout: float = 0) -> None:
        self.calls.append(f"load {model}")
        there = sorted((p for p in (self.path / model).iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        chosen = {p.name: (p / "model.onnx").read_text() for p in (there if self.policy == "all" else there[-1:])}
        bad = [version for version, text in chosen.items() if "broken" in text]
        if bad:
            raise TritonError(f"HTTP 400: load failed for model '{model}': version {bad[0]} is at UNAVAILABLE state:\n why", 400)
        self.memory[model] = chosen

    def unload(self, model: str) -> None:
        self.calls.append(f"unload {model}")
        self.memory.pop(model)
        self.left_unloading = 2

    def index(self):
        self.left_unloading -= 1
        state = [{"name": "old", "version": "1", "state": "UNLOADING"}] if self.left_unloading > 0 else []
        refused = [{"name": "qa", "version": "9", "state": "UNAVAILABLE", "reason": "weights"}]
        return state + refused + [{"name": m, "version": v, "state": "READY"} for m, vs in self.memory.items() for v in vs]


def model(root: Path, name: str, *versions: int, text: str = "good") -> None:
    for version in versions:
        (root / name / str(version)).mkdir(parents=True, exist_ok=True)
        (root / name / str(version) / "model.onnx").write_text(f"{text} {version}")
    (root / name / "config.pbtxt").write_text(f'name: "{name}" # {text}')


class Guest:
    """A source, a live repository and a Triton that serves it."""

    def __init__(self, tmp_path: Path, policy: str = "latest") -> None:
        self.tmp, self.source = tmp_path, tmp_path / "source"
        (tmp_path / "home").mkdir()
        self.repository = Repository(tmp_path / "home" / "models")
        self.triton = Double(self.repository.path, policy)
        for name in ("qa", "old"):
            model(self.source, name, 1)
        self.copy()
        self.bring()
        self.repository.set_live()
        self.triton.calls.clear()

    def copy(self, surplus=None) -> None:
        items = scan(self.source, Known())
        difference = compare(items, self.repository.scan())
        pack(self.source, items, difference.missing, self.tmp / "send.tar")
        with self.repository.locked():
            if difference.missing:
                self.repository.apply(items, difference.missing, self.tmp / "send.tar")
            if surplus is not None:
                self.repository.postpone(surplus)

    def bring(self, wanted=("*",)):
        pending = self.repository.pending()
        todo = work(pending.changes, pending.surplus, models(self.repository.path), self.triton.index(), wanted)
        with self.repository.locked():
            return bring(self.triton, self.repository, todo, timeout=5)

    def on_disk(self) -> str:
        return digest_of(scan(self.repository.path, Known()))


@pytest.fixture
def guest(tmp_path) -> Guest:
    return Guest(tmp_path)


def test_a_second_run_does_nothing(guest) -> None:
    assert guest.bring().loaded == []
    assert guest.triton.calls == []


def test_a_new_version_is_loaded_then_the_old_one_removed(guest) -> None:
    model(guest.source, "qa", 2)
    guest.copy(surplus=["qa/1"])
    assert (guest.repository.path / "qa" / "1").is_dir(), "it stays until the new one serves"
    done = guest.bring()
    assert (done.loaded, done.removed, done.refused) == (["qa"], ["qa/1"], {})
    assert guest.triton.memory["qa"] == {"2": "good 2"}
    assert not (guest.repository.path / "qa" / "1").exists()
    assert guest.triton.calls == ["load qa"]
    again = guest.bring()
    assert (again.loaded, again.removed, guest.repository.pending().surplus) == ([], [], [])


def test_a_refused_version_leaves_memory_and_disk_as_they_were(guest) -> None:
    before, served = guest.on_disk(), dict(guest.triton.memory)
    model(guest.source, "qa", 2, text="broken")
    model(guest.source, "new", 1)
    guest.copy(surplus=["qa/1"])
    done = guest.bring()
    assert list(done.refused) == ["qa"]
    assert "version 2 is at UNAVAILABLE state: why" in done.refused["qa"]
    assert guest.triton.memory["qa"] == served["qa"]
    assert (done.loaded, done.removed) == (["new"], [])
    shutil.rmtree(guest.repository.path / "new")
    assert guest.on_disk() == before
    assert not list(guest.repository.state.glob("staging-*"))
    again = guest.bring()
    assert (again.loaded, again.removed, again.refused) == ([], [], {}), "the version that serves is surplus no more"


def test_what_is_pruned_is_unloaded_before_its_files_go(guest, monkeypatch) -> None:
    remove = guest.repository.remove
    monkeypatch.setattr(guest.repository, "remove", lambda paths: (guest.triton.calls.append(f"remove {paths}"), remove(paths)))
    shutil.rmtree(guest.source / "old")
    guest.copy(surplus=["old"])
    done = guest.bring()
    assert (done.unloaded, done.removed) == (["old"], ["old"])
    assert guest.triton.calls == ["unload old", "remove ['old']"]


def test_a_version_that_policy_serves_is_let_go_of_after_its_files(tmp_path) -> None:
    guest = Guest(tmp_path, policy="all")
    model(guest.source, "qa", 2)
    guest.copy()
    guest.bring()
    assert set(guest.triton.memory["qa"]) == {"1", "2"}
    guest.copy(surplus=["qa/1"])
    guest.bring()
    assert set(guest.triton.memory["qa"]) == {"2"}


def test_a_silent_triton_takes_nothing_back(guest, monkeypatch) -> None:
    model(guest.source, "qa", 2)
    guest.copy()

    def nothing(model, timeout) -> None:
        raise TritonError("no answer from http://127.0.0.1:8000: timed out")

    monkeypatch.setattr(guest.triton, "load", nothing)
    with pytest.raises(TritonError, match="model 'qa' cannot be loaded: no answer"):
        guest.bring()
    assert (guest.repository.path / "qa" / "2").is_dir()
    monkeypatch.undo()
    assert guest.bring().loaded == ["qa"], "the next run knows that it was never taken"


def test_a_triton_in_another_mode_takes_nothing_back(guest, monkeypatch) -> None:
    model(guest.source, "qa", 2)
    guest.copy()

    def refuse(model, timeout) -> None:
        raise TritonError("HTTP 400: explicit model load / unload is not allowed if polling is enabled", 400)

    monkeypatch.setattr(guest.triton, "load", refuse)
    with pytest.raises(TritonError, match="not allowed"):
        guest.bring()
    assert (guest.repository.path / "qa" / "2").is_dir()


def test_only_wanted_models_are_loaded_and_parts_of_them_left_alone() -> None:
    index = [{"name": n, "version": "1", "state": "READY"} for n in ("whole", "part")]
    todo = work(["whole", "part", "spare"], [], ["whole", "part", "spare"], index, ["whole"])
    assert (todo.load, todo.unload) == (["whole"], [])


def test_a_model_that_never_finishes_is_named(guest) -> None:
    guest.triton.left_unloading = 10**6
    ticks = iter(range(100))
    with pytest.raises(GuestError, match="model 'old' has not finished"):
        until_unloaded(guest.triton, "old", 3, clock=lambda: float(next(ticks)), sleep=lambda _: None)
