import sys
from pathlib import Path

from twisted.internet import defer, endpoints, error, protocol, task

from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.ssh.keys import Key


class Output(protocol.Protocol):
    def connectionMade(self):
        self.ended = defer.Deferred()

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def connectionLost(self, reason):
        if reason.check(error.ConnectionDone):
            self.ended.callback(None)
        else:
            self.ended.errback(reason)


async def main(reactor):
    key = Key.fromFile(Path.home() / ".ssh" / "id_ed25519")
    endpoint = SSHCommandClientEndpoint.newConnection(
        reactor, "uptime", "user", "server.example", 22, keys=[key]
    )
    output = await endpoints.connectProtocol(endpoint, Output())
    await output.ended


task.react(main)
