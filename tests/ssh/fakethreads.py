"""
A reactor's threads, without any.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorThreads
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReactorThreads)
class Threads:
    """
    A reactor and its threads, in which nothing runs before L{work}.
    """

    def __init__(self):
        self.calls = []

    def getThreadPool(self):
        return self

    def callInThreadWithCallback(self, onResult, function, *arguments, **options):
        self.calls.append((onResult, function, arguments, options))

    def callFromThread(self, function, *arguments):
        function(*arguments)

    def work(self):
        calls, self.calls = self.calls, []
        for onResult, function, arguments, options in calls:
            try:
                result = function(*arguments, **options)
            except Exception:  # noqa: BLE001  whatever it is, the caller gets it
                onResult(False, Failure())
            else:
                onResult(True, result)
