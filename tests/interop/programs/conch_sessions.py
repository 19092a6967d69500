"""
Twisted Conch's client, asking for a subsystem and for what there is beside it.

C{conch_sessions.py PORT USER_KEY} logs in as C{alice} and prints what the server's
programs say, and how they end.
"""

import os
import struct
import sys

import twisted
from contract import LOCALHOST, fail, sayVersion
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import packRequest_pty_req, packRequest_window_change
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.protocol import ClientFactory

DATA = bytes(range(256)) * 2_000


class Transport(SSHClientTransport):
    def verifyHostKey(self, hostKey, fingerprint):
        return succeed(True)

    def connectionSecure(self):
        self.requestService(UserAuth(b"alice", Connection()))


class UserAuth(SSHUserAuthClient):
    def getPublicKey(self):
        return Key.fromFile(sys.argv[2]).public()

    def getPrivateKey(self):
        return succeed(Key.fromFile(sys.argv[2]))


class Connection(SSHConnection):
    def serviceStarted(self):
        ensureDeferred(main(self)).addErrback(fail)


class Session(SSHChannel):
    name = b"session"

    def __init__(self, conn):
        super().__init__(conn=conn)
        self.received = b""
        self.opened = Deferred()
        self.ended = Deferred()
        self.came = None

    def channelOpen(self, data):
        self.opened.callback(None)

    def ask(self, name, data):
        return self.conn.sendRequest(self, name, data, wantReply=True)

    def has(self, text):
        self.text, self.came = text, Deferred()
        self.dataReceived(b"")
        return self.came

    def dataReceived(self, data):
        self.received += data
        if self.came is not None and not self.came.called and self.text in self.received:
            self.came.callback(None)

    def request_exit_status(self, data):
        self.status = struct.unpack(">L", data)[0]
        return True

    def closed(self):
        self.ended.callback(None)


async def main(conn):
    session = Session(conn)
    conn.openChannel(session)
    await session.opened
    await session.ask(b"env", NS(b"LANG") + NS(b"C"))
    await session.ask(b"subsystem", NS(b"echo"))
    session.write(DATA)
    await session.has(DATA)
    conn.sendEOF(session)
    await session.ended
    print("echo", session.received == DATA, session.status)

    session = Session(conn)
    conn.openChannel(session)
    await session.opened
    await session.ask(b"pty-req", packRequest_pty_req(b"vt100", (24, 80, 640, 480), b"\x35\0\0\0\0\0"))
    await session.ask(b"exec", NS(b"talk"))
    await session.has(b"ready\n")
    await session.ask(b"window-change", packRequest_window_change((50, 132, 0, 0)))
    await session.ask(b"signal", NS(b"HUP"))
    session.write(b"end 9\n")
    await session.ended
    print(session.received.decode(), end="")
    print("exit", session.status, flush=True)
    os._exit(0)


sayVersion(f"Conch {twisted.__version__}")
factory = ClientFactory()
factory.protocol = Transport
reactor.connectTCP(LOCALHOST, int(sys.argv[1]), factory)
reactor.run()
