"""
Tests for L{conchlite.ssh.threads}.
"""

from __future__ import annotations

from twisted.cred.credentials import UsernamePassword
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers import InMemoryPasswordDatabase, hashPassword
from conchlite.ssh.factors import Login
from conchlite.ssh.threads import threadsOf
from tests.ssh.fakethreads import Threads


class ThreadsOfTests(SynchronousTestCase):
    """
    L{threadsOf}.
    """

    def test_threads(self):
        """
        With a reactor, in its threads; the answer comes in the reactor's.
        """
        threads = Threads()
        called = threadsOf(threads)(int, "11", base=2)
        self.assertNoResult(called)
        threads.work()
        self.assertEqual(self.successResultOf(called), 3)

    def test_noThreads(self):
        """
        Without one, at once.
        """
        for reactor in (None, Clock()):
            run = threadsOf(reactor)
            self.assertEqual(self.successResultOf(run(divmod, 7, 2)), (3, 1))
            self.failureResultOf(run(divmod, 7, 0), ZeroDivisionError)

    def test_checker(self):
        """
        A checker of passwords computes in the threads of the reactor that the
        connection is on, unless it was told where.
        """
        threads = Threads()
        credentials = UsernamePassword(b"alice", b"secret")
        credentials.login = Login(b"alice", None, threads)
        asked = InMemoryPasswordDatabase({b"alice": hashPassword("secret")}).requestAvatarId(credentials)
        self.assertNoResult(asked)
        threads.work()
        self.assertEqual(self.successResultOf(asked), b"alice")
