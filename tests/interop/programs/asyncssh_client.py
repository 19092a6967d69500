"""
AsyncSSH's client.
"""

import asyncio
import sys

import asyncssh
from contract import LOCALHOST, REKEY_BYTES, clientArguments, end, fail, sayVersion


async def main() -> None:
    arguments = clientArguments()
    data = sys.stdin.buffer.read()
    async with asyncssh.connect(
        LOCALHOST,
        arguments.port,
        config=None,
        username=arguments.user,
        client_keys=[arguments.userKey],
        known_hosts=(asyncssh.read_public_key_list(arguments.hostKeys), [], []),
        agent_path=None,
        gss_host=None,
        kex_algs="*",
        encryption_algs="*",
        mac_algs="*",
        compression_algs="*",
        signature_algs="*",
        server_host_key_algs="*",
        **({} if REKEY_BYTES is None else {"rekey_bytes": REKEY_BYTES}),
    ) as connection:
        process = await connection.create_process(arguments.command, encoding=None)
        process.stdin.write(data)
        # With an empty input run() alone would leave it open.
        process.stdin.write_eof()
        result = await process.wait()
    end(result.stdout, 255 if result.exit_status is None else result.exit_status)


if __name__ == "__main__":
    sayVersion(f"AsyncSSH {asyncssh.__version__}")
    try:
        asyncio.run(main())
    except (OSError, asyncssh.Error) as error:
        fail(repr(error))
