"""
How a channel comes to its end, and what else the connection has to know of it.

The life of a channel as the RFC has it is a table in
L{conchlite.sansio.channels}. Here it meets the program. After
C{loseConnection} there are steps, and L{ChannelMachine.progress} takes each as
soon as it can be taken: the producer is done, what waits has left, EOF has
left, every request of the peer has its reply, the peer has sent EOF or CLOSE
(or C{closeGrace} is over); then CLOSE goes out, and when the peer's CLOSE is
there too, C{closed} is called. What the program holds back with
C{pauseProducing} holds back EOF, CLOSE and C{closed} behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

from twisted.internet.interfaces import IDelayedCall

from conchlite.sansio.channels import ChannelLife, ChannelState, LocalChannel, RemoteChannel, ReplyQueue
from conchlite.ssh.channelflow import Incoming, Outgoing
from conchlite.wire.numbers import MSG_CHANNEL_CLOSE

if TYPE_CHECKING:
    from conchlite.ssh.channel import SSHChannel
    from conchlite.ssh.connection import SSHConnection

_P = ParamSpec("_P")

#: The most requests of the peer on one channel that may wait for a reply.
MAXIMUM_WAITING_REQUESTS = 64


class ChannelMachine:
    """
    What the connection knows of a channel.

    @ivar channel: the channel, with the program's callbacks.
    @ivar life: where it is in its life.
    @ivar remoteChannel: the peer's number, once it is open.
    @ivar openedAs: the type that the peer asked for, where the peer opened it.
    @ivar replies: the replies that the peer awaits.
    @ivar corked: what waits to be sent behind the reply to the request that is
        being handled, as message number and payload; L{None} if there is none.
    @ivar aborted: whether the program has given the channel up.
    @ivar announced: whether C{channelOpen} was called, so that C{closed} is to
        follow.
    """

    __slots__ = (
        "_graceCall",
        "aborted",
        "announced",
        "channel",
        "corked",
        "incoming",
        "life",
        "openedAs",
        "outgoing",
        "remoteChannel",
        "replies",
    )

    def __init__(self, channel: SSHChannel, remoteWindow: int, remoteMaxPacket: int) -> None:
        self.channel = channel
        self.life = ChannelLife()
        self.remoteChannel: RemoteChannel | None = None
        self.openedAs: bytes | None = None
        self.outgoing = Outgoing(self)
        self.outgoing.window.left = remoteWindow
        self.outgoing.window.maximumPacketSize = remoteMaxPacket
        self.incoming = Incoming(self)
        self.replies: ReplyQueue[bool] = ReplyQueue(MAXIMUM_WAITING_REQUESTS)
        self.corked: list[tuple[int, bytes]] | None = None
        self.aborted = False
        self.announced = False
        self._graceCall: IDelayedCall | None = None

    def attach(self, conn: SSHConnection, number: LocalChannel) -> None:
        """
        The channel has a number now.
        """
        self.incoming.begin(conn._receiveWindows())
        self.channel.conn = conn
        self.channel.id = number

    def opened(self, remoteChannel: RemoteChannel, windowSize: int, maximumPacketSize: int) -> None:
        """
        Both sides know the channel now.
        """
        self.life.state = ChannelState.OPEN
        self.remoteChannel = remoteChannel
        self.outgoing.window.open(remoteChannel, windowSize, maximumPacketSize)
        self.incoming.deaf = self.aborted

    def announce(self, specificData: bytes) -> bool:
        """
        Tell the program that the channel is open.

        @return: whether C{channelOpen} did not raise.
        """
        self.announced = True
        return self.call(self.channel.channelOpen, specificData)

    def peerGone(self) -> None:
        """
        The peer has closed, and what is held has not been delivered yet.
        """

    def abort(self) -> None:
        """
        See L{SSHChannel.abortConnection}.
        """
        if not self.aborted:
            self.aborted = self.channel.disconnecting = True
            self.outgoing.stop()
            self.incoming.drop()
            self.progress()

    def cork(self) -> None:
        """
        A request is being handled: nothing is sent until it is, so that the
        reply comes first, and CLOSE never before it.
        """
        self.corked = []

    def uncork(self) -> None:
        """
        The request was handled, or will be later.
        """
        channel = self.channel
        corked, self.corked = self.corked, None
        for number, payload in corked or ():
            channel.conn.transport.sendPacket(number, payload)
        channel.conn._flush(channel)
        self.progress()

    def progress(self) -> None:
        """
        Take the next steps towards the end, as far as they can be taken.
        """
        channel = self.channel
        life = self.life
        incoming = self.incoming
        if self.corked is not None:
            return
        if channel.disconnecting and life.maySend(MSG_CHANNEL_CLOSE):
            if self.aborted or life.state is ChannelState.CLOSE_RECEIVED:
                self._sendClose()
            elif self.outgoing.ended:
                if (incoming.ended or channel.closeGrace <= 0) and not self.replies:
                    self._sendClose()
                elif channel.closeGrace > 0:
                    self._startGrace()
        if life.state is ChannelState.CLOSED:
            if not incoming.holds:
                channel.conn.channelClosed(channel)
            elif channel.disconnecting and incoming.paused:
                self._startGrace()

    def _sendClose(self) -> None:
        self.life.sent(MSG_CHANNEL_CLOSE)
        self.channel.conn._sendTo(self.channel, MSG_CHANNEL_CLOSE)

    def _startGrace(self) -> None:
        clock = self.channel.conn.transport.clock
        if self._graceCall is None and clock is not None:
            self.incoming.heard = False
            self._graceCall = clock.callLater(max(self.channel.closeGrace, 0), self._graceOver)

    def _graceOver(self) -> None:
        self._graceCall = None
        if self.incoming.heard and not self.incoming.paused:
            self._startGrace()
            return
        # A program that closed and left the channel paused will not resume it.
        self.incoming.resume()
        if self.life.maySend(MSG_CHANNEL_CLOSE):
            self._sendClose()
        self.progress()

    def connectionLost(self) -> None:
        """
        Nothing more will come. What is held is at most a window: a program
        that collects what came gets all of it.
        """
        if not self.aborted:
            self.incoming.resume()

    def ended(self) -> None:
        """
        The connection has forgotten the channel.
        """
        self.life.state = ChannelState.CLOSED
        if self._graceCall is not None:
            self._graceCall.cancel()
            self._graceCall = None
        self.outgoing.stop()
        self.incoming.drop()
        self.incoming.window.end()

    def call(self, callback: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """
        Call something of the program's. If it raises, that ends the channel,
        not the connection.

        @return: whether it did not raise.
        """
        try:
            callback(*args, **kwargs)
        except Exception:  # noqa: BLE001  as the docstring says
            self.failed(getattr(callback, "__name__", "callback"))
            return False
        return True

    def failed(self, name: str) -> None:
        """
        Something of the program's has raised.
        """
        self.channel._log.failure("{name} of {channel} failed", name=name, channel=str(self.channel))
        self.abort()
