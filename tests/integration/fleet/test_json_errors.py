"""With --json a command that ends in trouble prints one JSON object, too; stderr and the exit code are the same as without."""

from __future__ import annotations

import json

import pytest

from .held import someone_else


def wrong_password(site):
    (site.secrets / "password").write_text("wrong")


def held_lease(site):
    someone_else(site)


def nothing(site):
    """The command alone is the trouble."""


@pytest.mark.parametrize(
    ("command", "before", "code", "kind"),
    [
        (("status",), wrong_password, 7, "connect"),
        (("add-vm",), wrong_password, 7, "connect"),
        (("status", "--fleet", "other"), nothing, 2, "usage"),
        (("plan", "--size", "9"), nothing, 2, "usage"),
        (("scale", "--size", "9"), nothing, 2, "usage"),
        (("destroy",), nothing, 5, "not_confirmed"),
        (("lease", "break"), held_lease, 5, "not_confirmed"),
        (("add-vm",), held_lease, 4, "lease_held"),
        (("status", "--no-such-option"), nothing, 2, "usage"),
        (("scale",), nothing, 2, "usage"),
        (("no-such-command",), nothing, 2, "usage"),
        (("ask",), nothing, 1, "error"),
    ],
)
def test_an_error_is_one_object(site, command, before, code, kind):
    site.grown()
    before(site)
    plain = site.fleet(*command)
    outcome = site.fleet(*command, "--json")
    document = json.loads(outcome.out)
    error = document["error"]
    assert (plain.code, outcome.code, document["schema"]) == (code, code, 1), outcome.text
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["message"] in " ".join(plain.err.split()), plain.err
    if "playbook" not in document:  # a run's own result says in the same place what went wrong
        assert outcome.err == plain.err
        assert set(document) == {"schema", "error"}


def test_what_succeeds_has_no_error(site):
    assert site.fleet("add-vm", "--check", "--json").json()["error"] is None
