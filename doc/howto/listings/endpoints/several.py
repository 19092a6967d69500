"""
Runs several commands at once on one connection. The connection is that of the
first command, which reads its input and does nothing until that ends.

    python several.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND...
"""

import sys

from twisted.internet import defer, protocol, task
from twisted.internet.endpoints import connectProtocol

from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.ssh.keys import Key


class Output(protocol.Protocol):
    """
    Collects what a command writes.
    """

    def __init__(self):
        self.parts = []
        self.ended = defer.Deferred()

    def dataReceived(self, data):
        self.parts.append(data)

    def connectionLost(self, reason):
        self.ended.callback(b"".join(self.parts))


async def main(reactor, host, port, user, identity, knownHosts, *commands):
    endpoint = SSHCommandClientEndpoint.newConnection(
        reactor, "cat", user, host, int(port), keys=[Key.fromFile(identity)], knownHosts=knownHosts
    )
    first = await connectProtocol(endpoint, Output())
    connection = first.transport.conn

    async def run(command):
        endpoint = SSHCommandClientEndpoint.existingConnection(connection, command)
        output = await connectProtocol(endpoint, Output())
        return command, await output.ended

    running = [defer.ensureDeferred(run(command)) for command in commands]
    for command, output in await defer.gatherResults(running, consumeErrors=True):
        print(f"{command}: {output.decode().rstrip()}")

    # The connection ends with the command that it was made for.
    first.transport.loseConnection()
    await first.ended


if __name__ == "__main__":
    if len(sys.argv) < 7:
        print("usage: python several.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND...", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
