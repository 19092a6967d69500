"""
The connection service: channels and global requests, RFC 4254.

L{SSHConnection} has the tables: which channel has which number, which requests
wait for which reply. What a single channel may send and receive, and when it
ends, its own machinery knows (L{conchlite.ssh.channel}).

The numbers of messages, of reasons not to open a channel and of kinds of
extended data stand here too, as in Conch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import (
    ChannelClosed,
    ChannelOpenFailed,
    ConchError,
    ConnectionEnded,
    MalformedMessage,
    UsageError,
    safe,
)
from conchlite.sansio.channels import ChannelNumbers, ChannelState, RemoteChannel, methodFor
from conchlite.sansio.flowcontrol import DATA
from conchlite.sansio.windows import ReceiveWindows
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.requests import Requests
from conchlite.wire import connection, numbers
from conchlite.wire.numbers import *  # noqa: F403
from conchlite.wire.types import Buffer

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import AgentForwarding

_T = TypeVar("_T")
_C = TypeVar("_C", bound=SSHChannel)

#: A peer that takes less than this in a packet is refused: with 0 nothing
#: could ever be sent (CVE-2026-59843), with little more only at a great price.
SMALLEST_PACKET_SIZE = 256

#: How many packets of one channel go out together. More in one write cost
#: more than they save, and other channels have to wait.
BURST = 4

# What SSHChannel.openFailed and the peer get when a program's own code fails.
_UNKNOWN_FAILURE = (numbers.OPEN_CONNECT_FAILED, b"unknown failure")


class SSHConnection(Requests):
    """
    The service that runs when the user is authenticated. On a client, a
    program derives its own from this one, and opens its channels in
    C{serviceStarted}. On a server, the avatar says what may be opened.

    @cvar maxChannels: the most channels; what the peer opens beyond is
        refused.
    @cvar maxSessions: the most sessions that the peer may have open.
    @cvar windowBudget: how many bytes the receive windows of all channels may
        come to as they grow; with 0 they stay as they are. It is looked at
        when the first channel is opened.
    @ivar agentForwarding: on a client, what lets the server use the user's
        agent; L{None} while nobody asked for it.
    """

    _log = Logger()

    name: Text = b"ssh-connection"
    maxChannels = 256
    maxSessions = 10
    windowBudget = 64 * 1024 * 1024
    agentForwarding: AgentForwarding | None = None

    def __init__(self) -> None:
        super().__init__()
        self._numbers = ChannelNumbers()
        # Our own openings that are not decided, and the peer's, by type.
        self._opening: dict[int, Deferred[Any]] = {}
        self._deciding: list[bytes] = []
        # Channels that have something to send, whose turn comes in this order.
        self._ready: dict[int, SSHChannel] = {}
        self._flushing = False

    @property
    def localChannelID(self) -> int:
        """
        The number that the next channel gets.
        """
        return self._numbers.next

    # The service.

    def serviceStarted(self) -> None:
        """
        On a server, tell the avatar which connection is his. A client opens
        its channels here.
        """
        if self.transport.avatar is not None:
            self.transport.avatar.conn = self

    def serviceStopped(self) -> None:
        """
        Everything ends: first the channels that are open, then those that were
        opening, then the global requests that wait.
        """
        self._stopped = self._stopReason()
        self._ready.clear()
        opening = []
        for channel in list(self.channels.values()):
            if channel._machine.life.state is ChannelState.OPENING:
                opening.append(channel)
            else:
                channel._machine.connectionLost()
                self.channelClosed(channel)
        for channel in opening:
            self._openFailed(channel, self._stopped)
        self._failGlobalRequests(self._stopped)

    def _stopReason(self) -> ConchError:
        reason = self.transport.closeReason
        if reason is not None and isinstance(reason.value, ConchError):
            return reason.value
        return ConnectionEnded("another service took the connection's place")

    def dataPath(self) -> Mapping[int, Callable[[memoryview], None]]:
        """
        The three messages that a busy connection consists of skip the lookup
        of their method, unless a subclass has its own.
        """
        cls = type(self)
        if cls.packetReceived is not SSHConnection.packetReceived:
            return {}
        paths: dict[int, Callable[[memoryview], None]] = {}
        if cls.ssh_CHANNEL_DATA is SSHConnection.ssh_CHANNEL_DATA:
            paths[numbers.MSG_CHANNEL_DATA] = self._data
        if cls.ssh_CHANNEL_EXTENDED_DATA is SSHConnection.ssh_CHANNEL_EXTENDED_DATA:
            paths[numbers.MSG_CHANNEL_EXTENDED_DATA] = self._extendedData
        if cls.ssh_CHANNEL_WINDOW_ADJUST is SSHConnection.ssh_CHANNEL_WINDOW_ADJUST:
            paths[numbers.MSG_CHANNEL_WINDOW_ADJUST] = self._windowAdjust
        return paths

    def resumeWriting(self) -> None:
        """
        Send what the channels have, in bursts and in turn, until the transport
        takes no more.
        """
        if self._flushing:
            return
        self._flushing = True
        ready = self._ready
        transport = self.transport
        try:
            while ready and transport.canWrite:
                number = next(iter(ready))
                channel = ready.pop(number)
                if channel._machine.corked is not None:
                    continue
                outgoing = channel._machine.outgoing
                packets = outgoing.window.takePackets(BURST)
                if packets:
                    transport.sendPackets(packets)
                    if outgoing.window.ready:
                        ready[number] = channel
                    outgoing.sent()
        finally:
            self._flushing = False

    def _flush(self, channel: SSHChannel) -> None:
        # Who is in the row already keeps his place.
        machine = channel._machine
        if machine.corked is None and machine.outgoing.window.ready and channel.id is not None:
            self._ready[channel.id] = channel
            if not self._flushing:
                self.resumeWriting()

    def _receiveWindows(self) -> ReceiveWindows | None:
        if self._windows is None and self.windowBudget:
            clock = self.transport.clock
            self._windows = ReceiveWindows(self.windowBudget, None if clock is None else clock.seconds)
        return self._windows

    # Channels that we open.

    def openChannel(self, channel: _C, extra: bytes = b"") -> Deferred[_C]:
        """
        Open a channel.

        @param channel: an L{SSHChannel} that was not opened before; its
            C{channelOpen} or C{openFailed} is called.
        @param extra: what belongs to the channel's type.
        @return: a Deferred that fires with C{channel} after C{channelOpen}. It
            fails with L{conchlite.error.ChannelOpenFailed} when the peer
            refuses, with L{conchlite.error.ChannelClosed} when the channel was
            aborted before it was open, and with what ended the connection. A
            failure that nobody looks at is not logged. To cancel it aborts the
            channel.
        @raise UsageError: the channel has no name, or was opened before.
        """
        _checkNew(channel)
        if not channel.name:
            raise UsageError(f"{channel!r} has no name")
        opened: Deferred[_C] = Deferred(lambda _: self._cancelOpening(channel))
        number = self._numbers.take(self.channels)
        channel._machine.attach(self, number)
        self.channels[number] = channel
        self._opening[number] = opened
        if self._stopped is not None:
            self._openFailed(channel, self._stopped)
            return opened
        window = channel._machine.incoming.window
        message = connection.ChannelOpen(
            asBytes(channel.name), number, window.size, window.maximumPacketSize, extra
        )
        self.transport.sendPacket(numbers.MSG_CHANNEL_OPEN, message.pack())
        self._asked(channel)
        return opened

    def _cancelOpening(self, channel: SSHChannel) -> None:
        if channel.id is not None:
            self._opening.pop(channel.id, None)
        channel.abortConnection()

    def _openFailed(self, channel: SSHChannel, error: ConchError) -> None:
        number = cast(int, channel.id)
        del self.channels[number]
        self._forget(channel)
        channel._machine.ended()
        channel._machine.call(channel.openFailed, error)
        opened = self._opening.pop(number, None)
        if opened is not None:
            failQuietly(opened, error)

    def ssh_CHANNEL_OPEN_CONFIRMATION(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.1: a channel that we asked for is open.
        """
        message = connection.ChannelOpenConfirmation.unpack(packet)
        channel = self._channel(message.recipientChannel)
        if message.maximumPacketSize < SMALLEST_PACKET_SIZE:
            raise MalformedMessage(f"a maximum packet size of {message.maximumPacketSize}")
        channel._machine.life.received(numbers.MSG_CHANNEL_OPEN_CONFIRMATION)
        self._answered(channel)
        channel._machine.opened(
            RemoteChannel(message.senderChannel), message.initialWindowSize, message.maximumPacketSize
        )
        opened = self._opening.pop(message.recipientChannel, None)
        failure = self._tellOpen(channel, message.specificData)
        if opened is not None:
            failQuietly(opened, failure) if failure is not None else opened.callback(channel)

    def _tellOpen(self, channel: SSHChannel, specificData: bytes) -> ConchError | None:
        # What openChannel's Deferred fails with, if it does.
        machine = channel._machine
        if not machine.aborted and machine.announce(specificData):
            # What was written and decided before the channel was open.
            self._flush(channel)
            machine.progress()
            return None
        failure = ChannelClosed("the channel was aborted while it opened")
        machine.progress()
        if not machine.announced:
            machine.call(channel.openFailed, failure)
        return failure

    def ssh_CHANNEL_OPEN_FAILURE(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.1: the peer refuses to open a channel.
        """
        message = connection.ChannelOpenFailure.unpack(packet)
        channel = self._channel(message.recipientChannel)
        channel._machine.life.received(numbers.MSG_CHANNEL_OPEN_FAILURE)
        self._openFailed(channel, ChannelOpenFailed(message.description, message.reasonCode))

    # Channels that the peer opens.

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.1: the peer wants to open a channel.
        """
        message = connection.ChannelOpen.unpack(packet)
        try:
            self._checkLimits(message)
            self._checkPermissions(message)
            found = self.getChannel(
                message.channelType,
                message.initialWindowSize,
                message.maximumPacketSize,
                message.specificData,
            )
        except MalformedMessage:
            # What came with the request is no part of the program's world.
            raise
        except Exception:  # noqa: BLE001  it is logged, and the peer refused
            self._refuse(message, Failure())
            return
        if isinstance(found, Deferred):
            self._deciding.append(message.channelType)
            found.addBoth(self._decided, message)
        else:
            self._accept(message, found)

    def _checkLimits(self, message: connection.ChannelOpen) -> None:
        if message.maximumPacketSize < SMALLEST_PACKET_SIZE:
            raise ConchError("maximum packet size too small", numbers.OPEN_CONNECT_FAILED)
        sessions = self._deciding.count(b"session")
        sessions += sum(1 for channel in self.channels.values() if channel._machine.openedAs == b"session")
        if len(self.channels) + len(self._deciding) >= self.maxChannels or (
            message.channelType == b"session" and sessions >= self.maxSessions
        ):
            raise ConchError("too many channels", numbers.OPEN_RESOURCE_SHORTAGE)

    def _checkPermissions(self, message: connection.ChannelOpen) -> None:
        transport = self.transport
        if not transport.isClient and not transport.permissions.mayOpen(
            message.channelType, message.specificData
        ):
            raise ConchError("not permitted", numbers.OPEN_ADMINISTRATIVELY_PROHIBITED)

    def getChannel(
        self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes
    ) -> SSHChannel | Deferred[SSHChannel]:
        """
        Find the channel for a request of the peer: the avatar is asked, or,
        where there is none, the method C{channel_} with the type behind it and
        C{_} for what is not a letter or a digit.

        @return: the channel, made with C{remoteWindow=windowSize} and
            C{remoteMaxPacket=maxPacket}, or a Deferred of one; until it fires
            the peer waits.
        @raise ConchError: with a text and a reason code, in either order:
            both are sent to the peer. Of any other exception the peer learns
            nothing, and the log everything.
        """
        avatar = self.transport.avatar
        if avatar is not None:
            found = avatar.lookupChannel(channelType, windowSize, maxPacket, data)
        else:
            method = methodFor(self, "channel_", channelType)
            found = None if method is None else method(windowSize, maxPacket, data)
        if found is None:
            raise ConchError("unknown channel", numbers.OPEN_UNKNOWN_CHANNEL_TYPE)
        return cast("SSHChannel | Deferred[SSHChannel]", found)

    def channel_auth_agent_openssh_com(
        self, windowSize: int, maxPacket: int, data: bytes
    ) -> SSHChannel | None:
        """
        PROTOCOL.agent: the server wants to reach the user's agent. It may,
        where a session on this connection was asked to forward it.
        """
        if self.agentForwarding is None or not self.transport.isClient:
            return None
        return self.agentForwarding.channelFor(self, windowSize, maxPacket)

    def _decided(self, found: SSHChannel | Failure | None, message: connection.ChannelOpen) -> None:
        self._deciding.remove(message.channelType)
        if isinstance(found, Failure):
            self._refuse(message, found)
        elif found is None:
            self._refuse(message, Failure(ConchError("unknown channel", numbers.OPEN_UNKNOWN_CHANNEL_TYPE)))
        elif self._stopped is not None:
            found.conn = self
            found._machine.call(found.openFailed, self._stopped)
        else:
            self._accept(message, found)

    def _accept(self, message: connection.ChannelOpen, channel: SSHChannel) -> None:
        try:
            _checkNew(channel)
        except UsageError:
            self._refuse(message, Failure())
            return
        number = self._numbers.take(self.channels)
        channel._machine.attach(self, number)
        channel._machine.openedAs = message.channelType
        self.channels[number] = channel
        channel._machine.opened(
            RemoteChannel(message.senderChannel), message.initialWindowSize, message.maximumPacketSize
        )
        window = channel._machine.incoming.window
        confirmation = connection.ChannelOpenConfirmation(
            message.senderChannel, number, window.size, window.maximumPacketSize, channel.specificData
        )
        self.transport.sendPacket(numbers.MSG_CHANNEL_OPEN_CONFIRMATION, confirmation.pack())
        # Whoever opens a channel has something to say there.
        self._asked(channel)
        self._tellOpen(channel, message.specificData)

    def _refuse(self, message: connection.ChannelOpen, failure: Failure) -> None:
        code, text = _UNKNOWN_FAILURE
        error = failure.value
        value, data = (error.value, error.data) if isinstance(error, ConchError) else (None, None)
        if isinstance(value, int):
            value, data = data, value
        if isinstance(data, int) and isinstance(value, str | bytes):
            code, text = data, asBytes(value)
        else:
            self._log.failure(
                "opening a channel of type {type} failed", failure, type=safe(message.channelType)
            )
        refusal = connection.ChannelOpenFailure(message.senderChannel, code, text, b"")
        self.transport.sendPacket(numbers.MSG_CHANNEL_OPEN_FAILURE, refusal.pack())

    # Data, and the end of it.

    def _data(self, body: Buffer) -> None:
        recipientChannel, data = connection.unpackData(body)
        self._channel(recipientChannel)._machine.incoming.received(DATA, data)

    def _extendedData(self, body: Buffer) -> None:
        recipientChannel, dataType, data = connection.unpackExtendedData(body)
        self._channel(recipientChannel)._machine.incoming.received(dataType, data)

    def _windowAdjust(self, body: Buffer) -> None:
        recipientChannel, bytesToAdd = connection.unpackWindowAdjust(body)
        channel = self._channel(recipientChannel)
        channel._machine.life.received(numbers.MSG_CHANNEL_WINDOW_ADJUST)
        channel.addWindowBytes(bytesToAdd)

    def ssh_CHANNEL_DATA(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.2: data.
        """
        self._data(packet)

    def ssh_CHANNEL_EXTENDED_DATA(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.2: data beside the data.
        """
        self._extendedData(packet)

    def ssh_CHANNEL_WINDOW_ADJUST(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.2: the peer takes more.
        """
        self._windowAdjust(packet)

    def ssh_CHANNEL_EOF(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.3: the peer has no more data.
        """
        message = connection.ChannelEOF.unpack(packet)
        self._channel(message.recipientChannel)._machine.incoming.endReceived()

    def ssh_CHANNEL_CLOSE(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.3: the peer closes a channel.
        """
        message = connection.ChannelClose.unpack(packet)
        self._channel(message.recipientChannel)._machine.incoming.closeReceived()

    def sendData(self, channel: SSHChannel, data: bytes) -> None:
        """
        Send data, as C{channel.write}.
        """
        channel.write(data)

    def sendExtendedData(self, channel: SSHChannel, dataType: int, data: bytes) -> None:
        """
        Send data beside the data, as C{channel.writeExtended}.
        """
        channel.writeExtended(dataType, data)

    def sendEOF(self, channel: SSHChannel) -> None:
        """
        Send EOF, behind what waits to be sent.
        """
        channel.loseWriteConnection()

    def sendClose(self, channel: SSHChannel) -> None:
        """
        Send EOF and CLOSE behind what waits to be sent, whatever the peer has
        yet to send.
        """
        channel.closeGrace = 0
        channel.loseConnection()

    def adjustWindow(self, channel: SSHChannel, bytesToAdd: int) -> None:
        """
        Let the peer send more than it might. The window follows what the
        program takes by itself: this is for programs that want it larger.

        @raise UsageError: it would be larger than a window can be.
        """
        if channel._machine.life.maySend(numbers.MSG_CHANNEL_WINDOW_ADJUST):
            channel._machine.incoming.window.grow(bytesToAdd)
            self._sendAdjust(channel, bytesToAdd)

    def _sendAdjust(self, channel: SSHChannel, size: int) -> None:
        if channel._machine.life.maySend(numbers.MSG_CHANNEL_WINDOW_ADJUST):
            self.transport.sendPacket(
                numbers.MSG_CHANNEL_WINDOW_ADJUST,
                connection.packWindowAdjust(cast(int, channel._machine.remoteChannel), size),
            )

    def channelClosed(self, channel: SSHChannel) -> None:
        """
        A channel that was open is closed on both sides, or the connection is
        lost: forget its number, fail what waits for its replies, and call its
        C{closed}, if its C{channelOpen} was. A subclass that overrides this
        calls it.
        """
        number = channel.id
        if number is None or self.channels.get(number) is not channel:
            return
        del self.channels[number]
        self._ready.pop(number, None)
        self._forget(channel)
        channel._machine.ended()
        self._failRequests(number)
        if channel._machine.announced:
            channel._machine.call(channel.closed)

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """
        RFC 4252 section 5.1: a server ignores what comes behind its
        USERAUTH_SUCCESS.
        """
        if self.transport.isClient:
            self.transport.sendUnimplemented()


def _checkNew(channel: SSHChannel) -> None:
    if channel.id is not None or channel._machine.life.state is not ChannelState.OPENING:
        raise UsageError(f"{channel} was opened before")


def failQuietly(deferred: Deferred[_T], error: ConchError) -> None:
    """
    Fail a Deferred that nobody may look at, because there are other ways to
    hear of it: it does not end in the log as unhandled. Who looks at it later
    finds the failure there.
    """
    failure = Failure(error)
    deferred.errback(failure)
    debugInfo = getattr(deferred, "_debugInfo", None)
    if debugInfo is not None and debugInfo.failResult is failure:
        debugInfo.failResult = None
