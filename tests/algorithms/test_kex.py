"""
Key exchange on elliptic curves: rows 33 to 35.

Hybrids and finite fields have files of their own,
L{tests.algorithms.test_kexhybrids} and L{tests.algorithms.test_kexfields}.
"""

from __future__ import annotations

import itertools

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.kex import ecdh
from tests.algorithms.kexcases import LOW_ORDER, MethodTests
from tests.algorithms.vectors import vectors


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
        Row 33: the seven values whose secret is zero are refused, in both
        roles, with the highest bit, that X25519 ignores, as well as without.
        """
        self.assertEqual(len(set(LOW_ORDER)), 7)
        for value, high in itertools.product(LOW_ORDER, (0, 1 << 255)):
            public = (value | high).to_bytes(32, "little")
            self.assertRefused(public, public)


# The same on Curve448 and its twist: order 1, 2 and 4.
_FIELD_448 = 2**448 - 2**224 - 1
_LOW_ORDER_448 = (0, 1, _FIELD_448 - 1, _FIELD_448, _FIELD_448 + 1)


class Curve448Tests(MethodTests, SynchronousTestCase):
    names = (b"curve448-sha512",)
    hashName = "sha512"
    sizes = (56, 56)

    def test_vectors(self) -> None:
        """
        The secret of RFC 7748 is read most significant byte first.
        """
        from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey

        for vector in vectors("x448"):
            private = X448PrivateKey.from_private_bytes(bytes.fromhex(vector["private"]))
            secret = self.method.decapsulate(private, bytes.fromhex(vector["public"]))
            self.assertEqual(self.secretOf(secret), int(vector["shared"], 16))

    def test_lowOrder(self) -> None:
        """
        Row 33: the values whose secret is zero are refused, in both roles.
        """
        for value in _LOW_ORDER_448:
            public = value.to_bytes(56, "little")
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
        Row 35: a point that is not on the curve is refused: with the
        coordinates that Wycheproof tries, and next to a good one.
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
        Row 35: a coordinate is below the field's prime: its other form is
        refused.
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
        Row 35: the point at infinity, compressed and hybrid points are refused,
        a compressed one in the length of an uncompressed one too.
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
