"""
DSA keys, which are read and verified by, and sign nothing.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.publickeys.dsa import DSA
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    makeSignature,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
    verifySignature,
)
from conchlite.error import (
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    UsageError,
)
from conchlite.ssh.keys import Key
from conchlite.wire.types import Reader, packMPInt, packString
from tests.algorithms.vectors import vectors

VECTORS = vectors("dsa")
P, Q, G, Y = (int(VECTORS[0][name], 16) for name in "pqgy")


def blob(p: int = P, q: int = Q, g: int = G, y: int = Y) -> bytes:
    return packString(b"ssh-dss") + b"".join(map(packMPInt, (p, q, g, y)))


class DSATests(SynchronousTestCase):
    def test_vectors(self) -> None:
        """
        RFC 6979, and no bit of the signature may be another.
        """
        for vector in VECTORS:
            signature = bytes.fromhex(vector["r"] + vector["s"])
            message = vector["message"].encode()
            packed = packString(b"ssh-dss") + packString(signature)
            self.assertIsNone(verifySignature(b"ssh-dss", blob(), packed, message))
            self.assertRaises(BadSignature, verifySignature, b"ssh-dss", blob(), packed, message + b"x")
            _, key = readPublicKey(blob())
            for bit in range(8 * len(signature)):
                flipped = bytearray(signature)
                flipped[bit // 8] ^= 1 << bit % 8
                self.assertRaises(BadSignature, DSA.verify, key, b"ssh-dss", bytes(flipped), message)

    def test_lengths(self) -> None:
        """
        Row 41: r and s have 20 bytes each, and are neither zero nor beyond q.
        """
        _, key = readPublicKey(blob())
        good = bytes.fromhex(VECTORS[0]["r"] + VECTORS[0]["s"])
        r, s = int(VECTORS[0]["r"], 16), int(VECTORS[0]["s"], 16)
        for bad in (
            b"",
            good[:-1],
            good[1:],
            good + b"\0",
            b"\0" + good,
            good[:20] + b"\0" + good[20:],
            bytes(40),
            bytes(20) + good[20:],
            good[:20] + bytes(20),
            b"\xff" * 40,
            (r + Q).to_bytes(21, "big")[-20:] + good[20:],
            good[:20] + Q.to_bytes(20, "big"),
            packMPInt(r) + packMPInt(s),
        ):
            self.assertRaises(BadSignature, DSA.verify, key, b"ssh-dss", bad, b"sample")
        self.assertIsNone(DSA.verify(key, b"ssh-dss", good, b"sample"))

    def test_otherAlgorithms(self) -> None:
        """
        Row 40: the names of the key, of the signature and of what was agreed
        on are one.
        """
        good = bytes.fromhex(VECTORS[0]["r"] + VECTORS[0]["s"])
        for agreed, named in ((b"ssh-dss", b"ssh-rsa"), (b"ssh-rsa", b"ssh-dss"), (b"ssh-rsa", b"ssh-rsa")):
            packed = packString(named) + packString(good)
            self.assertRaises(BadSignature, verifySignature, agreed, blob(), packed, b"sample")
        _, key = readPublicKey(blob())
        self.assertRaises(BadSignature, DSA.verify, key, b"ssh-rsa", good, b"sample")

    def test_publicKeys(self) -> None:
        """
        Blobs are read and written, and L{Key} knows them.
        """
        keyType, key = readPublicKey(blob())
        self.assertIs(keyType, DSA)
        self.assertEqual(packPublicKey(key), blob())
        self.assertIs(keyTypeOf(key), DSA)
        shown = Key(key)
        self.assertEqual((shown.type(), shown.sshType(), shown.size()), ("DSA", b"ssh-dss", 1024))
        self.assertEqual(shown.data(), {"p": P, "q": Q, "g": G, "y": Y})
        self.assertEqual(Key.fromString(shown.toString("openssh")), shown)
        self.assertTrue(shown.isPublic())

    def test_boundsBeforeArithmetic(self) -> None:
        """
        Row 47: sizes that SSH does not have, and numbers out of range.
        """
        for bad in (
            blob(p=P >> 1 | 1),
            blob(p=P * 2 + 1),
            blob(p=(1 << 4095) | 1),
            blob(p=(1 << 100_000) | 1),
            blob(q=Q >> 1 | 1),
            blob(q=(1 << 255) | 1),
            blob(p=-P),
            blob(q=-Q),
            blob(p=P - 1),
            blob(q=Q - 1),
            *(blob(g=g) for g in (-1, 0, 1, P, P + 1)),
            *(blob(y=y) for y in (-1, 0, 1, P, P + 1)),
        ):
            self.assertRaises(MalformedMessage, readPublicKey, bad)

    def test_truncated(self) -> None:
        for size in range(len(blob())):
            self.assertRaises(MalformedMessage, readPublicKey, blob()[:size])
        self.assertRaises(MalformedMessage, readPublicKey, blob() + b"\0")

    def test_noPrivateKeys(self) -> None:
        """
        None is made, written or signed with; those in files are
        L{tests.algorithms.test_keyfiles_dsa}'s.
        """
        self.assertRaises(UsageError, DSA.generate, None)
        self.assertRaises(UsageError, Key.generate, "ssh-dss")
        key = dsa.DSAPublicNumbers(Y, dsa.DSAParameterNumbers(P, Q, G)).public_key()
        self.assertRaises(UsageError, packPrivateKey, key)
        self.assertRaises(BadSignatureAlgorithmError, makeSignature, b"ssh-dss", key, b"x")
        own = dsa.generate_private_key(1024)
        self.assertRaises(UsageError, packPrivateKey, own)
        self.assertRaises(BadSignatureAlgorithmError, makeSignature, b"ssh-dss", own, b"x")

    def test_privateBlobs(self) -> None:
        """
        The private number has to be the public one's.
        """
        own = dsa.generate_private_key(1024)
        x, public = own.private_numbers().x, packPublicKey(own.public_key())
        q = own.parameters().parameter_numbers().q
        _, key = readPrivateKey(Reader(public + packMPInt(x)))
        self.assertEqual(packPublicKey(DSA.publicHalf(key)), public)
        for bad in (-1, 0, x + 1, q, q + x, 1 << 100_000):
            self.assertRaises(MalformedMessage, readPrivateKey, Reader(public + packMPInt(bad)))
        for bad in (blob(p=(1 << 100_000) | 1), blob(q=(1 << 255) | 1), blob(y=P)):
            self.assertRaises(MalformedMessage, readPrivateKey, Reader(bad + packMPInt(5)))

    def test_largerModulus(self) -> None:
        """
        What some old servers have: 2048 bits, and a subgroup that fits SHA-1.
        """
        (vector,) = vectors("dsa2048")
        p, q, g, y = (int(vector[name], 16) for name in "pqgy")
        _, key = readPublicKey(blob(p, q, g, y))
        signature = bytes.fromhex(vector["r"] + vector["s"])
        self.assertIsNone(DSA.verify(key, b"ssh-dss", signature, vector["message"].encode()))

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=45), st.binary(max_size=8))
    def test_anySignature(self, signature: bytes, data: bytes) -> None:
        _, key = readPublicKey(blob())
        self.assertRaises(BadSignature, DSA.verify, key, b"ssh-dss", signature, data)

    def test_againstTheLibrary(self) -> None:
        """
        What a DSA key signs, packed as RFC 4253 section 6.6 has it, is good.
        """
        own = dsa.generate_private_key(1024)
        _, public = readPublicKey(packPublicKey(own.public_key()))
        for message in (b"", b"x" * 1000):
            r, s = decode_dss_signature(own.sign(message, SHA1()))
            DSA.verify(public, b"ssh-dss", r.to_bytes(20, "big") + s.to_bytes(20, "big"), message)
