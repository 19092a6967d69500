"""
Twisted Conch's client.
"""

import base64
import struct
import sys

import twisted
from contract import LOCALHOST, clientArguments, end, fail, publicBlobs, sayVersion
from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet import reactor
from twisted.internet.defer import fail as failed
from twisted.internet.defer import succeed
from twisted.internet.protocol import ClientFactory


class Transport(SSHClientTransport):
    secured = False

    def verifyHostKey(self, hostKey, fingerprint):
        if base64.b64encode(hostKey).decode() in publicBlobs(arguments.hostKeys):
            return succeed(True)
        return failed(ConchError("the server's host key is none that is known"))

    def connectionSecure(self):
        # It is called after every key exchange.
        if not self.secured:
            self.secured = True
            self.requestService(UserAuth(arguments.user.encode(), Connection()))

    def receiveError(self, reasonCode, description):
        self.factory.reason = description

    def sendDisconnect(self, reason, desc):
        self.factory.reason = desc
        super().sendDisconnect(reason, desc)


class UserAuth(SSHUserAuthClient):
    preferredOrder = (b"publickey",)
    asked = False

    def getPublicKey(self):
        # It asks again and again.
        if self.asked:
            return None
        self.asked = True
        return Key.fromFile(arguments.userKey).public()

    def getPrivateKey(self):
        return succeed(Key.fromFile(arguments.userKey))


class Connection(SSHConnection):
    def serviceStarted(self):
        self.openChannel(Session(conn=self))


class Session(SSHChannel):
    name = b"session"
    status = 255
    output = b""
    asked = False

    def openFailed(self, reason):
        fail(reason)

    def channelOpen(self, specificData):
        d = self.conn.sendRequest(self, b"exec", NS(arguments.command.encode()), wantReply=True)
        d.addCallbacks(self.started, fail)

    def started(self, ignored):
        self.asked = True
        self.write(data)
        self.endIfWritten()

    def addWindowBytes(self, size):
        super().addWindowBytes(size)
        self.endIfWritten()

    def endIfWritten(self):
        # EOF does not wait for what waits for the window.
        if self.asked and not self.buf:
            self.asked = False
            self.conn.sendEOF(self)

    def dataReceived(self, received):
        self.output += received

    def request_exit_status(self, status):
        (self.status,) = struct.unpack(">L", status)

    def closed(self):
        self.conn.transport.factory.status = self.status
        self.conn.transport.factory.output = self.output
        self.conn.transport.loseConnection()


class Factory(ClientFactory):
    protocol = Transport
    reason: object = "the connection ended"
    output = b""
    status: int | None = None

    def clientConnectionFailed(self, connector, reason):
        fail(reason)

    def clientConnectionLost(self, connector, reason):
        if self.status is None:
            fail(self.reason)
        else:
            end(self.output, self.status)


if __name__ == "__main__":
    sayVersion(f"Twisted Conch {twisted.__version__}")
    arguments = clientArguments()
    data = sys.stdin.buffer.read()
    reactor.connectTCP(LOCALHOST, arguments.port, Factory())
    reactor.run()
