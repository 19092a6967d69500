"""
Runs a command on another host. Its output and its errors are ours, and so is
its exit status.

    python command.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from twisted.internet import defer, error, protocol, task
from twisted.internet.endpoints import connectProtocol

from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import ConchError
from conchlite.ssh.keys import Key


class Command(protocol.Protocol):
    """
    A protocol like any other, but for stderrReceived, which TCP has no use for.
    """

    def __init__(self):
        self.ended = defer.Deferred()

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def stderrReceived(self, data):
        sys.stderr.buffer.write(data)

    def connectionLost(self, reason):
        self.ended.errback(reason)


async def main(reactor, host, port, user, identity, knownHosts, command):
    try:
        endpoint = SSHCommandClientEndpoint.newConnection(
            reactor, command, user, host, int(port), keys=[Key.fromFile(identity)], knownHosts=knownHosts
        )
        running = await connectProtocol(endpoint, Command())
        running.transport.loseWriteConnection()
        await running.ended
    except error.ConnectionDone:
        # So it is, too, where the server did not tell how the command ended.
        status = 0 if running.transport.exitStatus == 0 else 1
    except error.ProcessTerminated as e:
        status = e.exitCode or 1
    except (ConchError, error.ConnectError, OSError) as e:
        # OSError: the file of the key, and a name that cannot be resolved.
        sys.exit(f"{type(e).__name__}: {e}")
    sys.exit(status)


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python command.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
