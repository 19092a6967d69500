"""
Letting a server use the user's agent: draft-ietf-sshm-ssh-agent section 7, and
OpenSSH's PROTOCOL.agent.

On a client, an L{AgentForwarding} asks a session for it, and then stands
between the server and the agent: it lets through what is to list keys and to
sign, and asks the program about each signature. On a server, a
L{ForwardedAgent} is what a session's program gets: a socket, or a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReactorUNIX
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import AgentError, ChannelRequestFailed, ConchError, UsageError
from conchlite.ssh.agentbindings import Login, readLogin
from conchlite.ssh.agentclient import SSHAgentClient, readAnswer
from conchlite.ssh.agentframes import AgentAnswers
from conchlite.ssh.agentsocket import AgentSocket
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.channelmachine import ChannelMachine
from conchlite.ssh.fingerprints import fingerprint
from conchlite.wire import agent
from conchlite.wire.codec import Message
from conchlite.wire.numbers import OPEN_RESOURCE_SHORTAGE

if TYPE_CHECKING:
    from conchlite.ssh.connection import SSHConnection

#: The request of a session, and the type of the channels that follow.
REQUEST = b"auth-agent-req@openssh.com"
CHANNEL = b"auth-agent@openssh.com"

# What a server may ask besides, where a program lets it change the agent.
_CHANGES = {
    message.number: message
    for message in (
        agent.AddIdentity,
        agent.AddIDConstrained,
        agent.RemoveIdentity,
        agent.RemoveAllIdentities,
        agent.Lock,
        agent.Unlock,
    )
}


class _AgentMachine(ChannelMachine):
    """
    A server that has closed waits for no answers: nobody is to be asked about
    what it wanted.
    """

    __slots__ = ()

    def peerGone(self) -> None:
        if self.openedAs is not None:
            self.incoming.drop()


class AgentChannel(SSHChannel):
    """
    A channel to an agent, with a protocol at our end.

    @ivar protocol: the protocol.
    """

    name = CHANNEL
    localWindowSize = 256 * 1024
    windowGrows = False
    #: Who closes asks no more, and wants no answers.
    closeGrace = 0

    _machineClass = _AgentMachine

    def __init__(self, protocol: Protocol, ended: Callable[[AgentChannel], None], **named: Any) -> None:
        """
        @param ended: is told when the channel is over.
        """
        super().__init__(**named)
        self.protocol = protocol
        self._ended = ended

    def channelOpen(self, specificData: bytes) -> None:
        self.protocol.makeConnection(self)

    def openFailed(self, reason: ConchError) -> None:
        self._ended(self)

    def dataReceived(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def eofReceived(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        # Only what is registered here may hold back its end.
        self.unregisterProducer()
        super().loseConnection()

    def closed(self) -> None:
        self._ended(self)
        self.protocol.connectionLost(Failure(ConnectionDone()))


@dataclass(frozen=True)
class AgentUse:
    """
    A server wants a signature of the user's agent.

    @ivar host: the address of the server.
    @ivar publicKey: the blob of the key that is to sign.
    @ivar comment: what the agent calls the key, if the server has seen it.
    @ivar login: where the signature would log in to: the user and the host
        key; L{None} if it is for anything else.
    """

    host: str
    publicKey: bytes
    comment: bytes
    login: Login | None

    @property
    def fingerprint(self) -> str:
        """
        The key's fingerprint, as ssh-add shows it.
        """
        return fingerprint(self.publicKey)


#: Decides about a use of the agent: true, or a Deferred of it, permits it.
Approve = Callable[[AgentUse], "Deferred[bool] | bool"]


class AgentForwarding:
    """
    A client's agent, for the server of one connection.

    It belongs to one connection; each has its own, for all of its sessions.

    @cvar maximumConnections: how many connections to the agent the server may
        have at a time.
    """

    _log = Logger()
    maximumConnections = 16

    def __init__(
        self,
        connect: Callable[[], Deferred[SSHAgentClient]],
        approve: Approve,
        used: Callable[[AgentUse, bool], object] | None = None,
        changes: bool = False,
    ) -> None:
        """
        @param connect: connects to the agent, anew each time that the server
            does: C{lambda: connectToAgent(reactor)}.
        @param approve: is asked about each signature; anything but true, or a
            Deferred of it, refuses.
        @param used: is told about each signature, and whether it was permitted.
        @param changes: whether the server may add keys, remove them and lock
            the agent. Never may it have libraries loaded.
        """
        self.connect = connect
        self._approve = approve
        self._used = used
        self.changes = changes
        self._channels: set[AgentChannel] = set()
        self._asked = 0
        self._granted = False

    def request(self, session: SSHChannel) -> Deferred[None]:
        """
        Ask a session to forward the agent, before what runs there is started.
        From now on the server may use it, until the connection ends or it has
        refused.

        @param session: a session that is open.
        @return: a Deferred that fails with
            L{conchlite.error.ChannelRequestFailed} if the server refuses, and
            with L{UsageError} if the connection has another forwarding.
        """
        connection = session.conn
        if connection.agentForwarding not in (None, self):
            return fail(UsageError("the connection has another AgentForwarding, for all its sessions"))
        connection.agentForwarding = self
        self._asked += 1
        asking = connection.sendRequest(session, REQUEST, b"", wantReply=True)
        if asking is None:
            asking = fail(AgentError("the session is closed"))
        return asking.addCallbacks(self._agreed, self._refused, errbackArgs=(connection,))

    def _agreed(self, _: object) -> None:
        self._granted = True

    def _refused(self, failure: Failure, connection: SSHConnection) -> Failure | None:
        self._asked -= 1
        # OpenSSH's sshd agrees once, for all sessions of the connection, and
        # refuses from then on.
        if self._granted and failure.check(ChannelRequestFailed):
            return None
        if not self._granted and not self._asked and connection.agentForwarding is self:
            connection.agentForwarding = None
        return failure

    def channelFor(self, connection: SSHConnection, windowSize: int, maxPacket: int) -> AgentChannel:
        """
        The server wants to reach the agent.

        @raise ConchError: it has too many connections to it already.
        """
        if len(self._channels) >= self.maximumConnections:
            raise ConchError("too many connections to the agent", OPEN_RESOURCE_SHORTAGE)
        relay = _Relay(self, connection)
        channel = AgentChannel(
            relay, self._channels.discard, remoteWindow=windowSize, remoteMaxPacket=maxPacket
        )
        self._channels.add(channel)
        return channel

    async def approved(self, use: AgentUse) -> None:
        """
        Return where a signature is permitted.

        @raise AgentError: it is not.
        """
        permitted = False
        try:
            asking: Deferred[bool] = maybeDeferred(cast(Any, self._approve), use)
            permitted = await asking is True
        finally:
            self._log.info(
                "{host} {verb} use the agent's key {fingerprint}",
                host=use.host,
                verb="may" if permitted else "may not",
                fingerprint=use.fingerprint,
            )
            if self._used is not None:
                self._used(use, permitted)
        if not permitted:
            raise AgentError("the use of the key was not permitted")


class _Relay(AgentAnswers):
    """
    The server's connection to the agent: each message is read, and what may
    pass is asked of the agent anew.
    """

    def __init__(self, forwarding: AgentForwarding, connection: SSHConnection) -> None:
        super().__init__()
        self._forwarding = forwarding
        self._connection = connection
        self._agent: SSHAgentClient | None = None
        self._comments: dict[bytes, bytes] = {}

    def connectionMade(self) -> None:
        super().connectionMade()
        self._work(Deferred.fromCoroutine(self._connect()))

    async def _connect(self) -> None:
        try:
            self._agent = await self._forwarding.connect()
            await self._agent.bindToTransport(self._connection.transport, forwarding=True)
        except AgentError as error:
            self._log.warn("the agent is not forwarded: {error}", error=str(error))
            cast(AgentChannel, self.transport).loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        super().connectionLost(reason)
        if self._agent is not None:
            self._agent.disconnect()

    async def answer(self, frame: bytes) -> Message:
        """
        See L{AgentAnswers}.
        """
        if self._agent is None:
            raise AgentError("there is no agent")
        number = frame[0]
        if number == agent.REQUEST_IDENTITIES:
            return await self._list(self._agent, agent.RequestIdentities.unpackPayload(frame))
        if number == agent.SIGN_REQUEST:
            return await self._sign(self._agent, agent.SignRequest.unpackPayload(frame))
        if number == agent.EXTENSION:
            request = agent.Extension.unpackPayload(frame)
            if request.name != agent.SESSION_BIND:
                raise AgentError("an extension that is not forwarded")
            # The server forwards it once more, or logs in from there.
            agent.SessionBind.unpack(request.contents)
            await self._agent.extension(request.name, request.contents)
            return agent.Success()
        if not self._forwarding.changes or number not in _CHANGES:
            raise AgentError(f"request {number} is not forwarded")
        await self._agent.do(_CHANGES[number].unpackPayload(frame))
        return agent.Success()

    async def _list(self, client: SSHAgentClient, request: agent.RequestIdentities) -> Message:
        answer = await client.ask(request, lambda frame: readAnswer(frame, agent.IdentitiesAnswer))
        self._comments = dict(answer.identities)
        return answer

    async def _sign(self, client: SSHAgentClient, request: agent.SignRequest) -> Message:
        host = self._connection.transport.getPeer().address
        try:
            login = readLogin(request.data, request.publicKey)
        except AgentError:
            login = None
        comment = self._comments.get(request.publicKey, b"")
        text = str(getattr(host, "host", host))
        await self._forwarding.approved(AgentUse(text, request.publicKey, comment, login))
        return await client.ask(request, lambda frame: readAnswer(frame, agent.SignResponse))


class ForwardedAgent:
    """
    A user's agent, for what runs in his session on a server.

    @cvar maximumConnections: how many connections to it there may be at a
        time.
    """

    _log = Logger()
    maximumConnections = 16

    def __init__(self, connection: SSHConnection) -> None:
        self._connection = connection
        self._channels: set[AgentChannel] = set()
        self._socket: AgentSocket | None = None
        self._closed = False

    def openAgent(self) -> Deferred[SSHAgentClient]:
        """
        Connect to the agent.

        @return: a Deferred of the connection. It fails with L{AgentError} if
            the user does not let it.
        """
        client = SSHAgentClient()
        return self.openChannel(client).addCallback(lambda _: client)

    def openChannel(self, protocol: Protocol) -> Deferred[AgentChannel]:
        """
        Connect a protocol to the agent.

        @return: a Deferred of its transport. It fails with L{AgentError}.
        """
        if self._closed or len(self._channels) >= self.maximumConnections:
            return fail(AgentError("the session has ended" if self._closed else "too many connections"))
        channel = AgentChannel(protocol, self._channels.discard)
        self._channels.add(channel)
        return self._connection.openChannel(channel).addErrback(_asAgentError)

    def listen(self, reactor: IReactorUNIX, directory: str | None = None, owner: int | None = None) -> str:
        """
        Make a socket for it: what SSH_AUTH_SOCK is to say.

        @param directory: where; L{None} for the place for temporary files.
        @param owner: the number of the user whose it is to be, if he is
            another; that takes root.
        @return: its path. It is gone when the session is.
        @raise AgentError: there can be none.
        """
        if self._socket is None:
            try:
                self._socket = AgentSocket(reactor, _SocketFactory(self), directory, owner)
            except AgentError as error:
                # The user hears only that there is none.
                self._log.warn("a user's agent is not forwarded: {error}", error=str(error))
                raise
        return self._socket.path

    def close(self) -> None:
        """
        The session is over.
        """
        self._closed = True
        if self._socket is not None:
            self._socket.close()
        for channel in list(self._channels):
            channel.abortConnection()


def _asAgentError(failure: Failure) -> Failure:
    if failure.check(ConchError):
        return Failure(AgentError(f"the user's agent is not to be had: {failure.value}"))
    return failure


class _SocketFactory(Factory[Any]):
    noisy = False

    def __init__(self, forwarded: ForwardedAgent) -> None:
        self._forwarded = forwarded

    def buildProtocol(self, addr: IAddress | None) -> _SocketEnd:
        return _SocketEnd(self._forwarded)


class _SocketEnd(Protocol):
    """
    Who has connected to the socket: what he sends goes to the agent. Who does
    not read is not read from.
    """

    def __init__(self, forwarded: ForwardedAgent) -> None:
        self._forwarded = forwarded
        self._opening: Deferred[Any] | None = None
        self._channel: AgentChannel | None = None

    def connectionMade(self) -> None:
        end = cast(Any, self.transport)
        end.pauseProducing()
        self._channelEnd = _ChannelEnd(end)
        self._opening = self._forwarded.openChannel(self._channelEnd)
        self._opening.addCallbacks(self._opened, lambda _: end.loseConnection())

    def _opened(self, channel: AgentChannel) -> None:
        end = cast(Any, self.transport)
        self._channel = channel
        channel.registerProducer(end, True)
        end.registerProducer(channel, True)
        self._channelEnd.joined = True
        end.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._channel is not None:
            self._channel.loseConnection()
        elif self._opening is not None:
            self._opening.cancel()


class _ChannelEnd(Protocol):
    """
    The user's end: what the agent says goes to the socket.

    @ivar joined: whether the socket holds back the agent.
    """

    def __init__(self, end: Any) -> None:
        self._end = end
        self.joined = False

    def dataReceived(self, data: bytes) -> None:
        self._end.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self.joined:
            self._end.unregisterProducer()
        self._end.loseConnection()
