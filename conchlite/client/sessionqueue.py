"""
Sessions on one connection, as many at a time as the server lets there be.

How many that is the server does not say. OpenSSH's has C{MaxSessions}, 10 as it
comes, and refuses the next one; others have other numbers and other reasons. So
a refusal, while there are sessions of ours, is no failure: it is how the limit
is learnt, and whoever was refused waits for his turn.

Two things make that less simple than counting. A server may count a session
that is closed for a moment longer (OpenSSH's until its next round of the main
loop, or until a process that was left behind has ended): so before the place of
a closed one is taken, the server is asked something, and has done its round
when it answers. And what was learnt may have been too little, or be true no
longer: as long as somebody waits, now and then one more is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from conchlite.client.commandsession import CommandSession
from conchlite.error import ChannelOpenFailed, ConchError
from conchlite.ssh.common import asBytes
from conchlite.ssh.connection import SSHConnection
from conchlite.wire import numbers

#: The reasons that a server may have for having enough sessions. OpenSSH's
#: gives the second.
_ENOUGH = frozenset(
    (
        numbers.OPEN_ADMINISTRATIVELY_PROHIBITED,
        numbers.OPEN_CONNECT_FAILED,
        numbers.OPEN_RESOURCE_SHORTAGE,
    )
)

#: Seconds until it is tried again after a refusal: at first, where a place
#: should be free soon; and at most.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

#: How often it is tried again when one was refused while there was no other, but
#: there had been some: together that takes about ten seconds. Then all fail who
#: wait.
RETRIES = 10


class _Waiting:
    """
    Somebody who wants a session.

    @ivar number: his place in the row.
    @ivar make: makes the session, anew for each try.
    @ivar again: is told when it was not his turn after all.
    @ivar opened: what he waits for.
    @ivar session: what is being opened for him.
    """

    __slots__ = ("again", "make", "number", "opened", "session")

    def __init__(
        self, number: int, make: Callable[[], CommandSession], again: Callable[[], None] | None
    ) -> None:
        self.number = number
        self.make = make
        self.again = again
        self.session: CommandSession | None = None
        self.opened: Deferred[CommandSession] = Deferred(self._cancelled)

    def _cancelled(self, opened: Deferred[CommandSession]) -> None:
        if self.session is not None:
            self.session.giveUp()

    def __lt__(self, other: _Waiting) -> bool:
        return self.number < other.number


class SessionQueue:
    """
    Opens sessions in the order in which they are asked for.

    @cvar maximumOpening: how many are asked of the server at a time: of so
        many a server that has fewer refuses some.
    """

    maximumOpening = 10

    def __init__(self, connection: SSHConnection, clock: IReactorTime) -> None:
        self._connection = connection
        self._clock = clock
        self._row: list[_Waiting] = []
        self._count = 0
        self._opening: set[CommandSession] = set()
        self._open: set[CommandSession] = set()
        # How many are closed that the server may count yet.
        self._freeing = 0
        # How many there may be, once that is known, and the most that there
        # were since.
        self._limit: int | None = None
        self._most = 0
        self._pause = FIRST_PAUSE
        self._refusals = 0
        # How often it was tried in vain while there was no session.
        self._retries = 0
        self._timer: IDelayedCall | None = None
        self._begins = False
        self._stopped: ConchError | None = None

    @property
    def _held(self) -> int:
        return len(self._open) + self._freeing

    def open(
        self, make: Callable[[], CommandSession], again: Callable[[], None] | None = None
    ) -> Deferred[CommandSession]:
        """
        Open a session when there is a place for it.

        @param make: makes it; it is called for each try.
        @param again: is called when a try has shown that there is no place yet.
        @return: fires with the session. Fails with L{ChannelOpenFailed} if the
            server opens none although there is no other, and with what ended
            the connection. Cancelling it gives the session up.
        """
        waiting = _Waiting(self._count, make, again)
        self._count += 1
        heappush(self._row, waiting)
        self._next()
        return waiting.opened

    def stop(self, reason: ConchError) -> None:
        """
        The connection has ended: nobody waits any more.
        """
        self._stopped = reason
        self._limit = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next()

    def _next(self) -> None:
        # What is begun here may end at once and bring us here again.
        if self._begins:
            return
        self._begins = True
        try:
            while self._row and (self._row[0].opened.called or self._mayOpen()):
                waiting = heappop(self._row)
                if waiting.opened.called:
                    continue
                if self._stopped is not None:
                    waiting.opened.errback(self._stopped)
                else:
                    self._begin(waiting)
        finally:
            self._begins = False
        if self._row and self._limit is not None and self._timer is None:
            self._timer = self._clock.callLater(self._pause, self._oneMore)

    def _mayOpen(self) -> bool:
        if self._stopped is not None:
            return True
        opening = len(self._opening)
        return opening < self.maximumOpening and (self._limit is None or opening + self._held < self._limit)

    def _begin(self, waiting: _Waiting) -> None:
        session = waiting.session = waiting.make()
        session.released = lambda reason: self._released(waiting, session, reason)
        self._opening.add(session)
        self._connection.openChannel(session).addCallbacks(
            self._opened, _saidAlready, callbackArgs=(waiting,)
        )

    def _opened(self, session: CommandSession, waiting: _Waiting) -> None:
        self._opening.discard(session)
        self._open.add(session)
        self._refusals = self._retries = 0
        if self._limit is not None and self._held > self._most:
            # One more than ever: perhaps there may be still more.
            self._limit = max(self._limit, self._held)
            self._pause = FIRST_PAUSE
        self._most = max(self._most, self._held)
        waiting.opened.callback(session)
        self._next()

    def _released(self, waiting: _Waiting, session: CommandSession, reason: ConchError | None) -> None:
        """
        A session is closed, or was not opened.
        """
        if session in self._open:
            self._open.discard(session)
            if self._row and self._limit is not None:
                self._freeing += 1
                answer = self._connection.sendGlobalRequest(b"keepalive@openssh.com", b"", wantReply=True)
                if answer is not None:
                    answer.addTimeout(LONGEST_PAUSE, self._clock).addBoth(self._freed)
        else:
            self._opening.discard(session)
            waiting.session = None
            if reason is not None and not self._triedAgain(waiting, reason) and not waiting.opened.called:
                waiting.opened.errback(reason)
        self._next()

    def _freed(self, answer: object) -> None:
        self._freeing -= 1
        self._next()

    def _triedAgain(self, waiting: _Waiting, reason: ConchError) -> bool:
        """
        Whether a refusal says that there are enough sessions for now.
        """
        if not isinstance(reason, ChannelOpenFailed) or reason.data not in _ENOUGH:
            return False
        held = self._held
        if not held and not self._opening and not self._foreign():
            # None of ours is left that could end.
            if not self._most or self._retries >= RETRIES:
                self._despair(reason)
                return False
            self._retries += 1
        if held < self._most:
            # A place that should be free: it will be soon.
            self._pause = min(FIRST_PAUSE * 2**self._refusals, LONGEST_PAUSE)
            self._refusals += 1
        elif self._limit is not None:
            self._pause = LONGEST_PAUSE
        self._limit = held
        if not waiting.opened.called:
            heappush(self._row, waiting)
            if waiting.again is not None:
                waiting.again()
        return True

    def _despair(self, reason: ConchError) -> None:
        # What one has waited for in vain, nobody else need wait for: there may
        # be thousands. Who comes later has a chance again.
        self._limit = None
        self._retries = 0
        row, self._row = self._row, []
        for waiting in row:
            if not waiting.opened.called:
                waiting.opened.errback(reason)

    def _foreign(self) -> bool:
        """
        Whether a program has sessions of its own on the connection.
        """
        return any(
            asBytes(channel.name) == b"session" and channel not in self._open
            for channel in self._connection.channels.values()
        )

    def _oneMore(self) -> None:
        self._timer = None
        if self._limit is not None and len(self._opening) + self._held >= self._limit:
            self._limit += 1
        self._next()


def _saidAlready(failure: object) -> None:
    """
    The session was told, and has said so.
    """
