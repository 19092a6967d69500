"""
Runs a command on another host, and prints what it wrote.

    python run.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from twisted.internet import task

import conchlite


async def main(reactor, host, port, user, identity, knownHosts, command):
    async with await conchlite.connect(
        reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
    ) as client:
        result = await client.run(command, timeout=60, check=True)
    print(result.text, end="")


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python run.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
