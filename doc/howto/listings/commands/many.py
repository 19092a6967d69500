"""
Runs a command once for each line of standard input, all of them on one
connection, and prints what came of each.

    python many.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from twisted.internet import defer, task

import conchlite


async def main(reactor, host, port, user, identity, knownHosts, command):
    client = await conchlite.connect(
        reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
    )
    running = [client.run(command, line) for line in sys.stdin]
    for result in await defer.gatherResults(running, consumeErrors=True):
        print(result.exitStatus, result.text, end="")
    await client.close()


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python many.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
