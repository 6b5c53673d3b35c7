"""The newest call of the lab's vCenter; with a call's number as argument, the writes since, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from fleet.lab.control import Control

lab = json.loads((Path(__file__).parents[2] / "build" / "lab" / "lab.json").read_text(encoding="utf-8"))
control = Control(**lab["control"])
since = sys.argv[1:]
answer = [asdict(call) for call in control.calls(int(since[0]), writes=True)] if since else control.last()
sys.stdout.write(json.dumps(answer))
