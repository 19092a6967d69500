"""
The two directions of a channel's data, between the windows and the program.

L{Outgoing} has what the program writes until it has left, and asks the
program's producer for more. L{Incoming} hands to the program what the peer
sends, and keeps it while the program is paused. Both belong to a
L{ChannelMachine<conchlite.ssh.channelmachine.ChannelMachine>}, which knows how
they come to their ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IProducer, IPullProducer, IPushProducer

from conchlite.sansio.flowcontrol import DATA, END, HeldData, ReceiveWindow, SendWindow
from conchlite.wire.numbers import (
    EXTENDED_DATA_STDERR,
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
)

if TYPE_CHECKING:
    from conchlite.sansio.windows import ReceiveWindows
    from conchlite.ssh.channelmachine import ChannelMachine


class Outgoing:
    """
    What a program writes, and its producer.

    @ivar window: the peer's window, and what waits for it.
    @ivar closed: whether nothing that is written is taken any more.
    @ivar ended: whether EOF has gone out.
    """

    __slots__ = (
        "_channel",
        "_endWanted",
        "_machine",
        "_producer",
        "_producerPaused",
        "_pulling",
        "_streaming",
        "_wrote",
        "closed",
        "ended",
        "window",
    )

    def __init__(self, machine: ChannelMachine) -> None:
        self._machine = machine
        self._channel = machine.channel
        self.window = SendWindow()
        self.closed = False
        self.ended = False
        self._endWanted = False
        self._producer: IPushProducer | IPullProducer | None = None
        self._streaming = False
        self._producerPaused = False
        self._pulling = False
        self._wrote = False

    def put(self, kind: int, data: bytes) -> None:
        """
        Send C{data}, now or when the peer takes it.
        """
        if type(data) is not bytes:
            # It may be changed by the time it is sent.
            data = bytes(memoryview(data))
        if self.closed or not data:
            return
        self.window.put(kind, data)
        self._wrote = True
        self._flush()
        if self.window.size:
            self._noteWaiting()

    def _flush(self) -> None:
        channel = self._channel
        if channel.id is not None:
            channel.conn._flush(channel)

    def windowGrew(self, size: int) -> None:
        """
        See L{SSHChannel.addWindowBytes}.
        """
        self.window.add(size)
        if self.window:
            self._flush()

    def _noteWaiting(self) -> None:
        channel = self._channel
        window = self.window
        if channel.areWriting and not window.left and self._machine.remoteChannel is not None:
            channel.areWriting = False
            self._machine.call(channel.stopWriting)
        producer = self._producer
        if (
            self._streaming
            and not self._producerPaused
            and window.size > channel.waitingLimit
            and producer is not None
        ):
            self._producerPaused = True
            self._machine.call(producer.pauseProducing)  # type: ignore[union-attr]  # a streaming one has it

    def end(self) -> None:
        """
        Send EOF behind what waits, when there is no producer any more.
        """
        self._endWanted = True
        if not self.closed and self._producer is None:
            self.closed = True
            self.window.put(END, b"")
            self._flush()

    def stop(self) -> None:
        """
        Drop what waits: nobody takes it any more.
        """
        self.closed = True
        self.window.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            self._machine.call(producer.stopProducing)

    def sent(self) -> None:
        """
        What could be sent was sent, or as much of it as makes a burst.
        """
        channel = self._channel
        window = self.window
        if window.ended and not self.ended:
            self.ended = True
            self._machine.life.sent(MSG_CHANNEL_EOF)
            self._machine.progress()
        if self._producerPaused and 2 * window.size <= channel.waitingLimit:
            self._producerPaused = False
            if self._producer is not None:
                self._machine.call(self._producer.resumeProducing)
        if not window.size:
            if window.left and not (channel.areWriting or self.closed):
                channel.areWriting = True
                self._machine.call(channel.startWriting)
            if self._producer is not None and not self._streaming:
                self._pull()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        See L{SSHChannel.registerProducer}.
        """
        if self._producer is not None:
            raise RuntimeError(f"{self._channel} has a producer already: {self._producer!r}")
        if self.closed:
            producer.stopProducing()
            return
        self._producer = cast("IPushProducer | IPullProducer", producer)
        self._streaming = streaming
        self._producerPaused = False
        if streaming:
            self._noteWaiting()
        else:
            self._pull()

    def unregisterProducer(self) -> None:
        """
        See L{SSHChannel.unregisterProducer}.
        """
        self._producer = None
        if self._endWanted:
            self.end()

    def _pull(self) -> None:
        # What the producer writes may leave at once and bring us here again:
        # this is a loop and no recursion.
        if self._pulling:
            return
        self._pulling = True
        try:
            while self._producer is not None and not (self._streaming or self.window.size):
                self._wrote = False
                self._machine.call(self._producer.resumeProducing)
                if not self._wrote:
                    break
        finally:
            self._pulling = False


class Incoming:
    """
    What the peer sends, and whether the program wants it now.

    What is kept while the program is paused is data and standard error, in
    their order, with EOF in its place, and CLOSE behind it all.

    @ivar window: how much the peer may send.
    @ivar deaf: whether what comes is dropped: before the channel is open,
        after it was aborted, behind the peer's CLOSE.
    @ivar ended: whether the program knows of the peer's EOF.
    @ivar heard: set whenever something comes.
    @ivar paused: whether the program wants nothing now.
    """

    __slots__ = (
        "_channel",
        "_closeHeld",
        "_draining",
        "_endCame",
        "_held",
        "_machine",
        "_tellingClose",
        "_wanted",
        "deaf",
        "ended",
        "heard",
        "paused",
        "window",
    )

    window: ReceiveWindow

    def __init__(self, machine: ChannelMachine) -> None:
        self._machine = machine
        self._channel = machine.channel
        self.deaf = True
        self.ended = False
        self.heard = False
        self._held: HeldData | None = None
        self.paused = False
        self._draining = False
        self._endCame = False
        self._closeHeld = False
        self._tellingClose = False
        self._wanted = False
        self.begin()

    def begin(self, windows: ReceiveWindows | None = None) -> None:
        """
        Make the window, as large as the channel wants it.

        @param windows: those of the connection, which this one is to be among.
        """
        channel = self._channel
        self.paused = self.paused or channel.pulled
        if windows is None:
            self.window = ReceiveWindow(channel.localWindowSize, channel.localMaxPacket)
        else:
            self.window = windows.window(channel.localWindowSize, channel.localMaxPacket, channel.windowGrows)

    @property
    def holds(self) -> bool:
        """
        Whether something has come that the program does not know of yet.
        """
        return bool(self._held) or self._closeHeld or self._draining or self._tellingClose

    def received(self, kind: int, data: bytes) -> None:
        """
        Data came. This runs for each packet: nothing is made here.

        @raise FlowControlViolation: it is more than the peer may send.
        @raise UnexpectedMessage: the channel is not open.
        """
        if self.deaf:
            self._machine.life.received(MSG_CHANNEL_DATA)
            self.window.arrived(len(data))
            return
        self.window.arrived(len(data))
        self.heard = True
        if not data:
            return
        # Kinds that no RFC knows are not held: each byte might have its own.
        if (self.paused or self._held is not None) and kind in (DATA, EXTENDED_DATA_STDERR):
            self._hold(kind, data)
        else:
            self._deliver(kind, data)

    def _hold(self, kind: int, data: bytes) -> None:
        if self._held is None:
            self._held = HeldData()
        self._held.put(kind, data)
        if self._wanted or (kind == END and not self.paused):
            self._give()

    def _deliver(self, kind: int, data: bytes) -> None:
        channel = self._channel
        try:
            if kind == DATA:
                channel.dataReceived(data)
            else:
                channel.extReceived(kind, data)
        except Exception:  # noqa: BLE001  it ends this channel and not the connection
            self._machine.failed("dataReceived" if kind == DATA else "extReceived")
            return
        if self.window.consumed(len(data)):
            self._adjust()

    def _adjust(self) -> None:
        size = self.window.adjustment()
        if size:
            self._channel.conn._sendAdjust(self._channel, size)

    def endReceived(self) -> None:
        """
        EOF came.
        """
        self._machine.life.received(MSG_CHANNEL_EOF)
        if self.deaf or self._endCame:
            return
        self._endCame = self.heard = True
        if self.paused or self._held is not None:
            self._hold(END, b"")
        else:
            self._tellEnd()

    def _tellEnd(self) -> None:
        self.ended = True
        self._machine.call(self._channel.eofReceived)
        self._machine.progress()

    def closeReceived(self) -> None:
        """
        CLOSE came.
        """
        self._machine.life.received(MSG_CHANNEL_CLOSE)
        self.deaf = True
        self._machine.outgoing.stop()
        self._machine.peerGone()
        if self._held or self._draining:
            self._closeHeld = True
            self._machine.progress()
        else:
            self._tellClose()

    def _tellClose(self) -> None:
        channel = self._channel
        self._closeHeld = False
        # Our CLOSE may go out within the callback; closed() comes behind it.
        self._tellingClose = True
        if not self._machine.aborted:
            self._machine.call(channel.closeReceived)
        self._tellingClose = False
        self._machine.progress()

    def pause(self) -> None:
        """
        Deliver nothing, until L{resume}.
        """
        self.paused = True

    def resume(self) -> None:
        """
        Deliver what was held, and whatever comes.
        """
        self.paused = False
        held = self._held
        if self._draining:
            return
        if held is not None:
            self._draining = True
            try:
                while held and not self.paused:
                    kind, data = held.take()
                    if kind == END:
                        self._tellEnd()
                    else:
                        self._deliver(kind, data)
            finally:
                self._draining = False
            if held:
                return
            self._held = None
        if not self.paused:
            self._adjust()
        if self._closeHeld:
            self._tellClose()
        else:
            self._machine.progress()

    def pull(self) -> None:
        """
        Deliver one piece: one that is held, or else the next that comes.
        """
        if self._held is None:
            self._held = HeldData()
        self.paused = False
        self._wanted = True
        self._give()

    def _give(self) -> None:
        # EOF is no piece, and waits for nobody to ask for it.
        held = self._held
        if held is None or self._draining:
            return
        self._draining = True
        try:
            while held and (self._wanted or held.ending):
                kind, data = held.take()
                if kind == END:
                    self._tellEnd()
                else:
                    self._wanted = False
                    self._deliver(kind, data)
        finally:
            self._draining = False
        if held:
            return
        if self._closeHeld:
            self._tellClose()
        else:
            self._machine.progress()

    def drop(self) -> None:
        """
        Forget what is held, and deliver nothing any more.
        """
        self.deaf = True
        self._closeHeld = False
        if self._held is not None:
            self._held.clear()
            if not self._draining:
                self._held = None
