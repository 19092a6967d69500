"""
Runs a command on several hosts at once, and prints what came of each: what it
wrote, or one line that says what went wrong.

    python hosts.py PORT USER IDENTITY KNOWN_HOSTS COMMAND HOST...
"""

import sys

from twisted.internet import defer, error, task

import conchlite
from conchlite.error import ConchError


async def main(reactor, port, user, identity, knownHosts, command, *hosts):
    async def run(host):
        try:
            async with await conchlite.connect(
                reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
            ) as client:
                return (await client.run(command, timeout=60, check=True)).text.rstrip()
        except (ConchError, error.ConnectError, OSError) as e:
            # SSH or the command; nobody there; no such name.
            return f"{type(e).__name__}: {e}"

    running = [defer.Deferred.fromCoroutine(run(host)) for host in hosts]
    for host, outcome in zip(hosts, await defer.gatherResults(running), strict=True):
        print(f"{host}: {outcome}")


if __name__ == "__main__":
    if len(sys.argv) < 7:
        print("usage: python hosts.py PORT USER IDENTITY KNOWN_HOSTS COMMAND HOST...", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
