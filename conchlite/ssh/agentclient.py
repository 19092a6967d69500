"""
Asking an agent: draft-ietf-sshm-ssh-agent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from conchlite.error import AgentError, MalformedMessage, PeerError, UnexpectedMessage, UsageError, safe
from conchlite.ssh.agentconstraints import Constraints
from conchlite.ssh.agentframes import AgentFrames
from conchlite.ssh.agentidentities import packIdentity
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import agent
from conchlite.wire.codec import Message
from conchlite.wire.types import Reader, packString

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key
    from conchlite.ssh.transportfacts import TransportFacts

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)

_RSA_SIGNATURES = {0: b"ssh-rsa", agent.RSA_SHA2_256: b"rsa-sha2-256", agent.RSA_SHA2_512: b"rsa-sha2-512"}


class SSHAgentClient(AgentFrames):
    """
    A connection to an agent.

    Requests may be made while others wait: the answers come in their order.
    What the agent refuses fails with L{AgentError}, and so does everything
    that waits when the connection is lost, or when the agent answers with what
    was not asked for; then the connection is left. A Deferred that is cancelled
    lets the answer pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[Deferred[Any], Callable[[bytes], object]]] = deque()
        self._ending: AgentError | None = None
        self._boundTo = b""

    # The connection.

    def connectionLost(self, reason: Failure | None = None) -> None:
        said = "" if reason is None else f": {safe(reason.getErrorMessage())}"
        self._fail(AgentError(f"the agent has closed the connection{said}"))

    def protocolBroken(self, error: PeerError) -> None:
        super().protocolBroken(error)
        self._fail(AgentError(f"the agent broke its protocol: {error}"))

    def disconnect(self) -> None:
        """
        Leave the agent.
        """
        if self.transport is not None:
            self.transport.loseConnection()

    def _fail(self, error: AgentError) -> None:
        self._end()
        self._ending = self._ending or error
        while self._waiting:
            deferred, _ = self._waiting.popleft()
            deferred.errback(Failure(self._ending))

    def frameReceived(self, frame: bytes) -> None:
        if not self._waiting:
            raise UnexpectedMessage(f"message {frame[0]}, which answers nothing")
        deferred, read = self._waiting[0]
        try:
            result = read(frame)
        except AgentError:
            self._waiting.popleft()
            deferred.errback(Failure())
            return
        self._waiting.popleft()
        deferred.callback(result)

    def ask(self, message: Message, read: Callable[[bytes], _T]) -> Deferred[_T]:
        """
        Send a request.

        @param read: makes of the answer what the Deferred fires with; it may
            raise L{AgentError} where the agent refused, and L{PeerError} where
            this is no answer.
        @raise UsageError: the request is larger than agents take.
        """
        if self._ending is not None or self.transport is None:
            return fail(self._ending or AgentError("there is no connection to the agent"))
        frame = message.packPayload()
        if len(frame) > self.maximumFrame:
            raise UsageError(f"{len(frame)} bytes for an agent: at most {self.maximumFrame}")
        deferred: Deferred[_T] = Deferred()
        self._waiting.append((deferred, read))
        self.sendFrame(frame)
        return deferred

    def do(self, message: Message) -> Deferred[None]:
        """
        Send a request that the agent has only to agree to.
        """

        def read(frame: bytes) -> None:
            readAnswer(frame, agent.Success)

        return self.ask(message, read)

    # What can be asked.

    def requestIdentities(self) -> Deferred[list[agent.Identity]]:
        """
        The keys that the agent has.

        @return: a Deferred of their blobs and their comments.
        """
        return self.ask(
            agent.RequestIdentities(),
            lambda frame: list(readAnswer(frame, agent.IdentitiesAnswer).identities),
        )

    def signData(self, blob: bytes, data: bytes, flags: int | None = None) -> Deferred[bytes]:
        """
        Have the agent sign.

        @param blob: the public key.
        @param flags: C{RSA_SHA2_256} or C{RSA_SHA2_512} of
            L{conchlite.wire.agent} for RSA keys, for which 0 is SHA-1.
            L{None} is C{RSA_SHA2_512} for RSA keys, and 0 for others.
        @return: a Deferred of the signature blob: the algorithm's name, and
            the signature. It fails with L{AgentError} as well where an RSA key
            has signed otherwise than it was told to.
        """
        isRSA = keyName(blob) in (b"ssh-rsa", b"ssh-rsa-cert-v01@openssh.com")
        if flags is None:
            flags = agent.RSA_SHA2_512 if isRSA else 0
        expected = _RSA_SIGNATURES.get(flags) if isRSA else None

        def read(frame: bytes) -> bytes:
            signature = readAnswer(frame, agent.SignResponse).signature
            # An agent that does not know the flags signs with SHA-1.
            made = Reader(signature, "signature").string()
            if expected is not None and made != expected:
                raise AgentError(f"the agent made a {safe(made)} signature, asked for {safe(expected)}")
            return signature

        return self.ask(agent.SignRequest(blob, data, flags), read)

    def addIdentity(
        self, blob: bytes, comment: Text = b"", constraints: Constraints | None = None
    ) -> Deferred[None]:
        """
        Give the agent a key.

        @param blob: the private key, as L{conchlite.ssh.keys.Key.privateBlob}
            has it.
        @param constraints: how it may be used.
        """
        identity = blob + packString(asBytes(comment))
        if not constraints:
            return self.do(agent.AddIdentity(identity))
        return self.do(agent.AddIDConstrained(identity + constraints.pack()))

    def addKey(
        self, key: Key, comment: Text | None = None, constraints: Constraints | None = None
    ) -> Deferred[None]:
        """
        Give the agent a key, with its certificate if it carries one.

        @param comment: what to call it; L{None} for its own comment.
        @raise UsageError: it is a public key, or a DSA key, which is not passed
            on.
        """
        comment = key.comment if comment is None else comment
        return self.addIdentity(packIdentity(key), comment, constraints)

    def removeIdentity(self, blob: bytes) -> Deferred[None]:
        """
        Have the agent forget a key.

        @param blob: the public key.
        """
        return self.do(agent.RemoveIdentity(blob))

    def removeAllIdentities(self) -> Deferred[None]:
        """
        Have the agent forget all keys.
        """
        return self.do(agent.RemoveAllIdentities())

    def lock(self, passphrase: Text) -> Deferred[None]:
        """
        Have the agent do nothing until it is unlocked.
        """
        return self.do(agent.Lock(asBytes(passphrase)))

    def unlock(self, passphrase: Text) -> Deferred[None]:
        """
        Unlock the agent.
        """
        return self.do(agent.Unlock(asBytes(passphrase)))

    def extension(self, name: Text, contents: bytes = b"") -> Deferred[bytes]:
        """
        Ask for an extension, section 3.8 of the draft.

        @return: a Deferred of what the agent answered, without the extension's
            name. It fails with L{AgentError} if the agent does not know it, or
            refuses.
        """
        wanted = asBytes(name)

        def read(frame: bytes) -> bytes:
            if frame[0] == agent.SUCCESS:
                return frame[1:]
            answer = readAnswer(frame, agent.ExtensionResponse)
            if answer.name != wanted:
                raise UnexpectedMessage(f"an answer to the extension {safe(answer.name)}")
            return answer.contents

        return self.ask(agent.Extension(wanted, contents), read)

    def queryExtensions(self) -> Deferred[tuple[bytes, ...]]:
        """
        The names of the extensions that the agent has; most agents do not
        know this one.
        """

        def read(contents: bytes) -> tuple[bytes, ...]:
            try:
                return agent.QueryAnswer.unpack(contents).names
            except MalformedMessage as error:
                raise AgentError(str(error)) from None

        return self.extension(agent.QUERY).addCallback(read)

    def bindSession(
        self, hostKey: bytes, sessionID: bytes, signature: bytes, forwarding: bool = False
    ) -> Deferred[None]:
        """
        Tell the agent for which SSH connection it will be asked to sign, so
        that it can hold to the destinations of its keys: PROTOCOL.agent
        section 1.

        @param hostKey: the server's host key.
        @param signature: what the server signed in the first key exchange.
        @param forwarding: whether it will be the server that asks.
        """
        bind = agent.SessionBind(hostKey, sessionID, signature, forwarding)
        return self.extension(agent.SESSION_BIND, bind.pack()).addCallback(lambda _: None)

    async def bindToTransport(self, transport: TransportFacts, forwarding: bool = False) -> None:
        """
        As L{bindSession}, for a client's transport, when its keys are
        exchanged; a second time for the same one it does nothing. Agents that
        do not know this have no keys that need it: that is no failure.
        """
        if transport.sessionID == self._boundTo:
            return
        self._boundTo = transport.sessionID
        try:
            await self.bindSession(
                transport.hostKey, transport.sessionID, transport.hostKeySignature, forwarding
            )
        except AgentError as error:
            if self._ending is not None:
                raise
            self._log.debug("the agent is not bound to the connection: {error}", error=str(error))


def readAnswer(frame: bytes, kind: type[_M]) -> _M:
    """
    Parse an agent's answer.

    @raise AgentError: the agent refuses.
    @raise PeerError: it is another answer.
    """
    if frame in (b"\x05", b"\x1c"):
        raise AgentError(
            "the agent refused, and does not say why: it may not have the key, be locked, or be told not to",
            frame[0],
        )
    return kind.unpackPayload(frame)


def keyName(blob: bytes) -> bytes:
    """
    The type that a key's blob begins with; empty if it is none.
    """
    try:
        return Reader(blob, "public key").string()
    except MalformedMessage:
        return b""
