"""
The streams of what runs on a server, as a program reads and writes them.

Standard output and standard error share the window of one channel: what holds
back one of them holds back the other. A program that reads one to its end, and
then the other, would wait for ever if what nobody reads held back what
somebody waits for. So the rule is: as long as somebody waits, nothing is held
back. What comes meanwhile for nobody is kept, up to a limit, and dropped
beyond; who reads up to that place is told. While nobody waits, what runs is
held back as soon as C{PAUSE_AT} bytes are unread.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import ChannelClosed, InputEnded, OutputTooLarge, UsageError
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.connection import failQuietly
from conchlite.ssh.readbuffer import ReadBuffer

if TYPE_CHECKING:
    from typing import TypeAlias

    from conchlite.ssh.channel import SSHChannel
    from conchlite.ssh.threads import Run

    class Readable(Protocol):
        """
        A file that is open.
        """

        def read(self, size: int, /) -> Text:
            """
            At most so much of it; nothing at its end.
            """

    #: What a command can be given as its standard input.
    Input: TypeAlias = Text | Readable | Iterable[Text] | AsyncIterable[Text] | None

#: How many bytes may be unread before what runs is held back.
PAUSE_AT = 256 * 1024

#: The most bytes of one stream that are kept for whoever will read them.
MAXIMUM_UNREAD = 16 * 1024 * 1024

#: The most bytes of a line.
MAXIMUM_LINE = 1024 * 1024

#: How many bytes are read of a file at a time.
PIECE = 64 * 1024

_GONE = "nobody reads the standard input any more"


class RemoteOutput:
    """
    Standard output or standard error. One read at a time.

    Each C{read} returns a Deferred; to cancel it leaves everything as it is.
    When what runs has ended, the rest can be read still. Where the connection
    was lost, reading up to there fails with what ended it.
    """

    def __init__(self, name: str, maximumUnread: int, changed: Callable[[], None]) -> None:
        """
        @param changed: is called when somebody begins to wait, or does so no
            more, or has read something.
        """
        self._name = name
        self._maximumUnread = maximumUnread
        self._buffer = ReadBuffer(name, changed)
        self._overflowed = False
        self._ended = False
        self._failure: Failure | None = None

    @property
    def unread(self) -> int:
        """
        How many bytes are there to be read.
        """
        return len(self._buffer.unread)

    @property
    def isAwaited(self) -> bool:
        """
        Whether somebody waits for more.
        """
        return self._buffer.isAwaited

    @property
    def isEnded(self) -> bool:
        """
        Whether nothing more will come.
        """
        return self._ended

    def read(self, size: int = -1) -> Deferred[bytes]:
        """
        Read what is there, or wait for it.

        @param size: the most bytes; without it everything up to the end.
        @return: fires with the bytes; with none of them only at the end. Fails
            with L{OutputTooLarge} where some were dropped, or are more than are
            kept.
        """
        if size < 0:
            return self._read(self._everything)
        buffer = self._buffer
        return self._read(lambda: buffer.cut(size) if buffer.unread or not size else None)

    def readExactly(self, size: int) -> Deferred[bytes]:
        """
        Read so many bytes.

        @return: fires with them. Fails with L{InputEnded}, whose C{data} is
            what there was, if the end comes first, and as L{read}.
        """
        if size > self._maximumUnread:
            return fail(UsageError(f"{size} bytes at once, and at most {self._maximumUnread} are kept"))

        def take() -> bytes | None:
            if self.unread >= size:
                return self._buffer.cut(size)
            rest = self._everything()
            if rest is not None:
                raise InputEnded(f"{self._name} ended after {len(rest)} of {size} bytes", rest)
            return None

        return self._read(take)

    def readLine(self) -> Deferred[bytes]:
        """
        Read a line.

        @return: fires with the line and its C{\\n}, which only the last may
            lack; with nothing at the end. Fails with L{LineTooLong} if it is
            longer than C{MAXIMUM_LINE}, and as L{read}.
        """
        return self._read(lambda: self._buffer.cutLine(MAXIMUM_LINE, self._isLast))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """
        The lines.
        """
        return self._iterate(self.readLine)

    def chunks(self, size: int = PIECE) -> AsyncIterator[bytes]:
        """
        Whatever comes, in pieces.

        @param size: the most bytes of each.
        """
        return self._iterate(lambda: self.read(size))

    async def _iterate(self, read: Callable[[], Deferred[bytes]]) -> AsyncIterator[bytes]:
        while piece := await read():
            yield piece

    @property
    def _isLast(self) -> bool:
        # Whether what is there is all that there will be, whatever ended it.
        return self._ended or self._overflowed

    def _everything(self) -> bytes | None:
        if self._ended and not self._overflowed and self._failure is None:
            return self._buffer.cut(self.unread)
        return None

    def _read(self, take: Callable[[], bytes | None]) -> Deferred[bytes]:
        def takeOrEnd() -> bytes | Failure | None:
            taken = take()
            return self._atEnd() if taken is None and self._isLast else taken

        return self._buffer.read(takeOrEnd)

    def _atEnd(self) -> bytes | Failure:
        if self._overflowed:
            kept = self._maximumUnread
            return Failure(
                OutputTooLarge(f"nobody read {self._name}: what came behind {kept} bytes was dropped")
            )
        return self._failure if self._failure is not None else b""

    def received(self, data: bytes) -> None:
        """
        Something came.
        """
        if self._overflowed:
            return
        buffer = self._buffer
        buffer.unread += data
        buffer.serve()
        if len(buffer.unread) > self._maximumUnread:
            del buffer.unread[self._maximumUnread :]
            self._overflowed = True
            buffer.serve()

    def end(self, failure: Failure | None = None) -> None:
        """
        Nothing more will come.

        @param failure: why, where that is not the end of the stream.
        """
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._buffer.serve()

    def takeAll(self) -> bytes:
        """
        What is there, for somebody else who gets the rest too.

        @raise UsageError: somebody reads it.
        """
        if self.isAwaited or self._overflowed:
            raise UsageError(f"{self._name} is read already")
        return self._buffer.cut(self.unread)


@implementer(IPushProducer)
class RemoteInput:
    """
    Standard input.

    @ivar isClosed: whether nothing more can be written: it was closed, or
        what runs takes no more.
    """

    def __init__(self, channel: SSHChannel) -> None:
        self._channel = channel
        self._waiting: list[Deferred[None]] = []
        self._isPaused = False
        self._isGone = False
        self.isClosed = False
        channel.registerProducer(self, True)

    def write(self, data: Text) -> Deferred[None]:
        """
        Write.

        @param data: bytes; or text, which is sent as UTF-8.
        @return: fires when more is welcome: at once, as long as little waits to
            be sent. Fails with L{ChannelClosed} if what runs takes no more.
            Cancelling it does not take back what was written.
        """
        if self._isGone:
            return _gone()
        if self.isClosed:
            return fail(UsageError("standard input was closed"))
        self._channel.write(asBytes(data))
        if not self._isPaused:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """
        Send the end of the input, behind what was written.
        """
        if not self.isClosed:
            self.isClosed = True
            self._channel.unregisterProducer()
            self._channel.loseWriteConnection()
            self.resumeProducing()

    # What the channel calls.

    def pauseProducing(self) -> None:
        """
        Enough waits to be sent.
        """
        self._isPaused = True

    def resumeProducing(self) -> None:
        """
        More is welcome.
        """
        self._isPaused = False
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def stopProducing(self) -> None:
        """
        What runs takes no more.
        """
        self.isClosed = self._isGone = True
        self._isPaused = False
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            failQuietly(deferred, ChannelClosed(_GONE))


def _gone() -> Deferred[None]:
    gone: Deferred[None] = Deferred()
    failQuietly(gone, ChannelClosed(_GONE))
    return gone


async def feed(stdin: RemoteInput, source: Input, run: Run) -> None:
    """
    Write all of something, as fast as it is read there, and the end behind it.
    If nobody reads it any more, this is no failure.

    @param run: calls what may block.
    """
    if isinstance(source, RemoteOutput):
        source = source.chunks()
    try:
        if source is None:
            pass
        elif isinstance(source, str | bytes):
            await stdin.write(source)
        elif isinstance(source, AsyncIterable):
            async for piece in source:
                await stdin.write(piece)
        elif hasattr(source, "read"):
            while piece := await run(source.read, PIECE):
                await stdin.write(piece)
        else:
            for piece in source:
                await stdin.write(piece)
    except ChannelClosed:
        if not stdin.isClosed:
            raise
    stdin.close()
