"""Ask ``echo`` through ADDRESS:PORT by gRPC and by HTTP over TLS, against the certificate in FILE; prints JSON."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from fleet.client.grpc import Client

place, certificate = sys.argv[1:]
root = Path(certificate).read_bytes()
body = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [2], "data": [7.0, 3.0]}]}
with Client(f"https://{place}", timeout=30, root_certificates=root) as client:
    answered, server = client.infer("echo", body)
over_grpc = [server, answered["outputs"][0]["data"]]

checked = ssl.create_default_context(cadata=root.decode())
request = urllib.request.Request(f"https://{place}/v2/models/echo/infer", json.dumps(body).encode())
with urllib.request.urlopen(request, timeout=30, context=checked) as answer:  # noqa: S310  https
    over_http = [answer.headers["x-fleet-server"], json.load(answer)["outputs"][0]["data"]]
try:
    urllib.request.urlopen(f"http://{place}/v2/health/live", timeout=30)
    cleartext = "answered"
except OSError:
    cleartext = "refused"
print(json.dumps({"grpc": over_grpc, "http": over_http, "cleartext": cleartext}))
