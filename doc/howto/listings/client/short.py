import sys

from twisted.internet import defer, task
from twisted.internet.endpoints import HostnameEndpoint

from conchlite.client.connecting import Connecting
from conchlite.client.hostkeys import HostKeys
from conchlite.client.identities import IdentityUserAuth, defaultIdentities
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS

HOST, PORT, USER, COMMAND = "localhost", 22, "user", "uptime"


class CommandChannel(SSHChannel):
    name = "session"

    def __init__(self):
        super().__init__()
        self.finished = defer.Deferred()

    def channelOpen(self, data):
        self.conn.sendRequest(self, "exec", NS(COMMAND))
        self.loseConnection()  # we have nothing to send; what comes is still delivered

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def closed(self):
        self.finished.callback(None)


async def main(reactor):
    connecting = Connecting(
        HOST,
        PORT,
        HostKeys.fromPaths(),  # ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts
        lambda conn: IdentityUserAuth(USER, HOST, conn, defaultIdentities()),  # ~/.ssh/id_*
        reactor,
    )
    conn = await connecting.connect(HostnameEndpoint(reactor, HOST, PORT))
    channel = await conn.openChannel(CommandChannel())
    await channel.finished
    await conn.close()


task.react(main)
