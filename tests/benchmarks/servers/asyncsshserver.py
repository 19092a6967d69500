"""
AsyncSSH's server.
"""

from __future__ import annotations

import asyncio

import asyncssh

from tests.benchmarks.programs.job import LOCALHOST
from tests.benchmarks.servers.common import CHUNK, job, listening, parse


async def run(process: asyncssh.SSHServerProcess) -> None:
    command = parse(process.command)
    left = command.writes
    while left:
        size = min(left, len(CHUNK))
        process.stdout.write(CHUNK if size == len(CHUNK) else CHUNK[:size])
        await process.stdout.drain()
        left -= size
    received = 0
    while command.reads and (data := await process.stdin.read(len(CHUNK))):
        received += len(data)
        if command.echoes:
            process.stdout.write(data)
            await process.stdout.drain()
    process.exit(command.status(received))


async def main() -> None:
    told = job()
    identity = asyncssh.read_private_key(told.identity)
    listener = await asyncssh.listen(
        LOCALHOST,
        0,
        config=None,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(identity.export_public_key().decode()),
        process_factory=run,
        encoding=None,
        gss_host=None,
    )
    listening(listener.get_port())
    await listener.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
