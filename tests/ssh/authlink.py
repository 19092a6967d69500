"""
What the tests of authentication run on: a transport without a network, two of
them joined in memory, and keys.
"""

from __future__ import annotations

import functools
from collections import deque

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.algorithms.catalogue import LEGACY_NAMES, SERVER_DEFAULT
from conchlite.error import ConnectionEnded, PeerError
from conchlite.interfaces import IConchUser
from conchlite.ssh.address import SSHTransportAddress
from conchlite.ssh.keys import Key
from conchlite.ssh.permissions import PLAIN
from conchlite.ssh.service import SSHService

SESSION_ID = b"\x17" * 32
HOST_KEY = b"the server's host key"


@functools.cache
def ed25519(seed):
    """
    A private key, always the same for a seed.
    """
    return Key(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


@functools.cache
def rsa():
    """
    An RSA key that is large enough.
    """
    return Key.generate("rsa", 2048)


class RecordingService(SSHService):
    """
    The service that follows.
    """

    name = "ssh-connection"

    def __init__(self):
        self.events = []

    def serviceStarted(self):
        self.events.append("started")

    def serviceStopped(self):
        self.events.append("stopped")

    def packetReceived(self, messageNum, packet):
        self.events.append((messageNum, packet))


class FakeTransport:
    """
    What L{conchlite.ssh.transport.SSHTransportBase} is to a service.

    @ivar sent: what was sent: numbers and payloads.
    @ivar peer: where it is delivered, by L{pump}; or L{None}.
    @ivar ended: what C{end} was called with.
    """

    acceptedSignatures = SERVER_DEFAULT.signatures
    encrypted = True
    closeReason = None
    service = None
    avatar = None
    logoutFunction = None
    isAuthenticated = False
    factory = None
    peer = None
    loginTimeout = 120
    permissions = PLAIN

    def __init__(self, clock=None):
        self.clock = clock
        self.sessionID = SESSION_ID
        self.hostKey = HOST_KEY
        self.peerExtensions = {}
        self.sent = []
        self.ended = []
        self.legacy = []
        self.unimplemented = 0
        self.holds = 0
        self._inbox = deque()
        self._delivering = False

    def isEncrypted(self, direction="out"):
        assert direction in ("in", "out", "both")
        return self.encrypted

    def getPeer(self):
        return SSHTransportAddress(IPv4Address("TCP", "192.0.2.1", 22))

    def logPrefix(self):
        return "FakeTransport"

    def setService(self, service):
        if self.service is not None:
            self.service.serviceStopped()
        self.service = service
        service.transport = self
        service.serviceStarted()

    def sendPacket(self, messageType, payload):
        assert isinstance(payload, bytes)
        if self.closeReason is None:
            self.sent.append((messageType, payload))
            if self.peer is not None:
                self.peer._inbox.append((messageType, payload))

    def sendUnimplemented(self):
        self.unimplemented += 1

    def tellLegacy(self, *uses):
        self.legacy += [use for use in uses if use[1] in LEGACY_NAMES]

    def failProtocol(self, error):
        self.end(error, error.reason, error.answer.encode())

    def end(self, error, reason, description):
        if self.closeReason is None:
            self.closeReason = Failure(error)
            self.ended.append((error, reason, description))

    def limitLogin(self, seconds):
        self.loginTimeout = seconds

    def pauseWhile(self, deferred):
        self.holds += 1

        def release(result):
            self.holds -= 1
            self.deliver()
            return result

        return deferred.addBoth(lambda r: (deferred.addBoth(release), r)[1])

    def receive(self, messageNum, payload=b""):
        """
        A message comes from the peer.
        """
        self._inbox.append((messageNum, payload))
        self.deliver()

    def deliver(self):
        """
        Hand out what came, as long as nobody has said to wait.

        @return: whether there was anything.
        """
        if self._delivering:
            return False
        self._delivering = True
        some = False
        try:
            while self._inbox and not self.holds and self.closeReason is None:
                some = True
                self.service.packetReceived(*self._inbox.popleft())
        except PeerError as error:
            self.failProtocol(error)
        finally:
            self._delivering = False
        return some

    def lose(self):
        """
        The connection is gone.
        """
        if self.closeReason is None:
            self.closeReason = Failure(ConnectionEnded("the connection ended"))
        service, self.service = self.service, None
        service.serviceStopped()
        if self.logoutFunction is not None:
            self.logoutFunction()

    @property
    def numbers(self):
        return [number for number, _ in self.sent]

    @property
    def error(self):
        """
        What the connection ended with.
        """
        return None if self.closeReason is None else self.closeReason.value


@implementer(ICredentialsChecker)
class FakeChecker:
    """
    Answers as it is told.

    @ivar asked: the credentials that it was asked about.
    """

    def __init__(self, interface, answer):
        self.credentialInterfaces = (interface,)
        self.answer = answer
        self.asked = []

    def requestAvatarId(self, credentials):
        self.asked.append(credentials)
        return maybeDeferred(self.answer, credentials)


def knows(**passwords):
    """
    A checker for passwords.
    """

    def answer(credentials):
        if passwords.get(credentials.username.decode()) == credentials.password.decode():
            return credentials.username
        raise UnauthorizedLogin("no")

    return FakeChecker(IUsernamePassword, answer)


def keyChecker(answer):
    """
    A checker for keys that answers as it is told.
    """
    return FakeChecker(ISSHPrivateKey, answer)


@implementer(IRealm)
class FakeRealm:
    """
    @ivar events: who logged in and out.
    """

    def __init__(self):
        self.events = []

    def requestAvatar(self, avatarId, mind, *interfaces):
        assert interfaces == (IConchUser,)
        self.events.append(("in", avatarId))
        return IConchUser, object(), lambda: self.events.append(("out", avatarId))


class FakeFactory:
    """
    A server's factory: a portal and one service.
    """

    def __init__(self, *checkers):
        self.realm = FakeRealm()
        self.portal = Portal(self.realm, checkers)
        self.services = []

    def getService(self, transport, name):
        assert transport.avatar is not None
        if name != b"ssh-connection":
            return None

        def make():
            self.services.append(RecordingService())
            return self.services[-1]

        return make


class Link:
    """
    A client and a server, joined.
    """

    def __init__(self, clientService, serverService, *checkers):
        self.clock = Clock()
        self.client = FakeTransport(self.clock)
        self.server = FakeTransport(self.clock)
        self.client.peer = self.server
        self.server.peer = self.client
        self.factory = self.server.factory = FakeFactory(*checkers)
        self.server.setService(serverService)
        self.client.setService(clientService)
        self.pump()

    def pump(self, seconds=0):
        """
        Deliver until nothing moves.

        @param seconds: how long refusals may take.
        """
        self.clock.pump([0.25] * int(seconds * 4))
        while self.client.deliver() | self.server.deliver():
            self.clock.pump([0.25] * int(seconds * 4))
