"""What a guest of the lab tells from now on: VM KEY=JSON …, as in `unlicensed=true` and `missing_gpus=1`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fleet.lab.control import Control

name, *settings = sys.argv[1:]
lab = json.loads((Path(__file__).resolve().parents[2] / "build" / "lab" / "lab.json").read_text(encoding="utf-8"))
Control(**lab["control"]).guest(name, **{key: json.loads(value) for key, _, value in (one.partition("=") for one in settings)})
