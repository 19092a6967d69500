"""
As run.py, in a coroutine of asyncio.

    python withasyncio.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import asyncio
import sys

from twisted.internet import asyncioreactor, defer, task

import conchlite


async def main(reactor, host, port, user, identity, knownHosts, command):
    loop = asyncio.get_running_loop()
    connecting = conchlite.connect(
        reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
    )
    client = await connecting.asFuture(loop)
    try:
        running = client.run(command, check=True).asFuture(loop)
        result = await asyncio.wait_for(running, 60)
    finally:
        await client.close().asFuture(loop)
    print(result.text, end="")


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python withasyncio.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    # Before anything imports the reactor.
    asyncioreactor.install()
    task.react(lambda reactor: defer.Deferred.fromFuture(asyncio.ensure_future(main(reactor, *sys.argv[1:]))))
