"""
HMAC: row 13.
"""

from __future__ import annotations

import ast
import hmac
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import conchlite
from conchlite.algorithms import catalogue
from conchlite.algorithms.base import MAC
from conchlite.algorithms.macs import hmac as macs
from conchlite.error import BadMAC
from tests.algorithms.vectors import vectors


class KeyedHMACTests(SynchronousTestCase):
    """
    Tests for L{macs.KeyedHMAC}.
    """

    def test_vectors(self) -> None:
        """
        RFC 4231 and RFC 2202, wherever the message is cut in two.
        """
        for vector in vectors("hmac") + vectors("hmaclegacy"):
            key, message, tag = (bytes.fromhex(vector[name]) for name in ("key", "message", "tag"))
            keyed = macs.KeyedHMAC(MAC(vector["hash"], len(key), len(tag), False), key)
            for cut in (0, 1, 4, len(message)):
                body = memoryview(message)[cut:]
                self.assertEqual(keyed.tag(message[:cut], body), tag)
                keyed.verify(message[:cut], body, memoryview(tag))

    def test_truncated(self) -> None:
        """
        A MAC with a shorter tag has the first bytes of the longer.
        """
        full = hmac.digest(b"key", b"message", "sha256")
        keyed = macs.KeyedHMAC(MAC("sha256", 3, 12, False), b"key")
        self.assertEqual(keyed.tag(b"mess", b"age"), full[:12])
        keyed.verify(b"mess", b"age", full[:12])
        self.assertRaises(BadMAC, keyed.verify, b"mess", b"age", full)

    def test_refuses(self) -> None:
        """
        Any other tag is refused: of another length, or another bit.
        """
        keyed = macs.KeyedHMAC(macs.HMAC_SHA2_256, bytes(32))
        tag = keyed.tag(b"", b"x")
        others = [bytes(32), b"", tag[:-1], tag + b"\0"]
        others += [bytes((*tag[:i], tag[i] ^ 1, *tag[i + 1 :])) for i in range(32)]
        for other in others:
            self.assertRaises(BadMAC, keyed.verify, b"", b"x", other)

    def test_comparesInConstantTime(self) -> None:
        """
        It is L{hmac.compare_digest} that compares, and its verdict counts.
        """
        compared = []

        def compare(ours: bytes, theirs: bytes) -> bool:
            compared.append((ours, bytes(theirs)))
            return True

        self.patch(hmac, "compare_digest", compare)
        keyed = macs.KeyedHMAC(macs.HMAC_SHA2_512, bytes(64))
        keyed.verify(b"", b"x", b"wrong")
        self.assertEqual(compared, [(keyed.tag(b"", b"x"), b"wrong")])


class MACTests(SynchronousTestCase):
    """
    The MACs of the catalogue, RFC 6668 and OpenSSH PROTOCOL 1.5.
    """

    def test_records(self) -> None:
        """
        Each is the hash, the sizes and the order that its name says.
        """
        for name in catalogue.SERVER_DEFAULT.macs:
            mac = catalogue.mac(name)
            size = 32 if b"256" in name else 64
            self.assertEqual(mac.hashName, f"sha{8 * size}")
            self.assertEqual((mac.keySize, mac.tagSize), (size, size))
            self.assertEqual(mac.encryptThenMAC, b"-etm@" in name)

    def test_legacyRecords(self) -> None:
        """
        RFC 4253 section 6.4, and OpenSSH PROTOCOL 1.5 for the one with C{-etm}.
        """
        for name, sizes in (
            (b"hmac-sha1-etm@openssh.com", ("sha1", 20, 20, True)),
            (b"hmac-sha1", ("sha1", 20, 20, False)),
            (b"hmac-sha1-96", ("sha1", 20, 12, False)),
            (b"hmac-md5", ("md5", 16, 16, False)),
        ):
            self.assertEqual(catalogue.mac(name), MAC(*sizes))


class NoPlainComparisonTests(SynchronousTestCase):
    """
    No MAC, digest or signature is compared with C{==} anywhere. (A C{tag} that
    is may be one of ASN.1's.)
    """

    secretNames = frozenset(["mac", "sig", "signature", "digest", "hexdigest", "hmac"])

    def comparisons(self, source: str) -> list[int]:
        """
        The lines where something with such a name is compared.
        """
        found = []
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Compare) and any(isinstance(o, ast.Eq | ast.NotEq) for o in node.ops):
                for operand in (node.left, *node.comparators):
                    if isinstance(operand, ast.Call):
                        operand = operand.func
                    name = getattr(operand, "attr", getattr(operand, "id", ""))
                    if name.lower().strip("_") in self.secretNames:
                        found.append(node.lineno)
        return found

    def test_finds(self) -> None:
        """
        The test would see one.
        """
        for line in ("if signature == x: pass", "a = self._mac != y", "b = h.digest() == c"):
            self.assertEqual(self.comparisons(line), [1])
        self.assertEqual(self.comparisons("a = len(mac) == 16"), [])

    def test_none(self) -> None:
        """
        There is none in conchlite.
        """
        modules = list(Path(conchlite.__file__).parent.rglob("*.py"))
        self.assertGreater(len(modules), 20)
        found = [(path.name, line) for path in modules for line in self.comparisons(path.read_text())]
        self.assertEqual(found, [])
