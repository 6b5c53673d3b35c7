"""Secret files: others may not read a plain one; one that ansible-vault encrypted is opened with the run's vault password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleet.errors import SiteError
from fleet.site.secrets import read_secret

VAULT = Path(sys.executable).with_name("ansible-vault")


def secret(path: Path, text: str = "hunter2\n", mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_first_line_of_a_private_file(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path / "password", "hunter2 \nsecond line\n")
    path.chmod(mode)
    assert read_secret(path, named_by="fleet.yml") == "hunter2"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610])
def test_a_wider_file_is_refused_by_its_mode_and_never_quoted(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path / "password", mode=mode)
    with pytest.raises(SiteError, match=f"{mode:04o}.*chmod 0600") as caught:
        read_secret(path, named_by="fleet.yml")
    assert "hunter2" not in str(caught.value)


def test_a_vaulted_file_is_opened_or_the_sentence_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault_password = secret(tmp_path / "vault", "opens\n")
    path = secret(tmp_path / "password.vault")
    subprocess.run([VAULT, "encrypt", "--vault-password-file", vault_password, path], check=True, capture_output=True)
    path.chmod(0o644)
    (tmp_path / "ansible.cfg").touch()
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    with pytest.raises(SiteError, match="ANSIBLE_VAULT_PASSWORD_FILE"):
        read_secret(path, named_by="fleet.yml")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(vault_password))
    assert read_secret(path, named_by="fleet.yml") == "hunter2"
