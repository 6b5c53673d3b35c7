"""A registry of one image that wants a login: as much of the OCI distribution protocol as `docker login` and a pull use."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
REPOSITORY, TAG = "nvidia/tritonserver", "24.08-py3"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(word: str) -> dict[str, tuple[str, bytes]]:
    """An image of one small file, by what it is asked for: its tag or a digest → media type and content."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("word")
        entry.size = len(word)
        tar.addfile(entry, io.BytesIO(word.encode()))
    layer = gzip.compress(archive.getvalue())
    rootfs = {"type": "layers", "diff_ids": [digest(archive.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    parts = [{"mediaType": kind, "size": len(part), "digest": digest(part)} for kind, part in ((CONFIG, config), (LAYER, layer))]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    text = json.dumps(manifest).encode()
    blobs = {digest(part): ("application/octet-stream", part) for part in (config, layer)}
    return blobs | {TAG: (MANIFEST, text), digest(text): (MANIFEST, text)}


class Registry:
    """Listens on loopback, where Docker asks for no TLS, and notes what it was asked for and whether with the right login."""

    def __init__(self, username: str, password: str, at_login: Callable[[], object]) -> None:
        """`at_login` is called while a login waits for its answer."""
        self.asked: list[tuple[str, int]] = []
        right = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                given = self.headers.get("Authorization")
                if self.path == "/v2/" and given:
                    at_login()
                kind, content = owner.content.get(self.path.rpartition("/")[2], ("", b""))
                status = HTTPStatus.OK if kind else HTTPStatus.NOT_FOUND
                if given != right:
                    status, kind, content = HTTPStatus.UNAUTHORIZED, "application/json", b'{"errors":[{"code":"UNAUTHORIZED"}]}'
                owner.asked.append((self.path, status))
                self.send_response(status)
                self.send_header("Docker-Distribution-API-Version", "registry/2.0")
                if status == HTTPStatus.UNAUTHORIZED:
                    self.send_header("WWW-Authenticate", 'Basic realm="registry"')
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                if kind == MANIFEST:
                    self.send_header("Docker-Content-Digest", digest(content))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815  http.server's name

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}"
        self.image = f"{self.name}/{REPOSITORY}:{TAG}"
        self.content = image(self.name) | {"": ("application/json", b"{}")}

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
