"""
Runs a command on another host, with the keys of an agent and of files. Where
that comes to nothing, says why, and what was tried.

    python login.py HOST PORT USER KNOWN_HOSTS COMMAND [IDENTITY...]
"""

import os
import sys

from twisted.internet import defer, protocol, task
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone

from conchlite.client.login import Login
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import AuthenticationFailed


class Command(protocol.Protocol):
    """
    Prints what the command prints.
    """

    def __init__(self):
        self.ended = defer.Deferred()

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def connectionLost(self, reason):
        self.ended.errback(reason)


def makeLogin(reactor, host, port, user, knownHosts, identities):
    """
    Who logs in where, and how.
    """
    socket = os.environ.get("SSH_AUTH_SOCK")
    return Login(
        reactor,
        user,
        host,
        int(port),
        knownHosts=knownHosts,
        agent=UNIXClientEndpoint(reactor, socket) if socket else None,
        identities=identities,
        loginTimeout=60,
        requireAuthentication=True,
    )


def explain(error):
    """
    Show what is known about a login that came to nothing.
    """
    report = error.report
    print(f"likely cause: {report.cause}")
    for attempt in report.attempts:
        print(f"tried: {attempt.method.decode()} from {attempt.source}: {attempt.outcome}")
    for obstacle in report.obstacles:
        print(f"not tried: {obstacle}")
    print(f"in one paragraph: {error}")


async def main(reactor, host, port, user, knownHosts, command, *identities):
    login = makeLogin(reactor, host, port, user, knownHosts, identities)
    try:
        running = await connectProtocol(SSHCommandClientEndpoint.withLogin(login, command), Command())
        running.transport.loseWriteConnection()
        await running.ended
    except ConnectionDone:
        return
    except AuthenticationFailed as error:
        explain(error)
        sys.exit(1)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        print(
            "usage: python login.py HOST PORT USER KNOWN_HOSTS COMMAND [IDENTITY...]",
            file=sys.stderr,
        )
        sys.exit(64)
    task.react(main, sys.argv[1:])
