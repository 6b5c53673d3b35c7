"""Which server is next in a series that takes one after another out of traffic."""

from __future__ import annotations

import pytest

from fleet.planning.serial import Turn, turn

SILENT = "lb-1, lb-2 cannot be reached over SSH and would go on sending requests to a server that is being stopped"


@pytest.mark.parametrize(
    ("needed", "earlier", "silent", "decided"),
    [
        (True, [], [], Turn(go=True)),
        (True, ["ready", "ready"], [], Turn(go=True)),
        (False, [], [], Turn(go=False, why="nothing is to be done to it")),
        (False, ["quarantined"], ["lb-1"], Turn(go=False, why="nothing is to be done to it")),
        (True, ["ready", "quarantined"], [], Turn(go=False, why="a server before it did not come back")),
        (True, ["quarantined", "ready"], ["lb-1"], Turn(go=False, why="a server before it did not come back")),
        (True, ["ready"], ["lb-2", "lb-1"], Turn(go=False, why=SILENT)),
    ],
)
def test_turn(needed, earlier, silent, decided):
    assert turn(needed=needed, earlier=earlier, silent=silent) == decided
