"""
Tests for L{conchlite.sansio.kexinits}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, SERVER_DEFAULT
from conchlite.error import MalformedMessage, NoCommonAlgorithm
from conchlite.sansio import kexinits
from conchlite.sansio.negotiation import negotiate, offer
from conchlite.sansio.role import Role
from conchlite.wire.transport import ExtInfo, KexInit

COOKIE = bytes(range(16))


def payload(role: Role, first: bool = True) -> bytes:
    algorithms = CLIENT_DEFAULT if role is Role.CLIENT else SERVER_DEFAULT
    return offer(role, algorithms, COOKIE, first).packPayload()


class KexInitsTests(SynchronousTestCase):
    def test_offered(self):
        """
        Our message is what it was without a memory, each time.
        """
        for _ in range(2):
            for role, algorithms in ((Role.CLIENT, CLIENT_DEFAULT), (Role.SERVER, SERVER_DEFAULT)):
                for first in (True, False):
                    made = kexinits.offered(role, algorithms, COOKIE, first)
                    self.assertEqual(offer(role, algorithms, COOKIE, first).packPayload(), made.whole)

    def test_sharedButForTheCookie(self):
        """
        What a thousand peers say alike is in memory once; the cookies are each
        one's own.
        """
        one = payload(Role.SERVER)
        other = one[:1] + bytes(16) + one[17:]
        keptOne, keptOther = kexinits.kept(one), kexinits.kept(other)
        self.assertEqual((one, other), (keptOne.whole, keptOther.whole))
        self.assertIs(keptOne.lists, keptOther.lists)

    def test_read(self):
        message = kexinits.read(payload(Role.CLIENT)[17:])
        self.assertEqual(CLIENT_DEFAULT.ciphers, message.encryptionAlgorithmsClientToServer)
        self.assertIs(message, kexinits.read(payload(Role.CLIENT)[17:]))

    def test_malformed(self):
        """
        What is no message is none the second time either.
        """
        lists = payload(Role.CLIENT)[17:]
        for wrong in (b"", lists[:-1], lists + b"\0"):
            for _ in range(2):
                self.assertRaises(MalformedMessage, kexinits.read, wrong)

    def test_extensions(self):
        """
        What was read once is not changed by anybody, nor good for another.
        """
        body = ExtInfo({b"server-sig-algs": b"ssh-ed25519"}).pack()
        for _ in range(2):
            self.assertEqual({b"server-sig-algs": b"ssh-ed25519"}, kexinits.extensions(body))
            with self.assertRaises(TypeError):
                kexinits.extensions(body)[b"server-sig-algs"] = b""
            self.assertRaises(MalformedMessage, kexinits.extensions, body + b"\0")
        value = bytes(kexinits.LARGEST_REMEMBERED)
        large = ExtInfo({b"large": value}).pack()
        self.assertEqual({b"large": value}, kexinits.extensions(large))
        self.assertIsNot(kexinits.extensions(large), kexinits.extensions(large))

    def test_agreed(self):
        client, server = payload(Role.CLIENT), payload(Role.SERVER)
        for strict in (True, False):
            expected = negotiate(
                Role.CLIENT, KexInit.unpackPayload(client), KexInit.unpackPayload(server), strict
            )
            for _ in range(2):
                self.assertEqual(expected, kexinits.agreed(Role.CLIENT, client[17:], server[17:], strict))

    def test_nothingInCommon(self):
        """
        That there is nothing in common is said every time.
        """
        alone = offer(Role.SERVER, SERVER_DEFAULT.replacing(ciphers=(b"none",)), COOKIE, True)
        for _ in range(2):
            with self.assertRaises(NoCommonAlgorithm):
                kexinits.agreed(Role.CLIENT, payload(Role.CLIENT)[17:], alone.pack()[16:], True)

    def test_largeOnesAreForgotten(self):
        """
        Nobody fills the memory with messages: large ones are read, and not
        remembered, and of the others the last few are.
        """
        names = tuple(b"%063d@" % number for number in range(70))
        large = offer(Role.SERVER, SERVER_DEFAULT.replacing(signatures=names), COOKIE, True).packPayload()
        self.assertGreater(len(large), kexinits.LARGEST_REMEMBERED + 17)
        one, other = kexinits.kept(large), kexinits.kept(bytes(bytearray(large)))
        self.assertIsNot(one.lists, other.lists)
        self.assertEqual(large, one.whole)
        self.assertIsNot(kexinits.read(one.lists), kexinits.read(one.lists))
        self.assertEqual(names, kexinits.read(one.lists).serverHostKeyAlgorithms)
        with self.assertRaises(NoCommonAlgorithm):
            kexinits.agreed(Role.CLIENT, payload(Role.CLIENT)[17:], one.lists, True)
        before = kexinits.kept(payload(Role.CLIENT)).lists
        for number in range(kexinits.REMEMBERED):
            kexinits.kept(payload(Role.CLIENT) + b"%d" % number)
        self.assertIsNot(before, kexinits.kept(payload(Role.CLIENT)).lists)
