"""
Tests for L{conchlite.checkers.kerberos}.
"""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers.kerberos import PrincipalChecker
from conchlite.ssh.authmethods.gssapi import GSSAPICredentials
from conchlite.ssh.gssapi import KERBEROS

REALM = "EXAMPLE.ORG"


class PrincipalCheckerTests(SynchronousTestCase):
    def judge(self, principal, user, mayBe=None, mechanism=KERBEROS):
        credentials = GSSAPICredentials(user, mechanism, principal)
        return PrincipalChecker(REALM, mayBe).requestAvatarId(credentials)

    def assertRefused(self, deferred):
        return self.failureResultOf(deferred, UnauthorizedLogin)

    def test_own(self):
        for user in ("alice", "Käse"):
            name = user.encode()
            self.assertEqual(self.successResultOf(self.judge(f"{user}@{REALM}", name)), name)

    def test_others(self):
        """
        Nobody else is the user: names and realms are compared as wholes.
        """
        for principal, user in (
            ("bob@EXAMPLE.ORG", b"alice"),
            ("alice@EXAMPLE.COM", b"alice"),
            ("alice@example.org", b"alice"),
            ("Alice@EXAMPLE.ORG", b"alice"),
            ("alice/admin@EXAMPLE.ORG", b"alice"),
            ("alice@EXAMPLE.ORG@EXAMPLE.COM", b"alice"),
            ("alice@EXAMPLE.ORG", b"alice@EXAMPLE.ORG"),
            ("alice", b"alice"),
            ("@EXAMPLE.ORG", b""),
            ("", b""),
        ):
            self.assertRefused(self.judge(principal, user))

    def test_specialNames(self):
        """
        A user's name is one component of a principal's, and nothing that has
        to be quoted in it.
        """
        for user in ("host/server.example.org", "alice@EXAMPLE.COM", "alice\\", "a\\@b"):
            self.assertRefused(self.judge(f"{user}@{REALM}", user.encode()))
        self.assertRefused(self.judge("\udcff@EXAMPLE.ORG", b"\xff"))

    def test_otherMechanism(self):
        """
        What another mechanism calls so is no principal of Kerberos.
        """
        self.assertRefused(self.judge("alice@EXAMPLE.ORG", b"alice", lambda *pair: True, mechanism="1.2.3.4"))

    def test_rule(self):
        """
        A rule of the program's own may say yes, at once or later; only C{True}
        is a yes.
        """
        asked = []

        def judge(answer):
            def mayBe(principal, user):
                asked.append((principal, user))
                return answer

            return self.judge("bob@EXAMPLE.COM", b"root", mayBe)

        for answer in (True, succeed(True)):
            self.assertEqual(self.successResultOf(judge(answer)), b"root")
        self.assertEqual(asked, [("bob@EXAMPLE.COM", b"root")] * 2)
        for answer in (False, None, 1, "yes", succeed(None)):
            self.assertRefused(judge(answer))
        self.failureResultOf(judge(fail(LookupError("no directory"))), LookupError)

    def test_text(self):
        """
        What is logged is safe to print.
        """
        failure = self.assertRefused(self.judge("a\x1b[2J@EXAMPLE.COM", b"ali\nce"))
        self.assertEqual(str(failure.value), "a\\x1b[2J@EXAMPLE.COM may not be ali\\nce")

    def test_cancel(self):
        cancelled = []
        judged = self.judge("bob@EXAMPLE.COM", b"root", lambda *pair: Deferred(cancelled.append))
        judged.cancel()
        self.assertEqual(len(cancelled), 1)
        self.failureResultOf(judged)
