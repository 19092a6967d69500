"""
Row 60 of doc/weaknesses.rst: who does not exist is refused as everybody else.
"""

from __future__ import annotations

import hashlib
from math import erfc, sqrt
from unittest.mock import patch

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.publickeys import signatures
from conchlite.checkers import InMemoryPasswordDatabase, hashPassword
from conchlite.ssh import refusals
from tests.ssh.authlink import FakeChecker, ed25519
from tests.ssh.authscenes import ServerMixin, owners, passwordRequest, query, request, signed

HASHED = hashPassword("secret", lambda size: b"s" * size)
TRIES = 500


def pValue(ours: list[float], others: list[float]) -> float:
    """
    How likely it is that two samples differ as much as these do, if they are
    of one kind: Mann and Whitney's test, two-sided, for large samples.
    """
    ranked = sorted([(value, True) for value in ours] + [(value, False) for value in others])
    ranks = sum(rank for rank, (_, isOurs) in enumerate(ranked, 1) if isOurs)
    count, other = len(ours), len(others)
    u = ranks - count * (count + 1) / 2
    deviation = sqrt(count * other * (count + other + 1) / 12)
    return erfc(abs(u - count * other / 2) / deviation / sqrt(2))


class UnknownUsersTests(ServerMixin, SynchronousTestCase):
    """
    C{user} is known, with a key and a password; nobody else is.
    """

    def begin(self):
        passwords = InMemoryPasswordDatabase({"user": HASHED}, maybeDeferred)
        self.clock = Clock()
        self.start(owners(ed25519(1)), passwords, clock=self.clock)

    def answered(self, payload):
        """
        What comes, and after how many milliseconds.
        """
        self.ask(payload)
        for milliseconds in range(3000):
            if self.transport.sent:
                return list(self.transport.sent), milliseconds
            self.clock.advance(0.001)
        raise AssertionError("no answer")

    def test_answers(self):
        """
        Row 60: the same answers, and for one name the same time each time.
        """
        for make in (
            lambda user: request("none", user=user),
            lambda user: passwordRequest("wrong", user=user),
            lambda user: passwordRequest("", user=user),
            lambda user: query(ed25519(2), user=user),
            lambda user: signed(ed25519(2), user=user),
            lambda user: request("publickey", b"\0\0\0\0\1x\0\0\0\1x", user=user),
        ):
            answers = []
            for user in ("user", "nobody", "../x"):
                self.begin()
                answers.append(self.answered(make(user))[0])
            self.assertEqual(answers, answers[:1] * 3)

    def test_work(self):
        """
        Row 60: as many keys are read, signatures verified, and passwords hashed.
        """
        for payload in (query, signed):
            done = []
            for user in ("user", "nobody"):
                self.begin()
                with (
                    patch.object(signatures, "readPublicKey", wraps=signatures.readPublicKey) as read,
                    patch.object(signatures, "verifyByKey", wraps=signatures.verifyByKey) as verified,
                ):
                    self.answered(payload(ed25519(2), user=user))
                done.append((read.call_count, verified.call_count))
            self.assertEqual(done[0], done[1])
            self.assertGreater(done[0][0], 0)
        hashed = []
        for user in ("user", "nobody"):
            self.begin()
            with patch.object(hashlib, "scrypt", wraps=hashlib.scrypt) as scrypt:
                self.answered(passwordRequest("wrong", user=user))
            hashed.append(
                [call.kwargs | {"salt": len(call.kwargs["salt"])} for call in scrypt.call_args_list]
            )
        self.assertEqual(hashed[0], hashed[1])
        self.assertEqual(len(hashed[0]), 1)

    def times(self, known: bool) -> list[float]:
        found = []
        for number in range(TRIES):
            clock = self.clock = Clock()

            def slow(credentials, clock=clock, number=number):
                # A checker that has to look longer for those whom it knows.
                answer = Deferred()
                seconds = 0.2 + number % 10 / 50 if known else 0
                clock.callLater(seconds, answer.errback, UnauthorizedLogin("no"))
                return answer

            self.start(FakeChecker(IUsernamePassword, slow), clock=clock)
            self.ask(passwordRequest("x", user=f"{'known' if known else 'unknown'}{number}"))
            while not self.transport.sent:
                clock.advance(min(call.getTime() for call in clock.getDelayedCalls()) - clock.seconds())
            found.append(clock.seconds())
        return found

    def test_statistics(self):
        """
        Row 60: nobody can tell by 500 tries each.
        """
        self.patch(refusals, "_DELAY_SECRET", b"one that is always the same")
        known, unknown = self.times(True), self.times(False)
        self.assertGreater(pValue(known, unknown), 0.01)
        # The test would have told.
        self.assertLess(pValue([seconds + 0.05 for seconds in known], unknown), 0.01)
