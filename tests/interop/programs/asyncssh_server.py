"""
AsyncSSH's server.
"""

import asyncio

import asyncssh
from contract import LOCALHOST, REKEY_BYTES, exitStatus, listening, sayVersion, serverArguments


async def run(process: asyncssh.SSHServerProcess) -> None:
    status = exitStatus(process.command or "")
    while data := await process.stdin.read(65536):
        if process.command == "cat":
            process.stdout.write(data)
            await process.stdout.drain()
    process.stdout.write_eof()
    process.exit(127 if status is None else status)


async def main() -> None:
    arguments = serverArguments()
    hostKeys = []
    for path in arguments.hostKeys:
        try:
            hostKeys.append(asyncssh.read_private_key(path))
        except asyncssh.KeyImportError:
            pass  # A type of key that it does not have.
    listener = await asyncssh.listen(
        LOCALHOST,
        arguments.port,
        config=None,
        server_host_keys=hostKeys,
        authorized_client_keys=arguments.authorizedKeys,
        process_factory=run,
        encoding=None,
        gss_host=None,
        kex_algs="*",
        encryption_algs="*",
        mac_algs="*",
        compression_algs="*",
        signature_algs="*",
        **({} if REKEY_BYTES is None else {"rekey_bytes": REKEY_BYTES}),
    )
    listening(listener.get_port())
    await listener.wait_closed()


if __name__ == "__main__":
    sayVersion(f"AsyncSSH {asyncssh.__version__}")
    asyncio.run(main())
