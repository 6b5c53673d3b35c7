"""The site's own SSH key: made once, 0600, never over another one, and not by a job whose home is gone after it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.errors import SiteError, UsageError
from fleet.site.ssh_key import ensure_key, key_path, public_keys


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "AWX_HOST", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_is_made_once_and_for_its_owner_alone(home):
    keys, path, note = public_keys("north", None, make=True)
    assert path == home / ".config" / "triton-fleet" / "north" / "id_ed25519"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert keys[0].startswith("ssh-ed25519 ")
    assert str(path) in note
    assert [p.name for p in path.parent.iterdir()] == ["id_ed25519"]
    assert public_keys("north", None, make=True)[::2] == (keys, None)


def test_check_mode_makes_none(home):
    keys, path, note = public_keys("north", None, make=False)
    assert (keys, path) == ([], None)
    assert "would be made" in note
    assert not (home / ".config").exists()


def test_runs_that_make_one_at_once_take_the_same(home):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: public_keys("north", None, make=True)[0], range(6)))
    assert all(answer == answers[0] for answer in answers)
    assert [p.name for p in key_path("north").parent.iterdir()] == ["id_ed25519"]


def test_a_given_key_wins(home):
    given = home / "id"
    given.with_name("id.pub").write_text("ssh-ed25519 AAAA me\n")
    assert public_keys("north", "~/id", make=True) == (["ssh-ed25519 AAAA me"], None, None)
    with pytest.raises(SiteError, match="ssh-keygen failed"):
        public_keys("north", str(home / "nowhere"), make=True)


def test_one_that_others_may_read_is_refused(home):
    ensure_key("north")[0].chmod(0o644)
    with pytest.raises(SiteError, match="chmod 0600"):
        ensure_key("north")


def test_an_awx_job_makes_none(home, monkeypatch):
    monkeypatch.setenv("AWX_HOST", "https://awx")
    with pytest.raises(UsageError, match="machine credential"):
        public_keys("north", None, make=True)
