"""Arm a hold for the next power-on, and when one waits in it, take a slice on HOST as somebody else; LAB is the lab's file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fleet.lab.control import Control

lab = Path(os.environ["LAB"])
control = Control(**json.loads(lab.read_text(encoding="utf-8"))["control"])
armed = lab.with_name("squatter.armed")
hold = control.hold("before", method="PowerOnVM_Task")
try:
    armed.touch()
    if control.await_hold(hold, timeout=40).state != "waiting":
        sys.exit("nobody powered anything on")
    control.add_vm("squatter", cluster="gpu-placement", host=sys.argv[1], folder="others", gpu_profiles=["grid_a100-1-5c"])
finally:
    control.release(hold)
    armed.unlink()
