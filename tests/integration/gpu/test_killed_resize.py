"""The whole of `killing_resize`: every write of a second GPU for a server, of one less, and of a change that is taken back.

After the last the same follows, or a request for two after all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from .conftest import ROOT

SCENARIOS = ("up", "down", "back", "back, and up after all")
CORES = 2  # of a CI machine
LIMIT_S = 600
#: The lease, what is kept with the server, the change itself, how it ended, the lease given back.
RECONFIG = "ReconfigVM_Task"
WRITES = [RECONFIG, RECONFIG, "ShutdownGuest", RECONFIG, "PowerOnVM_Task", RECONFIG, RECONFIG]


def test_killed_at_every_write_of_a_resize_and_run_again(tmp_path):
    def killed(scenario):
        folder = tmp_path / scenario
        folder.mkdir()
        command = [sys.executable, "-m", "tests.integration.gpu.killing_resize", folder, scenario]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}

    with ThreadPoolExecutor(CORES) as pool:
        result = dict(zip(SCENARIOS, pool.map(killed, SCENARIOS), strict=True))
    assert {scenario: one["writes"] for scenario, one in result.items()} == dict.fromkeys(SCENARIOS, WRITES)
    assert all(one["points"] > len(WRITES) for one in result.values())
    assert {scenario: one["wrong"] for scenario, one in result.items() if one["wrong"]} == {}, result
