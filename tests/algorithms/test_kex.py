"""
Key exchange methods: security.md rows 33 to 36.

Finite fields have a file of their own, L{tests.algorithms.test_kexfields}.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.kex import ecdh
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import Reader, packMPInt, packString
from tests.algorithms.vectors import vectors


class MethodTests:
    """
    What holds for every method.

    @cvar names: the method's names.
    @cvar hashName: its hash.
    @cvar sizes: of the client's and of the server's public value.
    """

    names: tuple[bytes, ...]
    hashName: str
    sizes: tuple[int, int]

    def setUp(self) -> None:
        if not catalogue.available(self.names):
            raise SkipTest("the installed cryptography cannot do it")
        self.method: Any = catalogue.keyExchange(self.names[0])

    def secretOf(self, packed: bytes) -> Any:
        """
        The secret as a number, which also says that it is packed as an mpint.
        """
        reader = Reader(packed)
        secret = reader.mpint()
        reader.end()
        self.assertEqual(packed, packMPInt(secret))
        return secret

    def test_names(self) -> None:
        """
        All the names stand for the one method; its hash is the one the RFC says.
        """
        for name in self.names:
            self.assertIs(catalogue.keyExchange(name), self.method)
        self.assertEqual(self.method.hashName, self.hashName)
        self.assertIs(self.method.choosesGroup, False)

    def test_bothAgree(self) -> None:
        """
        Both sides come to one secret, each time to another.
        """
        secrets = set()
        for _ in range(3):
            clientPublic, private = self.method.keypair()
            serverPublic, secret = self.method.encapsulate(clientPublic)
            self.assertEqual((len(clientPublic), len(serverPublic)), self.sizes)
            self.assertEqual(self.method.decapsulate(private, serverPublic), secret)
            self.secretOf(secret)
            secrets |= {secret, clientPublic, serverPublic}
        self.assertEqual(len(secrets), 9)

    def assertRefused(self, clientPublic: bytes | None, serverPublic: bytes | None) -> None:
        """
        Neither side takes the value.
        """
        if clientPublic is not None:
            with self.assertRaises(KeyExchangeFailed) as caught:
                self.method.encapsulate(clientPublic)
            self.assertEqual(caught.exception.reason, 3)
        if serverPublic is not None:
            _, private = self.method.keypair()
            with self.assertRaises(KeyExchangeFailed) as caught:
                self.method.decapsulate(private, serverPublic)
            self.assertEqual(caught.exception.reason, 3)

    def test_lengths(self) -> None:
        """
        A public value of another length is refused, in both roles.
        """
        clientPublic, _ = self.method.keypair()
        serverPublic, _ = self.method.encapsulate(clientPublic)
        for size in (0, 1, 31, 32, 33, 64, 65, 66, 96, 97, 133, 1119, 1120, 1184, 1215, 1216, 1217):
            self.assertRefused(
                (clientPublic * 40)[:size] if size != len(clientPublic) else None,
                (serverPublic * 40)[:size] if size != len(serverPublic) else None,
            )

    def test_anyBytes(self) -> None:
        """
        Whatever a peer sends ends in a secret or in L{KeyExchangeFailed}.
        """
        _, private = self.method.keypair()
        clientSize, serverSize = self.sizes

        @settings(max_examples=25, deadline=None, database=None)
        @given(
            st.binary(max_size=8) | st.binary(min_size=clientSize, max_size=clientSize),
            st.binary(max_size=8) | st.binary(min_size=serverSize, max_size=serverSize),
        )
        def check(clientPublic: bytes, serverPublic: bytes) -> None:
            for attempt in (
                lambda: self.method.encapsulate(clientPublic)[1],
                lambda: self.method.decapsulate(private, serverPublic),
            ):
                try:
                    secret = attempt()
                except KeyExchangeFailed:
                    continue
                self.assertIsInstance(secret, bytes)

        check()


# The u-coordinates of order 1, 2, 4 and 8 on the curve and on its twist, below
# 2^255 in each form that X25519 reads as one of them.
_FIELD = 2**255 - 19
_ORDER_EIGHT = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = (0, 1, *_ORDER_EIGHT, _FIELD - 1, _FIELD, _FIELD + 1)


class Curve25519Tests(MethodTests, SynchronousTestCase):
    names = (b"curve25519-sha256", b"curve25519-sha256@libssh.org")
    hashName = "sha256"
    sizes = (32, 32)

    def test_vectors(self) -> None:
        """
        The secret of RFC 7748 is read most significant byte first.
        """
        for vector in vectors("x25519"):
            private = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["private"]))
            secret = self.method.decapsulate(private, bytes.fromhex(vector["public"]))
            self.assertEqual(self.secretOf(secret), int(vector["shared"], 16))

    def test_lowOrder(self) -> None:
        """
        The seven values whose secret is zero are refused, with the highest
        bit, that X25519 ignores, as well as without.
        """
        self.assertEqual(len(set(LOW_ORDER)), 7)
        for value, high in itertools.product(LOW_ORDER, (0, 1 << 255)):
            public = (value | high).to_bytes(32, "little")
            self.assertRefused(public, public)


class ECDHTests(MethodTests):
    """
    What holds for each of the three curves.
    """

    curve: type[ec.EllipticCurve]
    # The prime of the curve's field, FIPS 186.
    field: int

    def test_vectors(self) -> None:
        """
        NIST's vectors: the secret is the x-coordinate, as a number.
        """
        mine = [v for v in vectors("ecdh") if v["curve"].encode() in self.names[0]]
        self.assertEqual(len(mine), 3)
        for vector in mine:
            private = ec.derive_private_key(int(vector["private"], 16), self.curve())
            self.assertEqual(
                ecdh.NISTCurve(self.curve()).encode(private.public_key()).hex(), vector["ownPublic"]
            )
            secret = self.method.decapsulate(private, bytes.fromhex(vector["public"]))
            self.assertEqual(self.secretOf(secret), int(vector["shared"], 16))

    def test_notOnTheCurve(self) -> None:
        """
        A point that is not on the curve is refused: with the coordinates that
        Wycheproof tries, and next to a good one.
        """
        size = (self.sizes[0] - 1) // 2
        edges = (0, 1, self.field - 1, self.field)
        for x, y in itertools.product(edges, edges):
            point = b"\4" + x.to_bytes(size, "big") + y.to_bytes(size, "big")
            self.assertRefused(point, point)
        good, _ = self.method.keypair()
        for index in (1, size, size + 1, 2 * size):
            point = bytearray(good)
            point[index] ^= 1
            self.assertRefused(bytes(point), bytes(point))

    def test_coordinateBeyondTheField(self) -> None:
        """
        A coordinate is below the field's prime: its other form is refused.
        """
        size = (self.sizes[0] - 1) // 2
        good, _ = self.method.keypair()
        x = int.from_bytes(good[1 : 1 + size], "big")
        if (x + self.field).bit_length() <= 8 * size:
            point = b"\4" + (x + self.field).to_bytes(size, "big") + good[1 + size :]
            self.assertRefused(point, point)
        point = b"\4" + b"\xff" * (2 * size)
        self.assertRefused(point, point)

    def test_otherForms(self) -> None:
        """
        The point at infinity, compressed and hybrid points are refused, a
        compressed one in the length of an uncompressed one too.
        """
        good, _ = self.method.keypair()
        size = (self.sizes[0] - 1) // 2
        parity = good[-1] & 1
        for point in (
            b"\0",
            b"\0" * len(good),
            bytes((2 + parity,)) + good[1 : 1 + size],
            bytes((2 + parity,)) + good[1:],
            bytes((6 + parity,)) + good[1:],
            bytes((5,)) + good[1:],
        ):
            self.assertRefused(point, point)


class NISTP256Tests(ECDHTests, SynchronousTestCase):
    names = (b"ecdh-sha2-nistp256",)
    hashName = "sha256"
    sizes = (65, 65)
    curve = ec.SECP256R1
    field = 2**256 - 2**224 + 2**192 + 2**96 - 1

    def test_zeroSecret(self) -> None:
        """
        A secret of zero is lawful on this curve; it is the empty mpint.
        Wycheproof, ecdh_secp256r1_ecpoint, test 3.
        """
        private = ec.derive_private_key(
            0x0A0D622A47E48F6BC1038ACE438C6F528AA00AD2BD1DA5F13EE46BF5F633D71A, ec.SECP256R1()
        )
        public = (
            "0458fd4168a87795603e2b04390285bdca6e57de6027fe211dd9d25e2212d29e62"
            "080d36bd224d7405509295eed02a17150e03b314f96da37445b0d1d29377d12c"
        )
        self.assertEqual(self.method.decapsulate(private, bytes.fromhex(public)), b"\0\0\0\0")


class NISTP384Tests(ECDHTests, SynchronousTestCase):
    names = (b"ecdh-sha2-nistp384",)
    hashName = "sha384"
    sizes = (97, 97)
    curve = ec.SECP384R1
    field = 2**384 - 2**128 - 2**96 + 2**32 - 1


class NISTP521Tests(ECDHTests, SynchronousTestCase):
    names = (b"ecdh-sha2-nistp521",)
    hashName = "sha512"
    sizes = (133, 133)
    curve = ec.SECP521R1
    field = 2**521 - 1


class MLKEMTests(MethodTests, SynchronousTestCase):
    names = (b"mlkem768x25519-sha256",)
    hashName = "sha256"
    sizes = (1216, 1120)

    def secretOf(self, packed: bytes) -> bytes:
        """
        The secret, which is a string of 32 bytes and no mpint.
        """
        reader = Reader(packed)
        secret = reader.string()
        reader.end()
        self.assertEqual(len(secret), 32)
        return secret

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

    def test_coefficients(self) -> None:
        """
        A coefficient of q or more is refused wherever it stands; q - 1 is good.
        """
        clientPublic, _ = self.method.keypair()

        def replacing(index: int, coefficient: int) -> bytes:
            # Two coefficients of 12 bits share three bytes, least significant bits first.
            public = bytearray(clientPublic)
            start = index // 2 * 3
            three = int.from_bytes(public[start : start + 3], "little")
            shift = 12 * (index % 2)
            three = three & ~(0xFFF << shift) | coefficient << shift
            public[start : start + 3] = three.to_bytes(3, "little")
            return bytes(public)

        for index in (0, 1, 255, 256, 511, 766, 767):
            for coefficient in (3329, 3330, 4095):
                self.assertRefused(replacing(index, coefficient), None)
            self.secretOf(self.method.encapsulate(replacing(index, 3328))[1])

    def test_lowOrder(self) -> None:
        """
        X25519's half is judged like X25519 alone.
        """
        clientPublic, _ = self.method.keypair()
        serverPublic, _ = self.method.encapsulate(clientPublic)
        for value in LOW_ORDER:
            low = value.to_bytes(32, "little")
            self.assertRefused(clientPublic[:-32] + low, serverPublic[:-32] + low)

    def test_bothHalvesCount(self) -> None:
        """
        A change of either half of the server's value changes the secret.
        """
        clientPublic, private = self.method.keypair()
        serverPublic, secret = self.method.encapsulate(clientPublic)
        for index in (0, 1087, 1088, 1100):
            other = bytearray(serverPublic)
            other[index] ^= 1
            self.assertNotEqual(self.method.decapsulate(private, bytes(other)), secret)
