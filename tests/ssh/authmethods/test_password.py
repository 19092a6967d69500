"""
Tests for L{conchlite.ssh.authmethods.password}.
"""

from __future__ import annotations

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage, PasswordExpired, TooManyAuthenticationFailures
from conchlite.interfaces import IPasswordChange
from conchlite.ssh.common import NS
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import (
    PasswordData,
    UserauthPasswdChangereq,
)
from tests.ssh.authlink import (
    FakeChecker,
    knows,
)
from tests.ssh.authscenes import (
    FAILURE,
    SUCCESS,
    ClientMixin,
    Program,
    ServerMixin,
    passwordRequest,
    request,
)


class ClientPasswordTests(ClientMixin, SynchronousTestCase):
    """
    The client's half of C{password}.
    """

    def test_login(self):
        """
        The password is asked for without an argument, and sent.
        """
        for password in ("Käse", "Käse".encode()):
            self.start(Program(passwords=[password]))
            self.refuse(b"password")
            self.assertEqual(self.requests(), [(b"password", b"\0" + NS("Käse"))])

    def test_refused(self):
        """
        Another password may be tried, three in all, and the same never again.
        """
        self.start(Program(passwords=["a", "b", "c", "d"]))
        sent = []
        for _ in range(3):
            self.refuse(b"password")
            sent += self.requests()
        self.refuse(b"password")
        self.assertEqual(sent, [(b"password", b"\0" + NS(p)) for p in ("a", "b", "c")])
        self.assertEqual(self.assertGaveUp().tried, ("password",) * 3)
        self.assertEqual(self.client.passwords, ["d"])

    def test_sameAgain(self):
        """
        A program with one password sends it once.
        """
        self.start(Program(passwords=["a"] * 9))
        self.refuse(b"password")
        self.assertEqual(len(self.requests()), 1)
        self.refuse(b"password")
        self.assertEqual(self.requests(), [])
        self.assertGaveUp()

    def test_declined(self):
        """
        L{None}, or a Deferred of it, or a failure, declines, for good.
        """
        for answer in (None, succeed(None), fail(RuntimeError("no terminal"))):
            calls = []
            self.start(Program())
            self.client.getPassword = lambda a=answer, c=calls: (c.append(1), a)[1]
            self.refuse(b"password")
            self.assertEqual((self.requests(), len(calls)), ([], 1))
            self.assertGaveUp()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_inClear(self):
        """
        No password goes over a connection that is not encrypted.
        """
        transport = self.start(Program(passwords=["a"]))
        transport.encrypted = False
        self.refuse(b"password")
        self.assertEqual((self.requests(), self.client.calls), ([], []))
        self.assertIn("not encrypted", str(self.assertGaveUp()))

    def changing(self, client):
        self.start(client)
        self.refuse(b"password")
        self.requests()
        self.transport.receive(60, UserauthPasswdChangereq(b"New\x07: ", b"en").pack())

    def test_change(self):
        """
        When the server wants a new password, the old one and the new one are
        asked for, with prompts; and again, if it does not like it.
        """
        prompts = []

        class Changing(Program):
            def getPassword(self, prompt=None):
                prompts.append(prompt)
                return succeed(f"password {len(prompts)}")

        self.changing(Changing())
        self.assertEqual(prompts, [None, b"Old Password: ", b"New\x07: "])
        self.assertEqual(self.requests(), [(b"password", b"\1" + NS("password 2") + NS("password 3"))])
        self.transport.receive(60, UserauthPasswdChangereq(b"Longer: ", b"en").pack())
        self.assertEqual(prompts[3:], [b"Old Password: ", b"Longer: "])
        self.transport.receive(52)
        self.assertTrue(self.transport.isAuthenticated)

    def test_changeWithoutEnd(self):
        """
        A server that is never content ends as one that never accepts.
        """

        class Changing(Program):
            def getPassword(self, prompt=None):
                return succeed("password")

        self.changing(Changing())
        for _ in range(100):
            self.transport.receive(60, UserauthPasswdChangereq(b"New: ", b"").pack())
        self.assertEqual(self.client._record.requests, self.client.maximumRequests)
        self.assertGaveUp()

    def test_changeDeclined(self):
        """
        A program that cannot be asked for a new password declines.
        """
        self.changing(Program(passwords=["a", "b", "c"]))
        self.assertEqual(self.requests(), [])
        self.assertIn("a new password, which the server asks for: 'New\\x07: '", str(self.assertGaveUp()))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class ServerPasswordTests(ServerMixin, SynchronousTestCase):
    """
    The server's half of C{password}.
    """

    def test_login(self):
        """
        The right password lets the user in, as the portal has it.
        """
        checker = knows(user="sécret")
        self.start(checker)
        self.assertLoggedIn(self.ask(passwordRequest("sécret")))
        [credentials] = checker.asked
        self.assertEqual((credentials.username, credentials.password), (b"user", "sécret".encode()))
        self.assertEqual(self.factory.realm.events, [("in", b"user")])
        self.transport.lose()
        self.assertEqual(self.factory.realm.events, [("in", b"user"), ("out", b"user")])

    def test_wrong(self):
        """
        A wrong one does not.
        """
        self.start(knows(user="a"))
        self.assertRefused(self.ask(passwordRequest("b")), b"password")
        self.assertNobodyIn()

    def test_size(self):
        """
        A password that is empty or huge fails before the checker is asked.
        """
        checker = FakeChecker(IUsernamePassword, lambda credentials: credentials.username)
        for size, asked in ((0, 0), (1, 1), (1024, 1), (1025, 0), (30000, 0)):
            checker.asked.clear()
            self.start(checker)
            answer = self.ask(passwordRequest("x" * size))
            self.assertEqual(len(checker.asked), asked)
            if asked:
                self.assertLoggedIn(answer)
            else:
                self.assertRefused(answer, b"password")

    def test_noChange(self):
        """
        Without a checker for it, a request to change the password is refused,
        and nobody asked; and an old password is none.
        """
        checker = knows(user="old")
        self.start(checker)
        data = PasswordData(True, b"old", NS("new")).pack()
        self.assertRefused(self.ask(request("password", data)), b"password")
        self.assertEqual(checker.asked, [])

    def startChanging(self, goodEnough=lambda new: True):
        """
        A server on which C{old} is the password and has to be changed.
        """
        self.passwords = {b"user": b"old"}

        def check(credentials):
            if self.passwords[b"user"] != credentials.password:
                raise UnauthorizedLogin("no")
            if credentials.password == b"old":
                raise PasswordExpired("Choose well: ")
            return credentials.username

        def change(credentials):
            if self.passwords[b"user"] != credentials.password:
                raise UnauthorizedLogin("no")
            if not goodEnough(credentials.newPassword):
                raise PasswordExpired(b"Better: ")
            self.passwords[b"user"] = credentials.newPassword
            return credentials.username

        self.changer = FakeChecker(IPasswordChange, change)
        self.start(FakeChecker(IUsernamePassword, check), self.changer)
        self.assertEqual(self.server.supportedAuthentications, [b"password"])

    def change(self, old, new):
        return self.ask(request("password", PasswordData(True, old, NS(new)).pack()))

    def assertAsked(self, answer, prompt):
        self.assertEqual(answer, [(60, UserauthPasswdChangereq(prompt, b"").pack())])

    def test_expired(self):
        """
        A checker that wants another password gets one, and the user is in.
        """
        self.startChanging()
        self.assertAsked(self.ask(passwordRequest("old")), b"Choose well: ")
        self.assertNobodyIn()
        self.assertLoggedIn(self.change(b"old", b"new"))
        self.assertEqual(self.passwords, {b"user": b"new"})
        [credentials] = self.changer.asked
        self.assertNotIn("new", repr(credentials))

    def test_expiredUnchangeable(self):
        """
        Where passwords cannot be changed, one that has to be is no good.
        """
        self.start(FakeChecker(IUsernamePassword, lambda credentials: fail(PasswordExpired())))
        self.assertRefused(self.ask(passwordRequest("old")), b"password")

    def test_changeWithoutEnd(self):
        """
        Row 63: a client that sends new passwords that are not good enough has
        as many of them as there may be failures.
        """
        self.startChanging(lambda new: False)
        self.assertAsked(self.ask(passwordRequest("old")), b"Choose well: ")
        for _ in range(4):
            self.assertAsked(self.change(b"old", b"new"), b"Better: ")
        self.assertEqual(self.change(b"old", b"new"), [])
        self.assertIsInstance(self.transport.error, TooManyAuthenticationFailures)

    def test_changeRefused(self):
        """
        Rows 62 and 69: neither password may be empty or huge, whatever the
        checker would say; and a wrong old one is a failure.
        """
        for old, new, asked in (
            (b"wrong", b"new", 1),
            (b"", b"new", 0),
            (b"old", b"", 0),
            (b"old", b"x" * 1025, 0),
            (b"x" * 1025, b"new", 0),
        ):
            self.startChanging()
            self.assertRefused(self.change(old, new), b"password")
            self.assertEqual(len(self.changer.asked), asked)
            self.assertEqual((self.passwords, self.server.loginAttempts), ({b"user": b"old"}, 1))

    def test_changeMalformed(self):
        """
        A new password that is not there, or not announced, ends the connection.
        """
        for data in (PasswordData(True, b"old", b""), PasswordData(False, b"old", NS("new"))):
            self.startChanging()
            self.ask(request("password", data.pack()))
            self.assertIsInstance(self.transport.error, MalformedMessage)
            self.assertEqual(self.changer.asked, [])

    def test_later(self):
        """
        A checker may take its time; what comes meanwhile waits.
        """
        answer = Deferred()
        self.start(FakeChecker(IUsernamePassword, lambda credentials: answer))
        self.assertEqual(self.ask(passwordRequest("a")), [])
        self.assertEqual(self.ask(request("none", user="other")), [])
        self.assertEqual((self.transport.holds, self.server.user), (1, b"user"))
        answer.callback(b"user")
        self.assertEqual(self.transport.holds, 0)
        self.assertEqual(self.transport.sent, [(SUCCESS, b"")])
        # RFC 4252 section 5.1: further requests are the next service's, to
        # ignore.
        self.assertEqual(self.factory.services[0].events, ["started", (50, request("none", user="other"))])

    def test_laterAgain(self):
        """
        After a refusal that took time, what waited is decided.
        """
        answers = [Deferred(), Deferred()]
        waiting = list(answers)
        self.start(FakeChecker(IUsernamePassword, lambda credentials: waiting.pop(0)))
        self.ask(passwordRequest("a"))
        self.ask(passwordRequest("b"))
        answers[0].errback(UnauthorizedLogin("no"))
        self.assertEqual((self.transport.numbers, self.transport.holds), ([FAILURE], 1))
        answers[1].callback(b"user")
        self.assertEqual((self.transport.numbers, self.transport.holds), ([FAILURE, SUCCESS], 0))

    def test_checkerRaises(self):
        """
        A checker that breaks refuses: whatever it raises, and whatever it
        returns that is no login.
        """

        def raises(credentials):
            raise MemoryError("no")

        self.start(FakeChecker(IUsernamePassword, raises))
        self.assertRefused(self.ask(passwordRequest("a")), b"password")
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)

        class Own(SSHUserAuthServer):
            def auth_password(self, packet):
                return self.result

        for result in (None, True, succeed(None), succeed(()), succeed((1, 2)), 1):
            server = Own()
            server.result = result
            self.start(knows(), server=server)
            self.assertRefused(self.ask(passwordRequest("a")), b"password")
            self.assertNobodyIn()
        self.assertEqual(len(self.flushLoggedErrors()), 6)

    def test_checkerMalformed(self):
        """
        That a checker finds something malformed does not end the connection.
        """
        self.start(FakeChecker(IUsernamePassword, lambda credentials: fail(MalformedMessage("hash"))))
        self.assertRefused(self.ask(passwordRequest("a")), b"password")
