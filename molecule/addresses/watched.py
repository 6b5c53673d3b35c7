"""Run a command and write down every command line that any process of this machine, its containers included, has meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

target, *command = sys.argv[1:]
seen: set[bytes] = set()
ended = threading.Event()


def look() -> None:
    """Take down all command lines until the command has ended."""
    while not ended.wait(0.02):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes())
            except OSError:
                continue


watcher = threading.Thread(target=look)
watcher.start()
done = subprocess.run(command, check=False)
ended.set()
watcher.join()
path = Path(target)
path.touch(mode=0o600)
path.write_bytes(b"\n".join(line.replace(b"\0", b" ") for line in sorted(seen)))
print(f"{len(seen)} command lines")
sys.exit(done.returncode)
