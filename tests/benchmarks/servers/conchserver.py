"""
Twisted Conch's server.
"""

from __future__ import annotations

import struct

from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import Portal
from twisted.internet import reactor

import conchlite.ssh.keys
from tests.benchmarks.programs.job import LOCALHOST
from tests.benchmarks.servers.common import CHUNK, job, listening, parse


class Session(SSHChannel):
    """
    A session that writes as much as the window takes.
    """

    name = b"session"
    received = 0
    stopped = False
    ended = False

    def request_exec(self, data):
        self.command = parse(getNS(data)[0].decode())
        self.left = self.command.writes
        # The answer to the request is written first.
        reactor.callLater(0, self.go)
        return True

    def go(self):
        while self.left and not self.stopped:
            size = min(self.left, len(CHUNK))
            self.left -= size
            self.write(CHUNK if size == len(CHUNK) else CHUNK[:size])
        if not self.left and not self.command.reads:
            self.ended = True
        self.endIfWritten()

    def stopWriting(self):
        self.stopped = True

    def startWriting(self):
        self.stopped = False

    def addWindowBytes(self, data):
        # This says startWriting before it has written what waited.
        super().addWindowBytes(data)
        self.go()

    def dataReceived(self, data):
        self.received += len(data)
        if self.command.echoes:
            self.write(data)

    def eofReceived(self):
        self.ended = self.command.reads
        self.endIfWritten()

    def endIfWritten(self):
        # Neither request nor EOF waits for what waits for the window.
        if self.ended and not self.buf and not self.localClosed:
            self.ended = False
            status = struct.pack(">L", self.command.status(self.received))
            self.conn.sendRequest(self, b"exit-status", status)
            self.conn.sendEOF(self)
            self.loseConnection()


class Realm:
    """
    Everybody may run everything.
    """

    def requestAvatar(self, avatarId, mind, *interfaces):
        user = ConchUser()
        user.channelLookup[b"session"] = Session
        return IConchUser, user, lambda: None


def main() -> None:
    told = job()
    identity = Key.fromFile(told.identity).public()
    # Conch makes no keys by itself.
    hostKey = Key.fromString(conchlite.ssh.keys.Key.generate("ed25519").toString("openssh", subtype="v1"))
    factory = SSHFactory()
    factory.noisy = False
    factory.privateKeys = {hostKey.sshType(): hostKey}
    factory.publicKeys = {hostKey.sshType(): hostKey.public()}
    checker = SSHPublicKeyChecker(InMemorySSHKeyDB({told.user.encode(): [identity]}))
    factory.portal = Portal(Realm(), [checker])
    port = reactor.listenTCP(0, factory, interface=LOCALHOST)
    listening(port.getHost().port)
    reactor.run()


if __name__ == "__main__":
    main()
