"""
AsyncSSH with Kerberos: C{client PORT} logs in and runs C{cat}; C{server KEY}
says its port, and answers each command with the user's name.
"""

import asyncio
import sys

import asyncssh

LOCALHOST = "127.0.0.1"


async def client(port: int) -> None:
    async with asyncssh.connect(
        LOCALHOST,
        port,
        config=None,
        username="alice",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        gss_host=LOCALHOST,
        preferred_auth="gssapi-with-mic",
    ) as connection:
        result = await connection.run("cat", input="some data\n", check=True)
    sys.stdout.write(result.stdout)


def answer(process) -> None:
    process.stdout.write(process.get_extra_info("username"))
    process.exit(0)


async def server(key: str) -> None:
    listener = await asyncssh.listen(
        LOCALHOST,
        0,
        config=None,
        server_host_keys=[key],
        gss_host=LOCALHOST,
        process_factory=answer,
    )
    print(f"port {listener.get_port()}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    role, argument = sys.argv[1:]
    asyncio.run(client(int(argument)) if role == "client" else server(argument))
