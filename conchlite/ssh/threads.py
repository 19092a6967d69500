"""
Where calls are made that block, or take long: in a thread, so that the reactor
does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads

#: Calls a function with the arguments, and returns a Deferred of what it returns.
Run = Callable[..., Deferred[Any]]


def threadsOf(reactor: object) -> Run:
    """
    How such calls are made: in the threads of C{reactor}, or at once if it has
    none, as a clock, or L{None}.

    To cancel the Deferred of such a call is to take no interest any more: the
    thread goes on.
    """
    if not IReactorThreads.providedBy(reactor):
        return maybeDeferred
    from twisted.internet.threads import deferToThreadPool

    return partial(deferToThreadPool, reactor, reactor.getThreadPool())
