"""
Tests for L{conchlite.ssh.gssapi}. The library that is installed is tested
against a real Kerberos, in C{tests.interop.test_gssapi}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import UsageError
from conchlite.ssh.gssapi import KERBEROS, encodeMechanism
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
