"""
Private DSA keys, in every format that there is: they are read, and that is all.
"""

from __future__ import annotations

from binascii import b2a_base64
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.keyfiles import pem
from conchlite.error import (
    AgentError,
    BadKeyError,
    BadPassphrase,
    BadSignatureAlgorithmError,
    DamagedKey,
    EncryptedKeyError,
    UsageError,
)
from conchlite.ssh.agent import KeyRing, SSHAgentClient
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.wire.types import packMPInt, packString
from tests.algorithms.keyvectors import PASSPHRASE, keyText

#: The same key in each.
FILES = ("openssh", "pem", "pkcs8", "ppk3", "canonical", "advanced")
ENCRYPTED = ("pem-encrypted", "pkcs8-encrypted", "ppk2-encrypted")


def dsaKey() -> Key:
    return Key.fromString(keyText("dsa.openssh"))


def privateBlob() -> bytes:
    return dsaKey().blob() + packMPInt(int(dsaKey().data()["x"]))


def integer(number: int) -> bytes:
    return element(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def element(tag: int, content: bytes) -> bytes:
    return b"%c\x84%b%b" % (tag, len(content).to_bytes(4, "big"), content)


def asPEM(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, b2a_base64(der), label)


def asPKCS8(p: int, q: int, g: int, x: int) -> bytes:
    group = element(0x30, integer(p) + integer(q) + integer(g))
    algorithm = element(0x30, bytes.fromhex("06072a8648ce380401") + group)
    return asPEM(b"PRIVATE KEY", element(0x30, integer(0) + algorithm + element(4, integer(x))))


class ReadingTests(SynchronousTestCase):
    def test_formats(self) -> None:
        for name in FILES:
            key = Key.fromString(keyText(f"dsa.{name}"))
            self.assertEqual((key, key.data()), (dsaKey(), dsaKey().data()))
            self.assertFalse(key.isPublic())
        for name in ENCRYPTED:
            text = keyText(f"dsa.{name}")
            self.assertEqual(Key.fromString(text, passphrase=PASSPHRASE).data(), dsaKey().data())
            self.assertRaises(EncryptedKeyError, Key.fromString, text)
            self.assertRaises(BadPassphrase, Key.fromString, text, passphrase="other")
        for form in (None, "private_blob", "agentv3"):
            self.assertEqual(Key.fromString(privateBlob(), form), dsaKey())
        self.assertEqual(Key.fromString(keyText("dsa.lsh-pub")), dsaKey().public())
        self.assertEqual(Key.fromString(keyText("lsh.dsa")).type(), "DSA")

    def test_truncated(self) -> None:
        for name in FILES:
            text = keyText(f"dsa.{name}").rstrip()
            for size in range(len(text)):
                self.assertRaises(BadKeyError, Key.fromString, text[:size])

    def test_key(self) -> None:
        key = dsaKey()
        self.assertEqual((key.type(), key.sshType(), key.size()), ("DSA", b"ssh-dss", 1024))
        self.assertEqual(list(key.data()), ["y", "g", "p", "q", "x"])
        public = key.public()
        self.assertEqual(public, Key.fromString(keyText("dsa.pub")))
        self.assertEqual((key.blob(), list(public.data())), (public.blob(), ["y", "g", "p", "q"]))
        self.assertNotEqual(key, public)
        self.assertTrue(repr(key).startswith("<private DSA key, 1024 bits, SHA256:"))
        self.assertNotIn(str(key.data()["x"]), repr(key))

    def test_numbersOfAnother(self) -> None:
        """
        The private number has to be the public one's, in every format that
        has both.
        """
        d = {name: int(number) for name, number in dsaKey().data().items()}
        group = [d["p"], d["q"], d["g"]]
        for x in (0, d["x"] ^ 2, d["q"]):
            numbers = b"".join(map(integer, [0, *group, d["y"], x]))
            text = asPEM(b"DSA PRIVATE KEY", element(0x30, numbers))
            self.assertRaises(DamagedKey, Key.fromString, text)
            self.assertRaises(DamagedKey, Key.fromString, dsaKey().blob() + packMPInt(x))
            expression = keyText("dsa.canonical").replace(packMPInt(d["x"])[4:], packMPInt(d["x"] ^ 2)[4:])
            self.assertRaises(DamagedKey, Key.fromString, expression)
        self.assertRaises(DamagedKey, Key.fromString, asPKCS8(*group, d["q"]))
        self.assertEqual(Key.fromString(asPKCS8(*group, d["x"])), dsaKey())

    def test_boundsBeforeArithmetic(self) -> None:
        """
        Row 47: PKCS#8 leaves the public number out, and to compute it in a
        group of some thousand bytes takes minutes. Nobody begins.
        """
        d = {name: int(number) for name, number in dsaKey().data().items()}
        huge = (1 << 100_000) | 1
        name = packString(b"ssh-dss")
        with mock.patch.object(pem, "_load") as library:
            for p, q, g, x in [
                (huge, d["q"], d["g"], d["x"]),
                (huge, huge >> 9 | 1, 3, huge >> 99),
                (d["p"], huge, d["g"], d["x"]),
                (d["p"], d["q"], huge, d["x"]),
                (d["p"], d["q"], d["g"], huge),
            ]:
                self.assertRaises(DamagedKey, Key.fromString, asPKCS8(p, q, g, x))
                blob = name + b"".join(map(packMPInt, (p, q, g, d["y"], x)))
                self.assertRaises(DamagedKey, Key.fromString, blob)
                numbers = b"".join(map(integer, (0, p, q, g, d["y"], x)))
                text = asPEM(b"DSA PRIVATE KEY", element(0x30, numbers))
                self.assertRaises(DamagedKey, Key.fromString, text)
        self.assertFalse(library.called)

    def test_withoutNumbers(self) -> None:
        identifier = bytes.fromhex("06072a8648ce380401")
        for algorithm in (identifier + element(0x30, b""), identifier + element(5, b"")):
            der = element(0x30, integer(0) + element(0x30, algorithm) + element(4, integer(1)))
            self.assertRaises(DamagedKey, Key.fromString, asPEM(b"PRIVATE KEY", der))

    def test_manyElements(self) -> None:
        """
        A file of many small elements is not copied for each of them.
        """
        copied: list[int] = []

        class Counted(bytes):
            def __getitem__(self, index):
                found = super().__getitem__(index)
                copied.append(len(found) if isinstance(found, bytes) else 1)
                return found

        self.assertEqual(len(list(pem._elements(Counted(b"\x30\x00" * 5000)))), 5000)
        self.assertLess(sum(copied), 50_000)


class RefusalTests(SynchronousTestCase):
    def test_signing(self) -> None:
        for algorithm in (None, b"ssh-dss", b"ssh-rsa"):
            error = self.assertRaises(BadSignatureAlgorithmError, dsaKey().sign, b"data", algorithm)
            self.assertIn("DSA", str(error))

    def test_writing(self) -> None:
        self.assertRaises(UsageError, dsaKey().toString, "lsh")
        self.assertRaises(UsageError, dsaKey().toString, "agentv3")
        for subtype in (None, "v1", "PEM", "PKCS8"):
            for passphrase in (None, "secret"):
                self.assertRaises(
                    UsageError, dsaKey().toString, "openssh", subtype=subtype, passphrase=passphrase
                )
        error = self.assertRaises(UsageError, dsaKey().privateBlob)
        self.assertIn("DSA", str(error))
        path = self.mktemp()
        self.assertRaises(UsageError, dsaKey().toFile, path)

    def test_agents(self) -> None:
        """
        None is added to an agent, and an agent takes none.
        """
        error = self.assertRaises(UsageError, SSHAgentClient().addKey, dsaKey())
        self.assertIn("DSA", str(error))
        ring = KeyRing(Clock())
        refused = self.assertRaises(AgentError, ring.add, dsaKey())
        self.assertIn("DSA", str(refused))
        self.assertEqual(ring.keys, {})

    def test_hostKeys(self) -> None:
        """
        A server with such a host key does not start.
        """
        factory = SSHFactory()
        factory.privateKeys = {b"ssh-dss": dsaKey()}
        error = self.assertRaises(UsageError, factory.doStart)
        self.assertIn("DSA", str(error))
