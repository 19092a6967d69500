"""
Tests for L{conchlite.checkers.passwords}.
"""

from __future__ import annotations

import hashlib
from unittest.mock import patch

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from conchlite.checkers.passwords import (
    InMemoryPasswordDatabase,
    PAMChecker,
    UNIXPasswordDatabase,
    hashPassword,
)
from conchlite.error import UsageError
from conchlite.interfaces import IKeyboardInteractive

HASHED = hashPassword("secret", lambda size: b"s" * size)


class CheckerMixin:
    """
    What every checker of passwords does. C{alice}, who has C{secret}, is known.
    """

    def attempt(self, username, password):
        return self.checker.requestAvatarId(UsernamePassword(username, password))

    def test_interface(self):
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))

    def test_good(self):
        self.assertEqual(self.successResultOf(self.attempt(b"alice", b"secret")), b"alice")

    def test_bad(self):
        for username, password in (
            (b"alice", b"Secret"),
            (b"alice", b"secret "),
            (b"alice", b"secret\0"),
            (b"alice", b"\xff"),
            (b"bob", b"secret"),
            (b"\xff", b"secret"),
            (b"", b"secret"),
        ):
            self.failureResultOf(self.attempt(username, password), UnauthorizedLogin)

    def test_sizes(self):
        """
        Rows 61, 62 and 69: nothing is computed of an empty password, nor of a
        long one.
        """
        for password in (b"", b"x" * 1025, b"x" * 10**6):
            self.failureResultOf(self.attempt(b"alice", password), UnauthorizedLogin)
        self.assertEqual(self.runs, 0)
        self.failureResultOf(self.attempt(b"alice", b"x" * 1024), UnauthorizedLogin)
        self.assertEqual(self.runs, 1)

    def run_(self, function, *arguments):
        self.runs += 1
        return maybeDeferred(function, *arguments)

    runs = 0


class InMemoryTests(CheckerMixin, SynchronousTestCase):
    """
    L{InMemoryPasswordDatabase}.
    """

    def setUp(self):
        self.checker = InMemoryPasswordDatabase({"alice": HASHED}, self.run_)

    def test_names(self):
        """
        Names may be text or bytes, and the mapping may change.
        """
        hashes = {}
        self.checker = InMemoryPasswordDatabase(hashes, self.run_)
        self.failureResultOf(self.attempt(b"alice", b"secret"), UnauthorizedLogin)
        hashes[b"alice"] = HASHED
        self.assertEqual(self.successResultOf(self.attempt(b"alice", "secret")), b"alice")

    def test_sameWork(self):
        """
        Row 60: for a user who does not exist the same is computed.
        """
        done = []

        def scrypt(password, *, salt, n, r, p, maxmem, dklen):
            done.append((len(salt), n, r, p, dklen))
            return b"\0" * dklen

        with patch.object(hashlib, "scrypt", scrypt):
            for name in (b"alice", b"bob"):
                self.failureResultOf(self.attempt(name, b"other"), UnauthorizedLogin)
        self.assertEqual(done[0], done[1])
        self.assertEqual(self.runs, 2)

    def test_nobodysPassword(self):
        """
        Row 60: what stands in for a hash is nobody's password, even if it fits.
        """
        with patch.object(hashlib, "scrypt", lambda *a, dklen, **k: b"\0" * dklen):
            self.failureResultOf(self.attempt(b"bob", b"any"), UnauthorizedLogin)

    def test_badHash(self):
        for hashed in ("secret", "md5$1$2$3$YQ==$YQ==", HASHED[:-4] + "!", "scrypt$x$8$1$YQ==$YQ=="):
            self.checker = InMemoryPasswordDatabase({b"alice": hashed}, self.run_)
            self.failureResultOf(self.attempt(b"alice", b"secret"), UsageError)

    def test_hash(self):
        """
        Each hash has a salt of its own, and nothing of the password.
        """
        hashes = {hashPassword("secret") for _ in range(2)}
        self.assertEqual(len(hashes), 2)
        self.assertFalse(any("secret" in hashed for hashed in hashes))


class UNIXTests(CheckerMixin, SynchronousTestCase):
    """
    L{UNIXPasswordDatabase}.
    """

    def setUp(self):
        self.asked = []
        accounts = {"alice": ("alice", "$6$salt$secret"), "locked": ("locked", "!$6$salt$secret")}
        elsewhere = {"alice": ("alice", "x"), "empty": ("empty", "")}

        def crypt(password, hashed):
            self.asked.append(hashed)
            return "$6$salt$" + password if hashed.startswith("$6$salt$") else hashed

        functions = (elsewhere.__getitem__, accounts.__getitem__)
        self.checker = UNIXPasswordDatabase(functions, crypt, self.run_)

    def test_noPassword(self):
        """
        Row 61: what is no hash lets nobody in, nor is it handed to crypt(3).
        """
        for name in (b"locked", b"empty", b"nobody"):
            self.failureResultOf(self.attempt(name, b"secret"), UnauthorizedLogin)
        self.assertEqual(set(self.asked), {self.checker._nobodys})

    def test_realCrypt(self):
        """
        The machine's crypt(3), where Python has it.
        """
        try:
            from conchlite.checkers.passwords import _crypt

            crypt = _crypt()
        except UsageError as error:
            self.skipTest(str(error))
        hashed = crypt("secret", "$6$rounds=1000$salt$")
        self.checker = UNIXPasswordDatabase((lambda name: (name, hashed),), run=self.run_)
        self.assertEqual(self.successResultOf(self.attempt(b"alice", b"secret")), b"alice")
        self.failureResultOf(self.attempt(b"alice", b"other"), UnauthorizedLogin)
        nobodys = UNIXPasswordDatabase._nobodys
        self.assertNotEqual(crypt("any", nobodys), nobodys)

    def test_shadowUnreadable(self):
        """
        A shadow file that may not be read is no error of the user's.
        """

        def refuse(name):
            raise PermissionError

        self.checker = UNIXPasswordDatabase((refuse,), lambda *a: None, self.run_)
        self.failureResultOf(self.attempt(b"alice", b"secret"), UnauthorizedLogin)


class FakePAM:
    """
    The package C{pam}.
    """

    asked: list = []

    class PamAuthenticator:
        def authenticate(self, username, password, service):
            FakePAM.asked.append((username, service))
            return username == "alice" and password == "secret"


@implementer(IKeyboardInteractive)
class Asked:
    username = b"alice"

    def __init__(self, answer):
        self.answer = answer
        self.prompts = []

    def ask(self, name, instruction, prompts):
        self.prompts += prompts
        return succeed([self.answer])


class PAMTests(CheckerMixin, SynchronousTestCase):
    """
    L{PAMChecker}.
    """

    def setUp(self):
        FakePAM.asked = []
        self.checker = PAMChecker("ssh-service", self.run_, FakePAM)

    def test_service(self):
        self.successResultOf(self.attempt(b"alice", b"secret"))
        self.assertEqual(FakePAM.asked, [("alice", "ssh-service")])

    def test_keyboardInteractive(self):
        """
        The user is asked.
        """
        for answer, good in (("secret", True), ("other", False), ("", False)):
            asked = Asked(answer)
            result = self.checker.requestAvatarId(asked)
            if good:
                self.assertEqual(self.successResultOf(result), b"alice")
            else:
                self.failureResultOf(result, UnauthorizedLogin)
            self.assertEqual(asked.prompts, [("Password: ", False)])

    def test_oddAnswer(self):
        """
        What is true without being True is no yes.
        """

        class Odd:
            class PamAuthenticator:
                def authenticate(self, username, password, service):
                    return "no"

        self.checker = PAMChecker(run=self.run_, library=Odd)
        self.failureResultOf(self.attempt(b"alice", b"secret"), UnauthorizedLogin)

    def test_notInstalled(self):
        """
        Without the package it says what to install.
        """
        self.checker = PAMChecker(run=self.run_)
        with patch.dict("sys.modules", {"pam": None}):
            error = self.failureResultOf(self.attempt(b"alice", b"secret"), UsageError).value
        self.assertIn("conchlite[pam]", str(error))
