"""
Twisted Conch's server.
"""

import struct
from pathlib import Path

import twisted
from contract import LOCALHOST, exitStatus, listening, sayVersion, serverArguments
from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.openssh_compat.primes import parseModuliFile
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.cred.portal import Portal
from twisted.internet import reactor

MODULI = Path("/etc/ssh/moduli")


class Session(SSHChannel):
    name = b"session"
    command = ""
    ended = False

    def request_exec(self, data):
        self.command = getNS(data)[0].decode()
        return exitStatus(self.command) is not None

    def dataReceived(self, data):
        if self.command == "cat":
            self.write(data)

    def addWindowBytes(self, data):
        super().addWindowBytes(data)
        self.endIfWritten()

    def eofReceived(self):
        self.ended = True
        self.endIfWritten()

    def endIfWritten(self):
        # Neither request nor EOF waits for what waits for the window.
        if self.ended and not self.buf and not self.localClosed:
            self.ended = False
            status = struct.pack(">L", exitStatus(self.command))
            self.conn.sendRequest(self, b"exit-status", status)
            self.conn.sendEOF(self)
            self.loseConnection()


class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        user = ConchUser()
        user.channelLookup[b"session"] = Session
        return IConchUser, user, lambda: None


class AuthorizedKeys:
    def __init__(self, keys):
        self.keys = keys

    def getAuthorizedKeys(self, username):
        return self.keys


def authorizedKeys(path):
    for line in Path(path).read_bytes().splitlines():
        try:
            yield Key.fromString(line)
        except BadKeyError:
            pass  # A type of key that it does not have.


def main() -> None:
    arguments = serverArguments()
    factory = SSHFactory()
    factory.privateKeys = {}
    for path in arguments.hostKeys:
        try:
            key = Key.fromFile(path)
        except BadKeyError:
            continue
        factory.privateKeys[key.sshType()] = key
    factory.publicKeys = {name: key.public() for name, key in factory.privateKeys.items()}
    # Without them it does no group exchange.
    factory.getPrimes = lambda: parseModuliFile(str(MODULI)) if MODULI.exists() else None
    keys = AuthorizedKeys(list(authorizedKeys(arguments.authorizedKeys)))
    factory.portal = Portal(Realm(), [SSHPublicKeyChecker(keys)])
    port = reactor.listenTCP(arguments.port, factory, interface=LOCALHOST)
    listening(port.getHost().port)
    reactor.run()


if __name__ == "__main__":
    sayVersion(f"Twisted Conch {twisted.__version__}")
    main()
