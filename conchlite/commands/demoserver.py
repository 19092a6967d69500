"""
The server of C{conchlite demo}: one user, one key, and C{cat}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from conchlite.avatar import SessionUser
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.programs import Cat, Program, ProgramSession
from conchlite.ssh.transport import SSHServerTransport

#: Who may log in.
USER = "demo"


@implementer(IRealm)
class _Realm:
    def __init__(self, server: DemoServer) -> None:
        self._server = server

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], SessionUser, Callable[[], None]]:
        name = bytes(avatarId)
        self._server.loggedIn.append(name)
        # What a session of this user may run.
        user = SessionUser(lambda: ProgramSession(self._server.programs))
        return interfaces[0], user, lambda: self._server.loggedIn.remove(name)


class _Transport(SSHServerTransport):
    factory: DemoServer

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.connections.append(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.connections.remove(self)
        self.factory.connectionEnded()


class DemoServer(SSHFactory):
    """
    A server that knows who is there.

    @ivar hostKey: its host key.
    @ivar connections: the connections that are open.
    @ivar loggedIn: the names of the users who are logged in.
    @ivar programs: what they may run.
    """

    protocol = _Transport
    noisy = False

    def __init__(self, hostKey: Key, userKey: Key) -> None:
        """
        @param userKey: the public key that L{USER} logs in with.
        """
        self.hostKey = hostKey
        self.privateKeys = {hostKey.sshType(): hostKey}
        self.connections: list[SSHServerTransport] = []
        self.loggedIn: list[bytes] = []
        self.programs: dict[bytes, Program] = {b"cat": Cat}
        self._waiting: list[Deferred[None]] = []
        checker = SSHPublicKeyChecker(InMemorySSHKeyDB({USER.encode("ascii"): [userKey]}))
        self.portal = Portal(_Realm(self), [checker])

    def whenDeserted(self) -> Deferred[None]:
        """
        @return: fires when there are no connections.
        """
        deferred: Deferred[None] = Deferred()
        self._waiting.append(deferred)
        self.connectionEnded()
        return deferred

    def connectionEnded(self) -> None:
        """
        Tell who waits for it, if that was the last connection.
        """
        if not self.connections:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)
