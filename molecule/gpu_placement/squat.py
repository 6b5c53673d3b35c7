"""Hold the power-on of VM, and when it waits, take a slice on HOST as somebody else; LAB is the lab's file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fleet.lab.control import Control

vm, host = sys.argv[1:]
lab = Path(os.environ["LAB"])
control = Control(**json.loads(lab.read_text(encoding="utf-8"))["control"])
armed = lab.with_name("squatter.armed")
control.clear_holds()  # of a run that was killed
hold = control.hold("before", method="PowerOnVM_Task", target=vm)
try:
    armed.touch()
    if control.await_hold(hold, timeout=40).state != "waiting":
        sys.exit(f"nobody powered {vm} on")
    control.add_vm("squatter", cluster="gpu-placement", host=host, folder="others", gpu_profiles=["grid_a100-1-5c"])
finally:
    control.release(hold)
    armed.unlink(missing_ok=True)
