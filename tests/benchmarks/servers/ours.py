"""
conchlite's server.
"""

from __future__ import annotations

from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.interfaces import IConchUser
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.programs import ProgramSession
from tests.benchmarks.programs.job import LOCALHOST
from tests.benchmarks.servers.common import CHUNK, Command, job, listening, parse


@implementer(IHalfCloseableProtocol, IPushProducer)
class Program(Protocol):
    """
    A command: it takes no more than the user takes from it.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self._left = command.writes
        self._received = 0
        self._paused = False

    def connectionMade(self) -> None:
        if self._command.echoes:
            self.transport.registerProducer(self.transport, True)
        elif self._left:
            self.transport.registerProducer(self, True)
            self._produce()
        elif not self._command.reads:
            self._end()

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        if self._command.echoes:
            self.transport.write(data)

    def readConnectionLost(self) -> None:
        if self._command.reads:
            if self._command.echoes:
                self.transport.unregisterProducer()
            self._end()

    def writeConnectionLost(self) -> None:
        pass

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._produce()

    def stopProducing(self) -> None:
        self._paused = True

    def _produce(self) -> None:
        while self._left and not self._paused:
            size = min(self._left, len(CHUNK))
            self._left -= size
            self.transport.write(CHUNK if size == len(CHUNK) else CHUNK[:size])
        if not self._left:
            self.transport.unregisterProducer()
            self._end()

    def _end(self) -> None:
        self.transport.exit(self._command.status(self._received))


@implementer(IRealm)
class Realm:
    """
    Everybody may run everything.
    """

    def requestAvatar(self, avatarId, mind, *interfaces):
        user = SessionUser(lambda: ProgramSession(lambda command: Program(parse(command.decode()))))
        return IConchUser, user, lambda: None


def main() -> None:
    told = job()
    identity = Key.fromFile(told.identity).public()
    hostKey = Key.generate("ed25519")
    factory = SSHFactory()
    factory.noisy = False
    factory.privateKeys = {hostKey.sshType(): hostKey}
    checker = SSHPublicKeyChecker(InMemorySSHKeyDB({told.user.encode(): [identity]}))
    factory.portal = Portal(Realm(), [checker])
    # All come from one address, and at once.
    factory.maxStartups = None
    port = reactor.listenTCP(0, factory, interface=LOCALHOST)
    listening(port.getHost().port)
    reactor.run()


if __name__ == "__main__":
    main()
