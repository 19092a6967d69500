"""
Tests for L{conchlite.ssh.authreport}, and for the reports that a client makes.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import AuthenticationFailed, ConnectionEnded, Disconnected, LoginTimedOut
from conchlite.sansio.attempts import Answer, Attempt
from conchlite.ssh.authreport import AuthenticationReport
from conchlite.wire.userauth import UserauthBanner, UserauthPasswdChangereq
from tests.ssh.authlink import ed25519, rsa
from tests.ssh.authscenes import ClientMixin, Program

TOO_MANY = Disconnected(2, b"Too many authentication failures for user from 192.0.2.9 port 1 ssh2", True)


def key(number=1, answer=Answer.REFUSED, **facts):
    """
    A key that was offered.
    """
    given = {"keyType": b"ssh-ed25519", "algorithm": b"ssh-ed25519", "source": "program", **facts}
    return Attempt(b"publickey", fingerprint=f"SHA256:{number}", answer=answer, **given)


def password(answer=Answer.REFUSED, **facts):
    """
    A password that was sent.
    """
    return Attempt(b"password", answer=answer, **facts)


class CauseTests(SynchronousTestCase):
    """
    The likely cause, from the facts.
    """

    def cause(self, *attempts, methods=(b"publickey",), answerable=(b"publickey", b"password"), **facts):
        facts.setdefault("user", "user")
        return AuthenticationReport(
            "host",
            attempts=attempts,
            methods=methods,
            answerable=frozenset(answerable) & set(methods),
            **facts,
        ).cause

    def test_tooMany(self):
        """
        As OpenSSH's sshd says it, with code 2, and as the RFC has it, with 14.
        """
        six = [key(n) for n in range(6)]
        for ended in (TOO_MANY, Disconnected(14, b"no", True)):
            self.assertIn(
                "6 keys were offered and the server closed: too many (MaxAuthTries); name one with",
                self.cause(*six, ended=ended),
            )
        self.assertIn("2 attempts were made", self.cause(key(), password(), ended=TOO_MANY))
        self.assertNotIn("--identity", self.cause(key(), ended=TOO_MANY))

    def test_closed(self):
        """
        A connection that ends without a word.
        """
        ended = ConnectionEnded("closed")
        self.assertIn("ended before anything was tried", self.cause(ended=ended, methods=()))
        self.assertIn("1 key was offered and the connection ended", self.cause(key(), ended=ended))
        self.assertIn("the server ended the login", self.cause(ended=Disconnected(2, b"go away", True)))

    def test_timedOut(self):
        self.assertEqual("too slow", self.cause(ended=LoginTimedOut("too slow")))

    def test_noMethod(self):
        self.assertIn("lets nobody in", self.cause(methods=()))
        self.assertIn("no method for the rest", self.cause(methods=(), authenticatedWith=(b"publickey",)))

    def test_signatureRefused(self):
        """
        The key would do: it is the signature that the server did not like.
        """
        self.assertIn("SHA256:1 was accepted and its signature refused", self.cause(key(continued=True)))
        self.assertIn(
            "its server-sig-algs are rsa-sha2-512",
            self.cause(key(continued=True), signatureAlgorithms=(b"rsa-sha2-512",)),
        )
        old = {"keyType": b"ssh-rsa", "algorithm": b"ssh-rsa", "continued": True}
        self.assertIn("RSA with SHA-1", self.cause(key(**old)))
        card = b"sk-ssh-ed25519@openssh.com"
        self.assertIn("a touch", self.cause(key(keyType=card, algorithm=card, continued=True)))

    def test_noSignature(self):
        self.assertIn("there was no signature by it", self.cause(key(answer=Answer.DECLINED)))

    def test_algorithm(self):
        """
        A server that does not know the signature does not know the key.
        """
        said = self.cause(key(), signatureAlgorithms=(b"rsa-sha2-512",))
        self.assertIn("the server takes no ssh-ed25519", said)

    def test_passwordExpired(self):
        for answer in (Answer.DECLINED, Answer.MORE):
            said = self.cause(password(answer), password(what="a new password"), methods=(b"password",))
            self.assertIn("wants a new one", said)

    def test_notAnswered(self):
        """
        The server wants what the program does not have.
        """
        wanted = (b"keyboard-interactive",)
        self.assertEqual(
            "the server accepts only keyboard-interactive, which this program does not answer",
            self.cause(methods=wanted),
        )
        self.assertEqual(
            "the server accepts only keyboard-interactive, and its questions were not answered",
            self.cause(Attempt(wanted[0], answer=Answer.DECLINED), methods=wanted, answerable=wanted),
        )
        self.assertIn("accepts only password, and no password", self.cause(methods=(b"password",)))
        self.assertIn("accepts only publickey, and no key was offered", self.cause())
        self.assertIn(
            "accepted a part and wants more: password",
            self.cause(key(answer=Answer.PARTIAL), methods=(b"password",), authenticatedWith=(b"publickey",)),
        )

    def test_refused(self):
        self.assertIn("the key is not one that the server has for 'user'", self.cause(key()))
        said = self.cause(key(1), key(2), password(), password(), methods=(b"publickey", b"password"))
        self.assertIn("none of the 2 keys is one", said)
        self.assertIn("2 passwords were refused", said)
        said = self.cause(Attempt(b"hostbased", answer=Answer.REFUSED), methods=(b"hostbased",))
        self.assertEqual("hostbased was refused", said)

    def test_attemptsUsedUp(self):
        """
        Where keys were left over, it is likely that one of them is the right
        one.
        """
        said = self.cause(key(1), key(2), unoffered=("~/.ssh/good",))
        self.assertEqual(
            "2 keys were refused, and ~/.ssh/good was not offered, since a server closes after some "
            "(maximumAttempts); name one with --identity",
            said,
        )
        said = self.cause(key(1), unoffered=("a", "b", "c"), user="root")
        self.assertIn("1 key was refused, and 3 more were not offered", said)
        self.assertNotIn("forbid root", said)

    def test_answersRefused(self):
        """
        A password by keyboard-interactive is wrong as often as any other.
        """
        wanted = (b"keyboard-interactive",)
        said = self.cause(Attempt(wanted[0], answer=Answer.REFUSED), methods=wanted, answerable=wanted)
        self.assertEqual(
            "what was answered by keyboard-interactive was refused, as wrong, or because there is no such "
            "user",
            said,
        )

    def test_severalMethods(self):
        """
        What all is missing is told as a list.
        """
        methods = (b"publickey", b"password", b"keyboard-interactive")
        self.assertEqual(
            "the server accepts publickey, password, keyboard-interactive; but no key was offered, "
            "no password was given, its questions were not answered",
            self.cause(methods=methods, answerable=methods),
        )

    def test_root(self):
        self.assertIn("forbid root", self.cause(key(), user="root"))
        self.assertIn("forbid root", self.cause(key(continued=True), user="root"))
        self.assertNotIn("forbid root", self.cause(key()))

    def test_nothingKnown(self):
        """
        There is always something to say.
        """
        self.assertTrue(self.cause(password(Answer.NONE), methods=(b"hostbased",), answerable=()))
        self.assertTrue(self.cause(Attempt(b"\x1b[2J", answer=Answer.REFUSED), methods=(b"\x1b[2J",)))

    def test_paragraph(self):
        """
        The facts stand behind the cause, and what a server sent is harmless.
        """
        report = AuthenticationReport(
            "example.org",
            "user",
            (key(1), password(Answer.PARTIAL)),
            ("a key, as it is too small",),
            (b"password",),
            (b"publickey", b"\x1b[2J"),
            frozenset({b"publickey"}),
        )
        self.assertEqual(
            "example.org did not authenticate 'user': the key is not one that the server has for 'user' "
            "(authorized_keys); tried: publickey ssh-ed25519 SHA256:1, from program [refused], password "
            "[accepted as a part]; not tried: a key, as it is too small; accepted as a part: password; "
            "the server would accept: publickey, \\x1b[2J",
            str(report),
        )


class ReportTests(ClientMixin, SynchronousTestCase):
    """
    The reports of a client.
    """

    def test_attempts(self):
        """
        Each attempt is there, with what became of it.
        """
        self.start(Program([ed25519(1), rsa()], passwords=["a"]))
        self.refuse(b"publickey", b"password")
        self.accept(*self.offered())
        self.requests()
        self.refuse(b"publickey", b"password")
        self.refuse(b"publickey", b"password")
        self.refuse(b"publickey", b"password")
        self.refuse(b"publickey", b"password", partial=True)
        report = self.assertGaveUp().report
        self.assertEqual(
            [
                (b"publickey", b"ssh-ed25519", b"ssh-ed25519", True, Answer.REFUSED),
                (b"publickey", b"ssh-rsa", b"rsa-sha2-512", False, Answer.REFUSED),
                (b"publickey", b"ssh-rsa", b"rsa-sha2-256", False, Answer.REFUSED),
                (b"password", b"", b"", False, Answer.PARTIAL),
            ],
            [(a.method, a.keyType, a.algorithm, a.continued, a.answer) for a in report.attempts],
        )
        self.assertEqual("program", report.attempts[0].source)
        self.assertEqual(((b"password",), "192.0.2.1"), (report.authenticatedWith, report.host))

    def test_serverName(self):
        """
        A program that knows the server's name has it in the report.
        """
        self.start(Program())
        self.client.serverName = "example.org"
        self.refuse(b"publickey")
        self.assertIn("example.org (192.0.2.1) did not authenticate", str(self.assertGaveUp()))

    def test_source(self):
        """
        A program says where its keys come from.
        """
        self.start(Program([ed25519(1)]))
        self.client.keySource = lambda key: "a safe"
        self.refuse(b"publickey")
        self.refuse(b"publickey")
        self.assertEqual(["a safe"], [a.source for a in self.assertGaveUp().report.attempts])

    def test_passwordChange(self):
        """
        A new password that is not given is part of the report.
        """
        self.start(Program(passwords=["a"]))
        self.client.getPassword = lambda prompt=None: None if prompt else "a"
        self.refuse(b"password")
        self.transport.receive(60, UserauthPasswdChangereq(b"New: ", b"").pack())
        report = self.assertGaveUp().report
        self.assertEqual([Answer.DECLINED], [a.answer for a in report.attempts])
        self.assertIn("wants a new one", report.cause)

    def test_ended(self):
        """
        A connection that ends in the middle of the login, by the server's
        DISCONNECT, by none, or by the time, ends with a report.
        """
        for error in (TOO_MANY, ConnectionEnded("gone"), LoginTimedOut("too slow")):
            transport = self.start(Program([ed25519(1)]))
            transport.receive(53, UserauthBanner(b"hello\x1b", b"").pack())
            self.refuse(b"publickey")
            transport.closeReason = Failure(error)
            transport.lose()
            failed = transport.error
            self.assertIsInstance(failed, AuthenticationFailed)
            self.assertIs(error, failed.data)
            self.assertIs(error, failed.report.ended)
            self.assertEqual([Answer.NONE], [a.answer for a in failed.report.attempts])
            self.assertEqual(("hello\\x1b",), failed.report.banners)
            self.assertIn(str(error), str(failed))

    def test_endedByOurselves(self):
        """
        What the program ended needs no explanation, nor does a connection that
        ends after the login.
        """
        own = Disconnected(11, b"user closed connection")
        transport = self.start(Program())
        self.client.getPassword = Deferred
        self.refuse(b"password")
        transport.closeReason = Failure(own)
        transport.lose()
        self.assertIs(own, transport.error)
        transport = self.start(Program())
        transport.receive(52)
        transport.lose()
        self.assertIsInstance(transport.error, ConnectionEnded)
