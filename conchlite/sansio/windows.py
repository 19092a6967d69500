"""
Windows that follow the path: RFC 4254 section 5.2.

A window of fixed size lets the peer send one window in each round trip, and no
more: with 2 MiB and 100 ms that is 20 MB/s, whatever the path has. A window
that is as large as the path is long in bytes (bandwidth times delay) is never
in the way; one that is larger is memory which a paused program costs. So
L{PathWindow} doubles while the peer is held up by it, and then stays.

How the peer is found to be held up, without a clock call for each packet: with
an adjustment begins a measurement. It is over when more comes than the peer
might have sent before: that can only be sent by who has the adjustment, so at
least a round trip has passed. The shortest such time is a fair measure of the
round trip wherever it matters, and what the peer answers at once (a channel
that is opened, requests) gives others. What the program took in the
measurement is so many bytes in a round trip; when these come near to the size
of the window, and nothing came for a while before the measurement's end, then
it is the window that the peer waits for.

A peer that delays its answers looks like a long path. Therefore the windows of
a connection have a budget, which L{ReceiveWindows} keeps. What a peer was told
that it may send cannot be taken back: a window that has to shrink does so by
giving less than was taken.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from conchlite.sansio.flowcontrol import MAXIMUM_WINDOW_SIZE, ReceiveWindow

#: No window has to be smaller than this, however many there are. 256 of them
#: make no more than one of the usual size.
SMALLEST_WINDOW: Final = 8 * 1024

#: The peer is held up when it sends more than this part of the window in a
#: round trip. Adjustments come for halves of the window, so a peer that never
#: waits for one is measured with little more than a half; and one that uses no
#: more than this of the window has nine tenths of the path.
_HELD_UP: Final = 0.55

#: And when before that nothing came for more than this part of the time.
_WAITED: Final = 0.1

#: This part of the budget is for windows that are yet to open.
_KEPT_FREE: Final = 4

#: For how many seconds a window that wanted to grow, and could not, makes
#: those shrink that have more than their share.
_CONTENTION_SECONDS: Final = 5


class ReceiveWindows:
    """
    The receive windows of one connection, and the path to the peer.

    @ivar budget: what they may come to together, in bytes.
    @ivar taken: what they come to.
    @ivar count: how many they are.
    @ivar roundTrip: the shortest time that is known from a question of ours to
        the answer, in seconds; infinite as long as none is known.
    @ivar seconds: what says which time it is, or L{None}; then nothing grows.
    """

    __slots__ = (
        "_askedAt",
        "_contendedUntil",
        "_question",
        "budget",
        "count",
        "roundTrip",
        "seconds",
        "taken",
    )

    def __init__(self, budget: int, seconds: Callable[[], float] | None) -> None:
        self.budget = budget
        self.seconds = seconds
        self.taken = 0
        self.count = 0
        self.roundTrip = inf
        self._question: object = None
        self._askedAt = 0.0
        self._contendedUntil = -inf

    # The path.

    def asked(self, question: object) -> None:
        """
        Something was sent that the peer answers at once.

        @param question: any object that stands for it. Only the last one is
            waited for.
        """
        if self.seconds is not None:
            self._question = question
            self._askedAt = self.seconds()

    def answered(self, question: object) -> None:
        """
        The answer came.
        """
        if question is self._question and self.seconds is not None:
            self._question = None
            self.measured(self.seconds() - self._askedAt)

    def forget(self, question: object) -> None:
        """
        The answer will not come.
        """
        if question is self._question:
            self._question = None

    def measured(self, elapsed: float) -> None:
        """
        The peer answered within C{elapsed} seconds.
        """
        if 0 <= elapsed < self.roundTrip:
            self.roundTrip = elapsed

    # The budget.

    def window(self, size: int, maximumPacketSize: int, grows: bool = True) -> PathWindow:
        """
        A window for a new channel.

        @param size: how large it is to be. Where there are many, and it is
            one that grows, it begins with less: what is free is for all that
            may come yet.
        """
        self.count += 1
        if grows:
            free = self.budget - self.taken
            size = min(size, max(SMALLEST_WINDOW, free // self.count))
        window = PathWindow(size, maximumPacketSize, self, grows)
        self.taken += size
        return window

    @property
    def share(self) -> int:
        """
        What a window may have when all want to grow.
        """
        return max(SMALLEST_WINDOW, (self.budget - self.budget // _KEPT_FREE) // self.count)

    def more(self, size: int, now: float) -> int:
        """
        By how much a window that should be twice as large may grow.
        """
        share = self.share
        free = self.budget - self.taken
        if size < share:
            wanted = min(size, share - size)
            found = min(wanted, max(0, free // 2))
            if found < wanted:
                self._contendedUntil = now + _CONTENTION_SECONDS
            return found
        if now < self._contendedUntil:
            return 0
        return max(0, min(size, free - self.budget // _KEPT_FREE))

    def mayStay(self, size: int, now: float) -> int:
        """
        How large a window may be that has this size.
        """
        return min(size, self.share) if now < self._contendedUntil else size


class PathWindow(ReceiveWindow):
    """
    A receive window that follows the path, within the budget of its
    connection.
    """

    __slots__ = ("_copied", "_grows", "_startedAt", "_usedUpAt", "_waited", "_windows")

    def __init__(self, size: int, maximumPacketSize: int, windows: ReceiveWindows, grows: bool) -> None:
        super().__init__(size, maximumPacketSize)
        self._windows = windows
        self._grows = grows
        # When the running measurement began, and what was taken since; when
        # the peer had used up what it had before, and whether it waited then.
        self._startedAt: float | None = None
        self._copied = 0
        self._usedUpAt: float | None = None
        self._waited = False

    def _beyond(self, left: int) -> None:
        windows = self._windows
        if self._startedAt is None or windows.seconds is None:
            return
        now = windows.seconds()
        if self._usedUpAt is None:
            # Not a whole packet is left of what it had before the adjustment.
            self._usedUpAt = now
            self._mark -= self.maximumPacketSize
        if left < self._mark:
            self._mark = 0
            elapsed = now - self._startedAt
            self._waited = now - self._usedUpAt > _WAITED * elapsed
            windows.measured(elapsed)

    def _credit(self, consumed: int) -> int:
        credit = consumed
        now = self._windows.seconds
        if self._grows and now is not None:
            credit += self._follow(consumed, now())
        if self._mark:
            self._mark += credit
        elif not credit:
            # Nothing goes out, so nothing can be measured by it.
            self._startedAt = None
        elif self._startedAt is not None:
            self._mark = credit
            if self.left < self.maximumPacketSize:
                self._usedUpAt = self._startedAt
            else:
                self._usedUpAt = None
                self._mark += self.maximumPacketSize
        self.left += credit
        return credit

    def _follow(self, consumed: int, now: float) -> int:
        # What the peer gets beyond, or less than, what was consumed.
        windows = self._windows
        grown = 0
        self._copied += consumed
        if not self._mark:
            if self._startedAt is not None and self._isHeldUp(now - self._startedAt):
                grown = min(windows.more(self.size, now), MAXIMUM_WINDOW_SIZE - self._extent)
            self._startedAt = now
            self._copied = 0
        self._resize(windows.mayStay(self.size, now) + grown)
        change = max(self.size - self._extent, -consumed)
        self._extent += change
        windows.taken += change
        return change

    def _isHeldUp(self, elapsed: float) -> bool:
        if not self._waited or elapsed <= 0:
            return False
        return self._copied * self._windows.roundTrip > _HELD_UP * self.size * elapsed

    def grow(self, size: int) -> None:
        super().grow(size)
        self._windows.taken += size
        if self._mark:
            self._mark += size

    def end(self) -> None:
        windows = self._windows
        windows.count -= 1
        windows.taken -= self._extent
        self._extent = 0
        self._grows = False
