"""
Sends a file through a command on another host, and writes what comes back to
another file, no faster than so many bytes a second.

    python through.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND INPUT OUTPUT RATE
"""

import sys

from twisted.internet import defer, error, protocol, task
from twisted.internet.endpoints import connectProtocol
from twisted.protocols.basic import FileSender

from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import ConchError
from conchlite.ssh.keys import Key


class Through(protocol.Protocol):
    """
    The command's input comes from a file, its output goes to another.
    """

    def __init__(self, reactor, source, sink, rate):
        self.reactor = reactor
        self.source = source
        self.sink = sink
        self.rate = rate
        self.ended = defer.Deferred()

    def connectionMade(self):
        sending = FileSender().beginFileTransfer(self.source, self.transport)
        sending.addCallbacks(self.sent, self.stopped)

    def sent(self, lastByte):
        self.transport.loseWriteConnection()

    def stopped(self, failure):
        """
        The command ended, or the connection, before all was sent.
        """

    def dataReceived(self, data):
        self.sink.write(data)
        self.transport.pauseProducing()
        self.reactor.callLater(len(data) / self.rate, self.transport.resumeProducing)

    def connectionLost(self, reason):
        self.ended.errback(reason)


async def main(reactor, host, port, user, identity, knownHosts, command, source, sink, rate):
    try:
        endpoint = SSHCommandClientEndpoint.newConnection(
            reactor, command, user, host, int(port), keys=[Key.fromFile(identity)], knownHosts=knownHosts
        )
        with open(source, "rb") as readFrom, open(sink, "wb") as writeTo:
            through = Through(reactor, readFrom, writeTo, float(rate))
            await connectProtocol(endpoint, through)
            await through.ended
    except error.ConnectionDone:
        return
    except (error.ProcessTerminated, ConchError, error.ConnectError, OSError) as e:
        sys.exit(f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    if len(sys.argv) != 10:
        print(
            "usage: python through.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND INPUT OUTPUT RATE",
            file=sys.stderr,
        )
        sys.exit(64)
    task.react(main, sys.argv[1:])
