"""Ask the balancer of a fleet for echo, again and again, until somebody says stop: HOST STOP_FILE RESULT_FILE.

The result says how many requests were answered by which version, and what else came.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter
from pathlib import Path

host, stop, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
body = json.dumps({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [2], "data": [7, 3]}]})
versions: Counter[str] = Counter()
failures: Counter[str] = Counter()
deadline = time.monotonic() + 240
connection = http.client.HTTPConnection(host, 80, timeout=30)
while not stop.exists() and time.monotonic() < deadline:
    try:
        connection.request("POST", "/v2/models/echo/infer", body)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            versions[json.loads(text)["model_version"]] += 1
        else:
            failures[f"{answer.status} {text[:200]!r}"] += 1
    except (OSError, http.client.HTTPException) as error:
        failures[repr(error)] += 1
        connection.close()
    time.sleep(0.02)
draft = result.with_suffix(".new")
draft.write_text(json.dumps({"versions": versions, "failures": failures}), encoding="utf-8")
draft.rename(result)
