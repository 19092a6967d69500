"""
The client of runcommand.py inside a larger program, which brings its own
reactor, its own way to connect, and its own idea of when to do what.

    python embed.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from runcommand import Login, LoginFactory, run
from twisted.internet import endpoints, task

from conchlite.client.policies import Strict
from conchlite.ssh import keys

# --- With connectTCP ---


def connectTCP(reactor, login):
    factory = LoginFactory(login)
    reactor.connectTCP(login.host, login.port, factory, timeout=10)
    return factory.ready


# --- With an endpoint ---


async def connectEndpoint(endpoint, login):
    factory = LoginFactory(login)
    await endpoint.connect(factory)
    return await factory.ready


# --- The main() function ---


async def main(reactor, host, port, user, identity, knownHosts, command):
    login = Login(host, int(port), user, keys.Key.fromFile(identity), Strict(knownHosts))
    endpoint = endpoints.clientFromString(reactor, f"tcp:{host}:{port}")
    for conn in (await connectTCP(reactor, login), await connectEndpoint(endpoint, login)):
        done = await run(conn, command)
        print(b"".join(done.output).decode(), end="")
        conn.transport.loseConnection()


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python embed.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
