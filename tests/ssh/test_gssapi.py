"""
Tests for L{conchlite.ssh.gssapi}. The library that is installed is tested
against a real Kerberos, in C{tests.interop.test_gssapi}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from conchlite.error import UsageError
from conchlite.ssh.gssapi import KERBEROS, encodeMechanism, runIn
from tests.ssh.fakegssapi import FakeLibrary, LibraryMixin


class FakeLibraryTests(LibraryMixin, SynchronousTestCase):
    """
    The fake does what libraries do.
    """

    def library(self):
        return FakeLibrary()


class MechanismTests(SynchronousTestCase):
    def test_der(self):
        """
        Kerberos as RFC 4462 section 3.2 wants it.
        """
        self.assertEqual(encodeMechanism(KERBEROS), bytes.fromhex("06092a864886f712010202"))

    def test_noMechanisms(self):
        """
        SPNEGO must not be used, RFC 4462 section 3.2.
        """
        for name in ("1.3.6.1.5.5.2", "kerberos", ""):
            self.assertRaises(UsageError, encodeMechanism, name)


class RunTests(SynchronousTestCase):
    """
    Where calls run.
    """

    def test_threads(self):
        """
        With a reactor, in its threads; the answer comes in the reactor's.
        """
        calls = []

        @implementer(IReactorThreads)
        class Threads:
            def getThreadPool(self):
                return self

            def callInThreadWithCallback(self, onResult, function, *arguments):
                calls.append((onResult, function, arguments))

            def callFromThread(self, function, *arguments):
                function(*arguments)

        called = runIn(Threads())(divmod, 7, 2)
        self.assertNoResult(called)
        [(onResult, function, arguments)] = calls
        onResult(True, function(*arguments))
        self.assertEqual(self.successResultOf(called), (3, 1))

    def test_noReactor(self):
        """
        Without one, at once.
        """
        self.assertEqual(self.successResultOf(runIn(None)(divmod, 7, 2)), (3, 1))
        self.failureResultOf(runIn(None)(divmod, 7, 0), ZeroDivisionError)
