"""
To which SSH connections a connection to an agent belongs, and which keys may
be used there: OpenSSH's PROTOCOL.agent, sections 1 and 2.

Who asks the agent to sign says first for which connection: he shows the host
key of its server, and the server's signature over its session identifier, which
nobody else can have. When an agent is forwarded, each host on the way adds its
own. A key with destinations is used where each step of that way is among them,
and for nothing but the login at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

from conchlite.algorithms import catalogue
from conchlite.algorithms.blobs import plainBlob
from conchlite.error import AgentError, CertificateRejected, ConchError, MalformedMessage, safe
from conchlite.limits import MAXIMUM_AGENT_BINDINGS
from conchlite.ssh.agentconstraints import Constraints, Destination, Hop
from conchlite.ssh.patterns import matchesPattern
from conchlite.wire.agent import SessionBind
from conchlite.wire.kex import SignatureBlob
from conchlite.wire.numbers import MSG_USERAUTH_REQUEST
from conchlite.wire.types import Reader
from conchlite.wire.userauth import SignedData

_METHOD = b"publickey"
_HOST_BOUND = b"publickey-hostbound-v00@openssh.com"


@dataclass(frozen=True)
class Login:
    """
    What is signed to log in.

    @ivar sessionID: the connection's identifier.
    @ivar user: as whom.
    @ivar hostKey: the server's host key, where the request is bound to it.
    """

    sessionID: bytes
    user: bytes
    hostKey: bytes | None = None


def readLogin(data: bytes, blob: bytes) -> Login:
    """
    Find out where a signature would log in to.

    @param blob: the public key that is to sign.
    @raise AgentError: C{data} is no request to log in with this key.
    """
    reader = Reader(data, "login")
    try:
        request = SignedData.read(reader)
        hostKey = reader.string() if request.methodName == _HOST_BOUND else None
        reader.end()
        keyName = Reader(blob, "public key").string()
        if (
            request.sessionID
            and request.messageNumber == MSG_USERAUTH_REQUEST
            and request.serviceName == b"ssh-connection"
            and request.methodName in (_METHOD, _HOST_BOUND)
            and request.hasSignature
            and request.publicKey == blob
            and _signs(keyName, request.algorithm)
        ):
            return Login(request.sessionID, request.userName, hostKey)
    except MalformedMessage:
        pass
    raise AgentError("what is to be signed is no login with this key")


def _signs(keyName: bytes, algorithm: bytes) -> bool:
    names = (algorithm, catalogue.plainName(algorithm))
    return any(keyName in (name, catalogue.keyTypeOfSignature(name)) for name in names)


class Bindings:
    """
    The way that a connection to an agent has come.
    """

    def __init__(self) -> None:
        self._bound: list[SessionBind] = []
        self._attempted = False
        self._refused = False

    @property
    def forwarded(self) -> bool:
        """
        Whether it is another host that asks, as far as anybody knows: one
        whose binding was refused has less to say than others, not more.
        """
        return self._refused or any(binding.forwarding for binding in self._bound)

    def failed(self) -> None:
        """
        What came to bind the connection could not be read.
        """
        self._attempted = True
        self._refused = True

    def bind(self, binding: SessionBind) -> None:
        """
        The connection belongs to an SSH connection from now on.

        @raise AgentError: it cannot.
        """
        self._attempted = True
        try:
            self._check(binding)
        except AgentError:
            self._refused = self._refused or binding.forwarding
            raise
        if all(bound.sessionID != binding.sessionID for bound in self._bound):
            self._bound.append(binding)

    def _check(self, binding: SessionBind) -> None:
        self._verify(binding)
        for bound in self._bound:
            if not bound.forwarding:
                raise AgentError("the connection is bound to a login already")
            if bound.sessionID == binding.sessionID:
                if bound.hostKey != binding.hostKey:
                    raise AgentError("the session is bound to another host key")
                return
        if len(self._bound) >= MAXIMUM_AGENT_BINDINGS:
            raise AgentError("the connection is bound to too many others")

    def _verify(self, binding: SessionBind) -> None:
        from conchlite.algorithms.publickeys.signatures import verifySignature

        try:
            algorithm = SignatureBlob.unpack(binding.signature).algorithm
            if algorithm == b"ssh-rsa":
                raise AgentError("a host's signature that rests on SHA-1")
            verifySignature(algorithm, plainBlob(binding.hostKey), binding.signature, binding.sessionID)
        except ConchError as error:
            raise AgentError(f"a binding that its host has not signed: {error}") from None

    def checkListing(self, constraints: Constraints, now: float) -> None:
        """
        Return where a key is of use on this connection.

        @param now: the time, in seconds since 1970.
        @raise AgentError: it is not.
        """
        self._checkWay(constraints.destinations, None, now)

    def checkSigning(self, constraints: Constraints, blob: bytes, data: bytes, now: float) -> None:
        """
        Return where a key may sign.

        @param blob: the public key.
        @raise AgentError: it may not.
        """
        if not constraints.destinations:
            return
        if not self._bound:
            raise AgentError("a key with destinations, and nobody said for which connection")
        login = readLogin(data, blob)
        self._checkWay(constraints.destinations, login.user, now)
        last = self._bound[-1]
        if login.sessionID != last.sessionID:
            raise AgentError("a login to another connection than was said")
        if login.hostKey is None and len(self._bound) > 1:
            raise AgentError("a login by a forwarded agent that is not bound to a host key")
        if login.hostKey is not None and login.hostKey != last.hostKey:
            raise AgentError("a login to a host with another key than was said")

    def _checkWay(self, destinations: tuple[Destination, ...], user: bytes | None, now: float) -> None:
        if not destinations:
            return
        if not self._bound:
            if self._attempted:
                raise AgentError("the connection was to be bound, and that failed")
            # Who is on the agent's own host may see what there is.
            return
        before = None
        for index, hop in enumerate(self._bound):
            isLast = index == len(self._bound) - 1
            if isLast and hop.forwarding and user is not None:
                raise AgentError("a login by an agent that was bound to be forwarded")
            if not isLast and not hop.forwarding:
                raise AgentError("an agent that was forwarded by a connection for a login")
            self._checkHop(destinations, before, hop.hostKey, user if isLast else None, now)
            before = hop.hostKey
        if self._bound[-1].forwarding and user is None:
            # A key that ends at this host is of no use to it.
            self._checkHop(destinations, before, None, None, now)

    def _checkHop(
        self,
        destinations: tuple[Destination, ...],
        fromKey: bytes | None,
        toKey: bytes | None,
        user: bytes | None,
        now: float,
    ) -> None:
        for destination in destinations:
            if fromKey is None:
                if destination.fromHop.hostname:
                    continue
            elif not _isHop(destination.fromHop, fromKey, now):
                continue
            if toKey is not None and not _isHop(destination.toHop, toKey, now):
                continue
            pattern = destination.toHop.user
            if user is not None and pattern and not matchesPattern(user, pattern):
                continue
            return
        said = "" if user is None else f" for {safe(user)}"
        raise AgentError(f"the key is not for this destination{said}")


def _isHop(hop: Hop, blob: bytes, now: float) -> bool:
    """
    Whether a host that has this key, or this certificate, is the one of C{hop}.
    """
    from conchlite.ssh.certificates import judgeHostCertificate
    from conchlite.ssh.keys import Key

    try:
        certificate = Key.fromString(blob, "blob").certificate
    except ConchError:
        return False
    for key in hop.keys:
        if certificate is None:
            if not key.isCA and key.blob == blob:
                return True
        elif key.isCA and key.blob == certificate.signatureKey:
            try:
                judgeHostCertificate(certificate, hop.hostname, now)
            except CertificateRejected:
                continue
            return True
    return False
