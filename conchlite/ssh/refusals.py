"""
When a request to log in is refused: never so soon, nor just so late, that the
time tells who exists and what was wrong.
"""

from __future__ import annotations

import hashlib
import os

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

# What spreads the delays of different users, unknown outside of this process.
_DELAY_SECRET = os.urandom(16)


class Attempt:
    """
    One request, until it is answered.

    @ivar started: when it came, in seconds of the clock.
    @ivar delay: how many seconds after that it is refused at the earliest.
    @ivar decision: fires when the request is answered.
    """

    def __init__(self, started: float, delay: float) -> None:
        self.started = started
        self.delay = delay
        self.decision: Deferred[None] | None = None

    def remaining(self, user: bytes, now: float) -> float:
        """
        How long a refusal has to wait yet: until the method's delay is over,
        or the next double of it if the checker took longer. Users have
        delays that differ a little, so that these limits are hard to measure.

        @param user: who is refused.
        @param now: the time, in seconds of the clock.
        """
        delay = self.delay * (1 + hashlib.sha256(_DELAY_SECRET + user).digest()[0] / 1024)
        elapsed = now - self.started
        while 0 < delay < elapsed:
            delay *= 2
        return delay - elapsed


def lighten(failure: Failure) -> None:
    """
    Let go of what stood around an error: the request, and all that was made
    of it, would be held for as long as the refusal waits. The lines of the
    traceback stay.
    """
    failure.cleanFailure()
    error: BaseException | None = failure.value
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
