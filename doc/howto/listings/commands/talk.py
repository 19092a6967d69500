"""
Talks with a command: sends it a line, and waits for the one that comes back.

    python talk.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND LINE...
"""

import sys

from twisted.internet import task

import conchlite


async def main(reactor, host, port, user, identity, knownHosts, command, *lines):
    async with (
        await conchlite.connect(
            reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
        ) as client,
        await client.open(command) as process,
    ):
        for line in lines:
            await process.stdin.write(line + "\n")
            answer = await process.stdout.readLine()
            print(line, "->", answer.decode().rstrip())
        process.stdin.close()
        ended = await process.wait()
    print("ended with", ended.exitStatus)


if __name__ == "__main__":
    if len(sys.argv) < 8:
        print("usage: python talk.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND LINE...", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
