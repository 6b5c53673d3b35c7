"""An SSH server in its own process: ADDRESS PORT HOST-KEY AUTHORIZED-KEYS. Prints its port, then where it is to forward to."""

from __future__ import annotations

import asyncio
import sys

import asyncssh

address, port, host_key, authorized = sys.argv[1:]


class Server(asyncssh.SSHServer):
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        print(dest_host, dest_port, flush=True)  # noqa: T201  the test reads it
        return True


async def command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_shell(process.command or "true", stdin=pipe, stdout=pipe, stderr=pipe)
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())


async def serve() -> None:
    listener = await asyncssh.listen(
        address,
        int(port),
        server_factory=Server,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=command,
        encoding=None,
    )
    print(listener.get_port(), flush=True)  # noqa: T201
    await asyncio.Event().wait()


asyncio.run(serve())
