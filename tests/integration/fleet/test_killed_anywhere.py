"""The whole of `killing`: every write of a scale-out, an addition, a scale-in and a destruction, on a vCenter for each share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import ROOT

SHARES = 2  # cores of a CI machine
LIMIT_S = 600
#: What each scenario writes, in this order: what a run writes more or less than it did is worth a look.
RECONFIG = "ReconfigVM_Task"  # the lease taken, the record, keys of members, the lease given back
WRITES = {
    "new": [*["CreateFolder"] * 2, "CreateVM_Task", RECONFIG, *["CloneVM_Task"] * 3, *["PowerOnVM_Task"] * 3, *[RECONFIG] * 10],
    "add": [*[RECONFIG] * 2, *["CloneVM_Task"] * 2, *["PowerOnVM_Task"] * 2, *[RECONFIG] * 8],
    "in": [*[RECONFIG] * 4, *["PowerOffVM_Task"] * 2, *["Destroy_Task"] * 2, *[RECONFIG] * 2],
    "destroy": [RECONFIG, *["PowerOffVM_Task"] * 3, *["Destroy_Task"] * 4],
}


@pytest.mark.parametrize("scenario", WRITES)
def test_killed_at_every_write_and_run_again(scenario, tmp_path, capsys):
    def share(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-m", "tests.integration.fleet.killing", folder, scenario, str(number), str(SHARES)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}

    with ThreadPoolExecutor(SHARES) as pool:
        result = list(pool.map(share, range(SHARES)))
    wrong = {point: why for one in result for point, why in one["wrong"].items()}
    points = sum(one["points"] for one in result)
    with capsys.disabled():
        print(f"\n{scenario}: {len(WRITES[scenario])} writes, killed at {points} points, {len(wrong)} went wrong ", end="")  # noqa: T201
    assert [one["writes"] for one in result] == [WRITES[scenario]] * SHARES
    assert wrong == {}, "\n".join(one["stderr"] for one in result)
