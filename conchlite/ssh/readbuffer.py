"""
What has come and nobody has read yet, for programs that read when they like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from conchlite.error import ConchError, LineTooLong, UsageError

if TYPE_CHECKING:
    from typing import TypeAlias

    #: Takes what somebody wants out of the buffer. It returns that, or what his
    #: read fails with, or L{None} if it has to come yet; what it raises of
    #: L{ConchError} the read fails with, too.
    Take: TypeAlias = Callable[[], bytes | Failure | None]


class ReadBuffer:
    """
    Bytes, and the one who waits for some of them.

    @ivar unread: the bytes.
    """

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        """
        @param name: what is read, for errors.
        @param changed: is called when somebody has read or begins to wait, and
            when he does so no more.
        """
        self.unread = bytearray()
        self._name = name
        self._changed = changed
        # Up to where there is no end of a line.
        self._searched = 0
        self._waiting: Deferred[bytes] | None = None
        self._take: Take = lambda: None

    @property
    def isAwaited(self) -> bool:
        """
        Whether somebody waits.
        """
        return self._waiting is not None

    def read(self, take: Take) -> Deferred[bytes]:
        """
        Take something now, or as soon as it is there.

        @return: fires with what C{take} returns. Fails with that as well, and
            with L{UsageError} where somebody waits already. To cancel it loses
            nothing.
        """
        if self._waiting is not None:
            return fail(UsageError(f"somebody reads {self._name} already"))
        waiting: Deferred[bytes] = Deferred(self._cancelled)
        self._waiting = waiting
        self._take = take
        self.serve()
        self._changed()
        return waiting

    def _cancelled(self, waiting: Deferred[bytes]) -> None:
        self._waiting = None
        self._changed()

    def serve(self) -> None:
        """
        Give to whoever waits what he waits for, if it is there.
        """
        if self._waiting is None:
            return
        result: bytes | Failure | None
        try:
            result = self._take()
        except ConchError:
            result = Failure()
        if result is not None:
            self.answer(result)

    def answer(self, result: bytes | Failure) -> None:
        """
        Tell whoever waits, if somebody does, whatever he waits for.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(result)

    def cut(self, size: int) -> bytes:
        """
        Take the first bytes.

        @param size: how many; there may be fewer.
        """
        taken = bytes(memoryview(self.unread)[:size])
        del self.unread[:size]
        self._searched = max(self._searched - size, 0)
        return taken

    def cutLine(self, maximum: int, isLast: bool) -> bytes | None:
        """
        Take the first line, with its end.

        @param maximum: the most bytes that it may have.
        @param isLast: whether nothing more will come: then what there is is a
            line, too.
        @return: the line; L{None} if it is not whole, or there is nothing.
        @raise LineTooLong: it has more bytes. They are still there.
        """
        found = self.unread.find(b"\n", self._searched)
        size = len(self.unread) if found < 0 else found + 1
        if size > maximum:
            raise LineTooLong(f"a line of more than {maximum} bytes of {self._name}")
        if found >= 0 or (size and isLast):
            return self.cut(size)
        self._searched = size
        return None
