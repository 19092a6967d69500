"""
Tests for L{conchlite.ssh.authmethods.none}.
"""

from __future__ import annotations

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage, NotEnoughAuthentication
from conchlite.interfaces import IUserNameOnly
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.ssh.authlink import FakeChecker, Link, knows
from tests.ssh.authscenes import Program, ServerMixin, passwordRequest, request


class ServerTests(ServerMixin, SynchronousTestCase):
    """
    The server's half.
    """

    def test_login(self):
        """
        Whoever the checker lets in is in.
        """
        self.start(FakeChecker(IUserNameOnly, lambda credentials: credentials.username))
        self.assertLoggedIn(self.ask(request("none")))
        self.assertEqual(self.factory.realm.events, [("in", b"user")])

    def test_refused(self):
        """
        The method is not named among those that there are, and others are as
        they were.
        """
        self.start(FakeChecker(IUserNameOnly, lambda c: fail(UnauthorizedLogin("no"))), knows(user="a"))
        self.assertRefused(self.ask(request("none")), b"password")
        self.assertEqual(self.server.loginAttempts, 0)
        self.assertRefused(self.ask(request("none")), b"password")
        self.assertEqual(self.server.loginAttempts, 1)
        self.assertLoggedIn(self.ask(passwordRequest("a")))

    def test_nobody(self):
        """
        Without such a checker nobody gets in, not even where anonymous users of
        other protocols do.
        """
        self.start(knows(user="a"), AllowAnonymousAccess())
        self.assertRefused(self.ask(request("none")), b"password")

    def test_partial(self):
        """
        It may be said to be a part, and is named no more.
        """
        checker = FakeChecker(IUserNameOnly, lambda c: fail(NotEnoughAuthentication("more")))
        self.start(checker, knows(user="a"))
        self.assertRefused(self.ask(request("none")), b"password", partial=True)

    def test_malformed(self):
        self.start(FakeChecker(IUserNameOnly, lambda credentials: credentials.username))
        self.ask(request("none", b"x"))
        self.assertIsInstance(self.transport.error, MalformedMessage)
        self.assertNobodyIn()


class BothTests(SynchronousTestCase):
    def test_login(self):
        """
        A client that a server lets in at once asks its program for nothing.
        """
        client = Program(passwords=["a"])
        checker = FakeChecker(IUserNameOnly, lambda credentials: credentials.username)
        link = Link(client, SSHUserAuthServer(), checker)
        self.assertTrue(link.server.isAuthenticated)
        self.assertTrue(link.client.isAuthenticated)
        self.assertEqual(client.calls, [])
