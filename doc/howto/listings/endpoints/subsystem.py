"""
Asks an SFTP server which version of SFTP it speaks.

    python subsystem.py HOST PORT USER IDENTITY KNOWN_HOSTS
"""

import struct
import sys

from twisted.internet import defer, protocol, task
from twisted.internet.endpoints import connectProtocol

from conchlite.endpoints import SSHSubsystemClientEndpoint
from conchlite.error import ConchError
from conchlite.ssh.keys import Key

INIT, VERSION = 1, 2


class Hello(protocol.Protocol):
    """
    Says hello, and waits for the answer: a length, a type and a number.
    """

    def __init__(self):
        self.received = b""
        self.answered = defer.Deferred()

    def connectionMade(self):
        self.transport.write(struct.pack(">LBL", 5, INIT, 3))

    def dataReceived(self, data):
        self.received += data
        if len(self.received) >= 9 and not self.answered.called:
            self.answered.callback(struct.unpack_from(">LBL", self.received))

    def connectionLost(self, reason):
        if not self.answered.called:
            self.answered.errback(reason)


async def main(reactor, host, port, user, identity, knownHosts):
    endpoint = SSHSubsystemClientEndpoint.newConnection(
        reactor, "sftp", user, host, int(port), keys=[Key.fromFile(identity)], knownHosts=knownHosts
    )
    try:
        hello = await connectProtocol(endpoint, Hello())
        _, kind, version = await hello.answered
    except ConchError as e:
        sys.exit(f"{type(e).__name__}: {e}")
    if kind != VERSION:
        sys.exit(f"a packet of type {kind}")
    print("SFTP", version)
    hello.transport.loseConnection()


if __name__ == "__main__":
    if len(sys.argv) != 6:
        print("usage: python subsystem.py HOST PORT USER IDENTITY KNOWN_HOSTS", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
