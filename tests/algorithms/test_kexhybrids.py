"""
Hybrid key exchange: row 36, and rows 33 to 35 for its second half.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.kex import hybrid
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import Reader, packString
from tests.algorithms.kexcases import LOW_ORDER, MethodTests
from tests.algorithms.vectors import vectors


class HybridTests(MethodTests):
    """
    What holds for each hybrid.

    @cvar curveSize: the bytes of the second half of a public value.
    """

    curveSize: int

    def secretOf(self, packed: bytes) -> bytes:
        """
        The secret, which is a string as long as the hash, and no mpint.
        """
        reader = Reader(packed)
        secret = reader.string()
        reader.end()
        self.assertEqual(len(secret), hashlib.new(self.hashName).digest_size)
        return secret

    def test_bothHalvesCount(self) -> None:
        """
        Row 36: a change of either half of the server's value, where it can be
        changed, changes the secret.
        """
        clientPublic, private = self.method.keypair()
        serverPublic, secret = self.method.encapsulate(clientPublic)
        other, _ = self.method.encapsulate(clientPublic)
        for changed in (
            serverPublic[: -self.curveSize] + other[-self.curveSize :],
            other[: -self.curveSize] + serverPublic[-self.curveSize :],
            bytes((serverPublic[0] ^ 1,)) + serverPublic[1:],
        ):
            self.assertNotEqual(self.method.decapsulate(private, changed), secret)

    def test_halvesSwapped(self) -> None:
        """
        Row 36: the curve's value in front, the mechanism's behind, is refused:
        what then stands at the curve's place is none of its values, or the
        secret is another.
        """
        clientPublic, private = self.method.keypair()
        serverPublic, secret = self.method.encapsulate(clientPublic)
        swapped = serverPublic[-self.curveSize :] + serverPublic[: -self.curveSize]
        try:
            self.assertNotEqual(self.method.decapsulate(private, swapped), secret)
        except KeyExchangeFailed:
            pass


class X25519HybridTests(HybridTests):
    """
    What holds for a hybrid with X25519.
    """

    curveSize = 32

    def test_lowOrder(self) -> None:
        """
        Row 33: X25519's half is judged like X25519 alone, in both roles.
        """
        clientPublic, _ = self.method.keypair()
        serverPublic, _ = self.method.encapsulate(clientPublic)
        for value, high in itertools.product(LOW_ORDER, (0, 1 << 255)):
            low = (value | high).to_bytes(32, "little")
            self.assertRefused(clientPublic[:-32] + low, serverPublic[:-32] + low)


class ECDHHybridTests(HybridTests):
    """
    What holds for a hybrid with one of NIST's curves.
    """

    def test_badPoints(self) -> None:
        """
        Row 35: the point's half is judged like ECDH alone, in both roles.
        """
        clientPublic, _ = self.method.keypair()
        serverPublic, _ = self.method.encapsulate(clientPublic)
        size = self.curveSize
        offCurve = bytearray(clientPublic[-size:])
        offCurve[-1] ^= 1
        compressed = bytes((2 + (clientPublic[-1] & 1),)) + clientPublic[1 - size :]
        for point in (
            bytes(offCurve),
            compressed,
            bytes(size),
            b"\4" + bytes(size - 1),
            b"\4" + b"\xff" * (size - 1),
        ):
            self.assertRefused(clientPublic[:-size] + point, serverPublic[:-size] + point)


class MLKEMTests(HybridTests):
    """
    What holds for a hybrid with ML-KEM.

    @cvar rank: how many polynomials of 256 coefficients a key consists of.
    """

    rank: int

    def test_coefficients(self) -> None:
        """
        Row 36: a coefficient of q or more in the client's key is refused
        wherever it stands (FIPS 203 section 7.2); q - 1 is good.
        """
        clientPublic, _ = self.method.keypair()

        def replacing(index: int, coefficient: int) -> bytes:
            # Two coefficients of 12 bits share three bytes, least significant
            # bits first.
            public = bytearray(clientPublic)
            start = index // 2 * 3
            three = int.from_bytes(public[start : start + 3], "little")
            shift = 12 * (index % 2)
            three = three & ~(0xFFF << shift) | coefficient << shift
            public[start : start + 3] = three.to_bytes(3, "little")
            return bytes(public)

        last = 256 * self.rank - 1
        for index in (0, 1, 255, 256, 511, last - 1, last):
            for coefficient in (3329, 3330, 4095):
                self.assertRefused(replacing(index, coefficient), None)
            self.secretOf(self.method.encapsulate(replacing(index, 3328))[1])


class MLKEM768X25519Tests(MLKEMTests, X25519HybridTests, SynchronousTestCase):
    names = (b"mlkem768x25519-sha256",)
    hashName = "sha256"
    sizes = (1216, 1120)
    rank = 3

    def test_vectors(self) -> None:
        """
        The secret is SHA-256 of ML-KEM's published secret and X25519's.
        """
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        x25519 = vectors("x25519")[0]
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(x25519["private"]))
        for vector in vectors("mlkem768"):
            key = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(vector["d"] + vector["z"]))
            self.assertEqual(key.public_key().public_bytes_raw().hex(), vector["encapsulationKey"])
            packed = self.method.decapsulate(
                (key, private), bytes.fromhex(vector["ciphertext"] + x25519["public"])
            )
            both = bytes.fromhex(vector["shared"] + x25519["shared"])
            self.assertEqual(packed, packString(hashlib.sha256(both).digest()))

    def test_acceptsPublishedKey(self) -> None:
        """
        The client's value is the encapsulation key, then X25519's value.
        """
        x25519 = vectors("x25519")[0]
        for vector in vectors("mlkem768"):
            public = bytes.fromhex(vector["encapsulationKey"] + x25519["public"])
            serverPublic, secret = self.method.encapsulate(public)
            self.assertEqual(len(serverPublic), 1120)
            self.secretOf(secret)


class MLKEM768NISTP256Tests(MLKEMTests, ECDHHybridTests, SynchronousTestCase):
    names = (b"mlkem768nistp256-sha256",)
    hashName = "sha256"
    sizes = (1184 + 65, 1088 + 65)
    curveSize = 65
    rank = 3

    def test_vectors(self) -> None:
        """
        The secret is SHA-256 of ML-KEM's published secret and the x-coordinate
        in all its 32 bytes, a zero (Wycheproof, ecdh_secp256r1_ecpoint, test 3)
        too.
        """
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        ecdh = next(vector for vector in vectors("ecdh") if vector["curve"] == "nistp256")
        zero = (
            "0a0d622a47e48f6bc1038ace438c6f528aa00ad2bd1da5f13ee46bf5f633d71a",
            "0458fd4168a87795603e2b04390285bdca6e57de6027fe211dd9d25e2212d29e62"
            "080d36bd224d7405509295eed02a17150e03b314f96da37445b0d1d29377d12c",
            "00" * 32,
        )
        kem = vectors("mlkem768")[0]
        key = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(kem["d"] + kem["z"]))
        for number, public, shared in ((ecdh["private"], ecdh["public"], ecdh["shared"]), zero):
            private = ec.derive_private_key(int(number, 16), ec.SECP256R1())
            packed = self.method.decapsulate((key, private), bytes.fromhex(kem["ciphertext"] + public))
            both = bytes.fromhex(kem["shared"] + shared)
            self.assertEqual(packed, packString(hashlib.sha256(both).digest()))


class MLKEM1024NISTP384Tests(MLKEMTests, ECDHHybridTests, SynchronousTestCase):
    names = (b"mlkem1024nistp384-sha384",)
    hashName = "sha384"
    sizes = (1568 + 97, 1568 + 97)
    curveSize = 97
    rank = 4

    def test_vectors(self) -> None:
        """
        The secret is SHA-384 of ML-KEM's secret and the published x-coordinate.
        """
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey

        ecdh = next(vector for vector in vectors("ecdh") if vector["curve"] == "nistp384")
        private = ec.derive_private_key(int(ecdh["private"], 16), ec.SECP384R1())
        key = MLKEM1024PrivateKey.generate()
        postQuantum, ciphertext = key.public_key().encapsulate()
        packed = self.method.decapsulate((key, private), ciphertext + bytes.fromhex(ecdh["public"]))
        both = postQuantum + bytes.fromhex(ecdh["shared"])
        self.assertEqual(packed, packString(hashlib.sha384(both).digest()))


class SNTRUP761X25519Tests(X25519HybridTests, SynchronousTestCase):
    names = (b"sntrup761x25519-sha512", b"sntrup761x25519-sha512@openssh.com")
    hashName = "sha512"
    sizes = (1158 + 32, 1039 + 32)

    def test_vectors(self) -> None:
        """
        The secret is SHA-512 of the mechanism's secret and X25519's published
        one.
        """
        from conchlite.algorithms.kex import sntrup761

        x25519 = vectors("x25519")[0]
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(x25519["private"]))
        key = sntrup761.generate()
        ciphertext, postQuantum = sntrup761.encapsulate(key.public)
        packed = self.method.decapsulate((key, private), ciphertext + bytes.fromhex(x25519["public"]))
        both = postQuantum + bytes.fromhex(x25519["shared"])
        self.assertEqual(packed, packString(hashlib.sha512(both).digest()))


class Recorded:
    """
    A mechanism and a curve in one, which writes down what it is asked for; it
    refuses C{bad} where a half is read, and C{small} where it is used.
    """

    publicSize = 5
    ciphertextSize = 5

    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    def keypair(self) -> tuple[bytes, bytes]:
        self._log.append(self._name + " keypair")
        return b"ours.", b"private"

    def read(self, public: bytes) -> bytes:
        self._log.append(self._name + " read")
        if public == b"bad..":
            raise KeyExchangeFailed(self._name)
        return public

    def agree(self, private: bytes, peer: bytes) -> bytes:
        self._log.append(self._name + " agree")
        if peer == b"small":
            raise KeyExchangeFailed(self._name)
        return b"agreed"

    def encapsulate(self, peer: bytes) -> tuple[bytes, bytes]:
        self._log.append(self._name + " encapsulate")
        return b"ciphr", b"encapsulated"

    def decapsulate(self, private: bytes, ciphertext: bytes) -> bytes:
        self._log.append(self._name + " decapsulate")
        return b"encapsulated"


class OrderTests(SynchronousTestCase):
    """
    Row 36: both halves are judged before either is used.
    """

    def setUp(self) -> None:
        self.log: list[str] = []
        self.method: Any = hybrid.Hybrid(Recorded("kem", self.log), Recorded("curve", self.log), "sha256")
        self.good = packString(hashlib.sha256(b"encapsulatedagreed").digest())

    def test_server(self) -> None:
        """
        Row 36: a server makes no key and encapsulates nothing for a client
        with one bad half.
        """
        public, secret = self.method.encapsulate(b"good.good.")
        self.assertEqual((public, secret), (b"ciphrours.", self.good))
        for halves in (b"bad..good.", b"good.bad.."):
            del self.log[:]
            self.assertRaises(KeyExchangeFailed, self.method.encapsulate, halves)
            self.assertEqual([entry for entry in self.log if "read" not in entry], [])
        del self.log[:]
        self.assertRaises(KeyExchangeFailed, self.method.encapsulate, b"good.small")
        self.assertNotIn("kem encapsulate", self.log)

    def test_client(self) -> None:
        """
        Row 36: a client decapsulates nothing from a server whose value on the
        curve is bad.
        """
        private = (b"kem", b"curve")
        self.assertEqual(self.method.decapsulate(private, b"ciphrgood."), self.good)
        for halves in (b"ciphrbad..", b"ciphrsmall", b"ciphrgood", b"ciphrgood.."):
            del self.log[:]
            self.assertRaises(KeyExchangeFailed, self.method.decapsulate, private, halves)
            self.assertNotIn("kem decapsulate", self.log)
