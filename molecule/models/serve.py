"""Serve a file to whoever has the token and write down how often it was asked for: FILE TOKEN ADDRESS_FILE COUNT_FILE."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

content, token, address, count = Path(sys.argv[1]).read_bytes(), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
asked = 0


class Handler(BaseHTTPRequestHandler):
    """Bearer or nothing."""

    def do_GET(self) -> None:
        """Answer."""
        global asked  # noqa: PLW0603  one server, one count
        asked += 1
        count.write_text(str(asked), encoding="utf-8")
        right = self.headers.get("Authorization") == f"Bearer {token}"
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(content) if right else 0))
        self.end_headers()
        if right:
            self.wfile.write(content)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Timer(240, server.shutdown).start()
address.write_text(f"http://127.0.0.1:{server.server_port}/second.tar.gz", encoding="utf-8")
server.serve_forever()
