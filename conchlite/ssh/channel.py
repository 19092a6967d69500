"""
A channel as programs see it: RFC 4254 section 5.

What it does, L{conchlite.ssh.channelmachine} has, and what passes through it
L{conchlite.ssh.channelflow}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IPullProducer,
    IPushProducer,
    ITransport,
)
from twisted.logger import Logger
from zope.interface import implementer

from conchlite.error import ConchError, UsageError, safe
from conchlite.sansio.channels import ChannelState, LocalChannel, methodFor
from conchlite.sansio.flowcontrol import DATA
from conchlite.ssh.channelmachine import ChannelMachine
from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from conchlite.interfaces import IConchUser
    from conchlite.ssh.connection import SSHConnection


@implementer(ITransport, IConsumer, IPushProducer, IPullProducer)
class SSHChannel:
    """
    One channel: a program derives its own class from this one and overrides
    the callbacks. It is a transport for protocols as well.

    @cvar name: the channel's type.
    @cvar localWindowSize: how many bytes the peer may send before the program
        has taken any; so much memory a program that does not read costs. Where
        a connection has many channels, the later ones begin with less.
    @cvar windowGrows: whether that becomes more while the peer is held up by
        it, within the C{windowBudget} of the connection, and less again when
        other channels need it.
    @cvar pulled: whether it is a pull producer: it delivers nothing by itself,
        and one piece for each C{resumeProducing}. For consumers where it is
        registered with C{streaming=False}.
    @cvar localMaxPacket: how many bytes of data the peer may send in a packet.
    @cvar closeGrace: after C{loseConnection}, how many seconds of silence the
        peer has until CLOSE is sent all the same; a program that has paused
        the channel has as many to resume it.
    @cvar waitingLimit: when more bytes than this wait to be sent, the producer
        is paused.
    @ivar conn: the connection; from C{openChannel} on at the latest.
    @ivar data: what is sent to the peer with the request to open.
    @ivar avatar: on a server, the user.
    @ivar specificData: what goes with the confirmation of a channel that the
        peer opens.
    @ivar id: our number of the channel, or L{None} before it has one.
    @ivar disconnecting: whether it was told to close.
    @ivar areWriting: false between C{stopWriting} and C{startWriting}.
    """

    _log = Logger()
    # All else that is private is in there, where subclasses do not meet it.
    _machineClass = ChannelMachine

    name: Text = b""
    localWindowSize = 2 * 1024 * 1024
    windowGrows = True
    pulled = False
    localMaxPacket = 32768
    closeGrace: float = 10
    waitingLimit = 256 * 1024

    def __init__(
        self,
        localWindow: int = 0,
        localMaxPacket: int = 0,
        remoteWindow: int = 0,
        remoteMaxPacket: int = 0,
        conn: SSHConnection | None = None,
        data: bytes | None = None,
        avatar: IConchUser | None = None,
    ) -> None:
        """
        @param localWindow: instead of C{localWindowSize}, unless it is 0.
        @param localMaxPacket: instead of the class's, unless it is 0.
        @param remoteWindow: how many bytes the peer takes at first.
        @param remoteMaxPacket: how many bytes of data it takes in a packet.
        """
        if localWindow:
            self.localWindowSize = localWindow
        if localMaxPacket:
            self.localMaxPacket = localMaxPacket
        # No callback runs before there is a connection, so that programs need
        # not ask whether there is one.
        self.conn: SSHConnection = conn  # type: ignore[assignment]
        self.data = data
        self.avatar = avatar
        self.specificData = b""
        self.id: LocalChannel | None = None
        self.disconnecting = False
        self.areWriting = True
        self._machine = self._machineClass(self, remoteWindow, remoteMaxPacket)

    def __str__(self) -> str:
        name = safe(asBytes(self.name)) or "None"
        return f"<SSHChannel {name} (lw {self.localWindowLeft} rw {self.remoteWindowLeft})>"

    def logPrefix(self) -> str:
        number = "unknown" if self.id is None else self.id
        name = safe(asBytes(self.name)) or "None"
        return f"SSHChannel {name} ({number}) on {self.conn.logPrefix()}"

    @property
    def localWindowLeft(self) -> int:
        """
        How many bytes the peer may send yet.
        """
        return self._machine.incoming.window.left

    @property
    def remoteWindowLeft(self) -> int:
        """
        How many bytes the peer takes yet.
        """
        return self._machine.outgoing.window.left

    @property
    def remoteMaxPacket(self) -> int:
        """
        How many bytes of data the peer takes in a packet.
        """
        return self._machine.outgoing.window.maximumPacketSize

    @property
    def localClosed(self) -> bool:
        """
        Whether we have sent CLOSE, or the connection is gone.
        """
        return self._machine.life.state in (
            ChannelState.CLOSE_SENT,
            ChannelState.CLOSE_SENT_AFTER_EOF,
            ChannelState.CLOSED,
        )

    @property
    def remoteClosed(self) -> bool:
        """
        Whether the peer has sent CLOSE, or the connection is gone.
        """
        return self._machine.life.state in (ChannelState.CLOSE_RECEIVED, ChannelState.CLOSED)

    # What a program overrides.

    def channelOpen(self, specificData: bytes) -> None:
        """
        The channel is open.

        @param specificData: what the peer sent along; nothing, for most types.
        """

    def openFailed(self, reason: ConchError) -> None:
        """
        The channel could not be opened. C{channelOpen} was not called, and
        nothing else is called after this.

        @param reason: when the peer refused, a
            L{conchlite.error.ChannelOpenFailed}, with the peer's text (bytes)
            as C{value} and the reason code as C{data}; when the peer agreed,
            but the program had aborted the channel, a
            L{conchlite.error.ChannelClosed}; otherwise the error that ended
            the connection.
        """
        self._log.info("{channel} was not opened: {reason}", channel=str(self), reason=str(reason))

    def dataReceived(self, data: bytes) -> None:
        """
        The peer sent data.
        """

    def extReceived(self, dataType: int, data: bytes) -> None:
        """
        The peer sent data beside the ordinary data.

        @param dataType: its kind; 1 is standard error.
        """

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        """
        The peer sent a request. As it stands, it is handed to the method
        C{request_} with the type behind it, C{-} as C{_}.

        @param data: what belongs to the type.
        @return: true for success, false for failure, or a Deferred of one of
            them. An exception is failure.
        """
        method = methodFor(self, "request_", requestType)
        return method(data) if method is not None else False

    def eofReceived(self) -> None:
        """
        The peer will send no more data.
        """

    def closeReceived(self) -> None:
        """
        The peer closed the channel. As it stands, this closes our side too;
        whoever overrides it does so himself, now or later.
        """
        self.loseConnection()

    def closed(self) -> None:
        """
        The channel is closed on both sides, or the connection is lost. This is
        the last that is called, and it is called once, if C{channelOpen} was.
        """

    def stopWriting(self) -> None:
        """
        A hint: the peer's window is full, and what is written waits.
        """

    def startWriting(self) -> None:
        """
        A hint: what had to wait has left.
        """

    # What a program calls.

    def write(self, data: bytes) -> None:
        """
        Send data; what the peer does not take yet waits. After C{sendEOF},
        C{loseConnection} or the end of the channel this does nothing.
        """
        self._machine.outgoing.put(DATA, data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        Send several pieces of data.
        """
        self._machine.outgoing.put(DATA, b"".join(data))

    def writeExtended(self, dataType: int, data: bytes) -> None:
        """
        Send data beside the ordinary data, in its order with it.

        @param dataType: its kind; 1 is standard error.
        @raise UsageError: there is no such kind.
        """
        if not 0 <= dataType <= 0xFFFFFFFF:
            raise UsageError(f"extended data of type {dataType}")
        self._machine.outgoing.put(dataType, data)

    def loseWriteConnection(self) -> None:
        """
        Send EOF, behind what waits; the peer may go on sending.
        """
        self._machine.outgoing.end()

    def loseConnection(self) -> None:
        """
        Close our side: send what waits, then EOF, and CLOSE when the peer is
        done too. Until then, what it sends is delivered. Before the channel is
        open this takes effect when it is. A producer is waited for.
        """
        self.disconnecting = True
        self._machine.outgoing.end()
        self._machine.progress()

    def abortConnection(self) -> None:
        """
        Close at once: what waits is dropped, and nothing is delivered any
        more. C{closed} is called when the peer has agreed. A channel that is
        not open yet does not open: when the peer has decided, C{openFailed} is
        called.
        """
        self._machine.abort()

    def getPeer(self) -> IAddress:
        """
        The peer's address, an L{SSHTransportAddress}.
        """
        return self.conn.transport.getPeer()

    def getHost(self) -> IAddress:
        """
        Our address, an L{SSHTransportAddress}.
        """
        return self.conn.transport.getHost()

    # As a consumer.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let C{producer} be paused while more than C{waitingLimit} bytes wait
        for the peer's window, a key exchange or the connection.

        @param streaming: true for a push producer; a pull producer is asked
            for more when everything that it gave has left.
        @raise RuntimeError: there is one already, as with every consumer.
        """
        self._machine.outgoing.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        The producer is done.
        """
        self._machine.outgoing.unregisterProducer()

    # As a producer.

    def pauseProducing(self) -> None:
        """
        Deliver nothing until C{resumeProducing}. What comes meanwhile is kept,
        and the window is not opened: the peer can send no more than that.
        """
        self._machine.incoming.pause()

    def resumeProducing(self) -> None:
        """
        Deliver what was kept, and whatever comes; as a pull producer, one
        piece of it.
        """
        if self.pulled:
            self._machine.incoming.pull()
        else:
            self._machine.incoming.resume()

    def stopProducing(self) -> None:
        """
        Close our side, as L{loseConnection}.
        """
        self.loseConnection()

    # What the connection calls.

    def addWindowBytes(self, size: int) -> None:
        """
        The peer takes C{size} bytes more.

        @raise conchlite.error.FlowControlViolation: more than a window can be.
        """
        self._machine.outgoing.windowGrew(size)
