"""
AsyncSSH's client, asking a session for all that it can ask for.

C{asyncssh_sessions.py PORT USER_KEY} logs in as C{alice} and prints what the server's
programs say, and how they end.
"""

import asyncio
import sys

import asyncssh
from contract import LOCALHOST, fail, sayVersion


async def talk(connection) -> None:
    process = await connection.create_process(
        "talk about it",
        term_type="vt100",
        term_size=(80, 24, 640, 480),
        term_modes={asyncssh.PTY_ECHO: 0, asyncssh.PTY_VINTR: 3},
        env={"LANG": "C.UTF-8", "LD_PRELOAD": "/tmp/evil"},
        encoding="utf-8",
    )
    while (line := await process.stdout.readline()).strip() != "ready":
        print(line, end="")
    process.change_terminal_size(132, 50)
    print(await process.stdout.readline(), end="")
    process.send_signal("USR1")
    print(await process.stdout.readline(), end="")
    process.send_break(700)
    print(await process.stdout.readline(), end="")
    process.stdin.write("die\n")
    await process.wait()
    print("exit", process.exit_status, process.exit_signal)


async def terminated(connection) -> None:
    process = await connection.create_process("talk", encoding="utf-8")
    while (await process.stdout.readline()).strip() != "ready":
        pass
    process.send_signal("USR1")
    await process.stdout.readline()
    process.stdin.write("careless\n")
    await process.stdout.readline()
    process.terminate()
    await process.wait()
    print("exit", process.exit_status, process.exit_signal)


async def echo(connection) -> None:
    data = bytes(range(256)) * 20_000
    process = await connection.create_process(subsystem="echo", encoding=None)
    output, errors = await process.communicate(data)
    print("echo", output == data, errors, process.exit_status)


async def main(port: str, userKey: str) -> None:
    async with asyncssh.connect(
        LOCALHOST,
        int(port),
        username="alice",
        client_keys=[userKey],
        known_hosts=None,
        agent_path=None,
        config=None,
    ) as connection:
        await talk(connection)
        await terminated(connection)
        await echo(connection)


sayVersion(f"AsyncSSH {asyncssh.__version__}")
try:
    asyncio.run(main(*sys.argv[1:]))
except (OSError, asyncssh.Error) as e:
    fail(repr(e))
