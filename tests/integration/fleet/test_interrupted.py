"""Ctrl-C in the middle of a run: it ends and gives the lease back, so that the next run, on any machine, waits for nobody."""

from __future__ import annotations

import signal

import pytest

from .conftest import BIN
from .held import held, playbook

ENDED_BY_USER = 99  # ansible-playbook's own exit code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (lambda site: [str(BIN / "fleet"), "add-vm"], 130),
        (lambda site: [str(BIN / "fleet"), "scale", "--size", "2", "--json"], 130),
        (lambda site: playbook(site, "scale_out", "fleet_add=1"), ENDED_BY_USER),
    ],
    ids=["fleet add-vm", "fleet scale", "ansible-playbook"],
)
def test_an_interrupted_run_gives_the_lease_back(site, command, code):
    site.grown()
    with held(site, "before", "CloneVM_Task", command(site)) as run:
        assert site.record().lease is not None
        run.send_signal(signal.SIGINT)
        assert run.wait(120) == code
        assert site.record().lease is None, "it would end by itself only after a minute"
    assert site.record().target == 2, "the next run finishes what was asked for"


def test_a_reader_that_stops_ends_no_run(site):
    """``fleet add-vm | head -1``."""
    site.grown()
    site.fleet("lease", "show")  # the command works at all
    shell = f"{BIN / 'fleet'} scale --size 2 2>&1 | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = site.command("bash", "-c", shell, FLEET_SITE=str(site.folder))
    assert len(result.out.splitlines()) == 1
    assert (site.record().target, site.record().lease) == (2, None)
    assert result.code == 3, "its servers have no guest, so the run ends as it would have ended"
    assert site.members()["demo-002"].state == "quarantined"
