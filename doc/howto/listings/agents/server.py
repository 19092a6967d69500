from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from conchlite.ssh.permissions import Permissions
from conchlite.ssh.programs import ProgramSession
from conchlite.ssh.transport import SSHServerTransport


class ServerTransport(SSHServerTransport):
    permissions = Permissions(portForwarding=False, x11Forwarding=False)


class ListKeys(Protocol):
    """
    Tells the user which keys his agent has.
    """

    def connectionMade(self):
        listing = Deferred.fromCoroutine(self.list())
        listing.addErrback(lambda failure: self.transport.write(b"no agent\n"))
        listing.addCallback(lambda _: self.transport.loseConnection())

    async def list(self):
        agent = await self.transport.openAgent()
        for _, comment in await agent.requestIdentities():
            self.transport.write(comment + b"\n")


def openSession():
    return ProgramSession({b"list-keys": lambda command: ListKeys()})
