"""
Key types: their blobs, private keys and signatures, against published vectors.
"""

from __future__ import annotations

import functools
import hashlib
import time
from unittest import mock

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.ecdsa import NISTP256, NISTP384, NISTP521
from conchlite.algorithms.publickeys.ed448 import ED448
from conchlite.algorithms.publickeys.ed25519 import ED25519
from conchlite.algorithms.publickeys.eddsa import EdDSA
from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
)
from conchlite.error import (
    BadKeyError,
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    UsageError,
    WeakKey,
)
from conchlite.wire.types import Reader, packMPInt, packString
from tests.algorithms.keyvectors import signatureVectors
from tests.algorithms.vectors import vectors

VECTORS = signatureVectors()
ECDSA_TYPES = {"nistp256": NISTP256, "nistp384": NISTP384, "nistp521": NISTP521}
ALL_TYPES = [ED25519, NISTP256, NISTP384, NISTP521, RSA, ED448]


def number(text: str) -> int:
    return int(text, 16)


def ecdsaPoint(vector: dict) -> bytes:
    size = {"nistp256": 32, "nistp384": 48, "nistp521": 66}[vector["curve"]]
    return b"\4" + number(vector["x"]).to_bytes(size, "big") + number(vector["y"]).to_bytes(size, "big")


def ecdsaBlob(curve: bytes, point: bytes, name: bytes | None = None) -> bytes:
    return packString(name or b"ecdsa-sha2-" + curve) + packString(curve) + packString(point)


class CatalogueTests(SynchronousTestCase):
    """
    Every type of the table is what the table says it is.
    """

    def test_names(self):
        self.assertEqual(
            [
                catalogue.keyType(name)
                for name in catalogue.keyTypes()
                if name != b"ssh-dss" and not catalogue.isSecurityKey(name)
            ],
            ALL_TYPES,
        )
        for name in (*catalogue.keyTypes(), *catalogue.certificateTypes()):
            self.assertEqual(catalogue.keyType(name).name, name)

    def test_everySignatureOfferedIsMade(self):
        for algorithm in catalogue.CLIENT_DEFAULT.signatures:
            keyType = catalogue.keyType(catalogue.keyTypeOfSignature(algorithm))
            self.assertIn(algorithm, keyType.signatureAlgorithms)

    def test_sha1IsLast(self):
        """
        Who takes a key's first algorithm never takes a legacy one.
        """
        for keyType in ALL_TYPES:
            self.assertNotIn(keyType.signatureAlgorithms[0], catalogue.LEGACY_NAMES)
        self.assertEqual((b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"), RSA.signatureAlgorithms)

    def test_noRSAKeyTransport(self):
        """
        Row 45 of the security table: what is not there has no timing.
        """
        for name in (b"rsa1024-sha1", b"rsa2048-sha256"):
            self.assertRaises(UsageError, catalogue.keyExchange, name)


class Ed25519Tests(SynchronousTestCase):
    def test_vectors(self):
        for vector in VECTORS["ed25519"]:
            point, seed = bytes.fromhex(vector["public"]), bytes.fromhex(vector["private"])
            data, signature = bytes.fromhex(vector["message"]), bytes.fromhex(vector["signature"])
            blob = packString(b"ssh-ed25519") + packString(point)
            keyType, key = readPublicKey(blob)
            self.assertIs(keyType, ED25519)
            self.assertEqual(packPublicKey(key), blob)
            ED25519.verify(key, b"ssh-ed25519", signature, data)
            self.assertRaises(BadSignature, ED25519.verify, key, b"ssh-ed25519", signature, data + b"x")
            private = ED25519.readPrivate(Reader(packString(point) + packString(seed + point)))
            self.assertEqual(ED25519.sign(private, b"ssh-ed25519", data), signature)

    def test_badPublicKeys(self):
        for size in (0, 31, 33, 64):
            blob = packString(b"ssh-ed25519") + packString(b"\1" * size)
            self.assertRaises(MalformedMessage, readPublicKey, blob)

    def test_badPrivateKeys(self):
        vector, other = VECTORS["ed25519"][:2]
        point, seed = bytes.fromhex(vector["public"]), bytes.fromhex(vector["private"])
        stranger = bytes.fromhex(other["public"])
        for first, second in [
            (point, seed + stranger),
            (stranger, seed + point),
            (stranger, seed + stranger),
            (point, seed),
            (point[:-1], seed + point),
            (point, seed + point + b"\0"),
            (b"", b""),
        ]:
            reader = Reader(packString(first) + packString(second))
            self.assertRaises(MalformedMessage, ED25519.readPrivate, reader)

    def test_signatureOfWrongLength(self):
        key = ED25519.generate(None)
        signature = ED25519.sign(key, b"ssh-ed25519", b"data")
        for bad in (b"", signature[:-1], signature + b"\0", signature + signature):
            self.assertRaises(BadSignature, ED25519.verify, key.public_key(), b"ssh-ed25519", bad, b"data")

    def test_signatureBeyondTheOrder(self):
        """
        RFC 8032 section 5.1.7: S + L would be a second signature.
        """
        vector = VECTORS["ed25519"][0]
        _, key = readPublicKey(packString(b"ssh-ed25519") + packString(bytes.fromhex(vector["public"])))
        signature = bytes.fromhex(vector["signature"])
        order = 2**252 + 27742317777372353535851937790883648493
        s = int.from_bytes(signature[32:], "little") + order
        bad = signature[:32] + s.to_bytes(32, "little")
        self.assertRaises(BadSignature, ED25519.verify, key, b"ssh-ed25519", bad, b"")


class Ed448Tests(SynchronousTestCase):
    def test_vectors(self):
        """
        RFC 8032 section 7.4, the first two; RFC 8709 for what they are packed in.
        """
        for vector in vectors("ed448"):
            secret, point = bytes.fromhex(vector["private"]), bytes.fromhex(vector["public"])
            data, signature = bytes.fromhex(vector["message"]), bytes.fromhex(vector["signature"])
            private = packString(b"ssh-ed448") + packString(point) + packString(secret + point)
            keyType, key = readPrivateKey(Reader(private))
            self.assertIs(keyType, ED448)
            self.assertEqual(packPublicKey(key.public_key()), packString(b"ssh-ed448") + packString(point))
            self.assertEqual(packPrivateKey(key), private)
            self.assertEqual(ED448.numbers(key), {"a": point, "k": secret})
            self.assertEqual(ED448.numbers(key.public_key()), {"a": point})
            self.assertEqual(ED448.sign(key, b"ssh-ed448", data), signature)
            ED448.verify(readPublicKey(packPublicKey(key.public_key()))[1], b"ssh-ed448", signature, data)

    def test_badKeys(self):
        point, pair = b"\1" * 57, b"\2" * 57 + b"\1" * 57
        for size in (0, 32, 56, 58):
            blob = packString(b"ssh-ed448") + packString(b"\1" * size)
            self.assertRaises(MalformedMessage, readPublicKey, blob)
        good = packPrivateKey(ED448.generate(None))
        for private in (
            packString(point) + packString(pair),
            packString(point[1:]) + packString(pair),
            packString(point) + packString(pair[1:]),
            packString(point) + packString(pair + b"\1"),
            good[13:-1] + bytes((good[-1] ^ 1,)),
        ):
            self.assertRaises(MalformedMessage, ED448.readPrivate, Reader(private))

    def test_everyBitFlipped(self):
        """
        A signature with any bit flipped does not verify; nor does one of
        another length, or of other data.
        """
        key = ED448.generate(None)
        public, signature = key.public_key(), ED448.sign(key, b"ssh-ed448", b"data")
        for bit in range(8 * len(signature)):
            flipped = bytearray(signature)
            flipped[bit // 8] ^= 1 << bit % 8
            self.assertRaises(BadSignature, ED448.verify, public, b"ssh-ed448", bytes(flipped), b"data")
        for wrong in (b"", signature[:-1], signature + b"\0", signature[:64]):
            self.assertRaises(BadSignature, ED448.verify, public, b"ssh-ed448", wrong, b"data")
        self.assertRaises(BadSignature, ED448.verify, public, b"ssh-ed448", signature, b"dato")

    def test_unsupported(self):
        """
        Where cryptography has no Ed448, a key of it is one that cannot be
        read, and none can be made.
        """

        def unsupported(*args: object) -> None:
            raise UnsupportedAlgorithm("not here")

        blob, private = packString(b"\1" * 57), packString(b"\1" * 57) + packString(b"\1" * 114)
        lacking = EdDSA(b"ssh-ed448", "Ed448", 448, 57, (int, int), unsupported, unsupported, unsupported)
        self.assertRaises(UsageError, lacking.generate, None)
        self.assertRaises(MalformedMessage, lacking.read, Reader(blob))
        self.assertRaises(MalformedMessage, lacking.readPrivate, Reader(private))


class ECDSATests(SynchronousTestCase):
    def test_rfc6979(self):
        for vector in VECTORS["ecdsa"]:
            keyType = ECDSA_TYPES[vector["curve"]]
            blob = ecdsaBlob(vector["curve"].encode(), ecdsaPoint(vector))
            found, key = readPublicKey(blob)
            self.assertIs(found, keyType)
            self.assertEqual(packPublicKey(key), blob)
            signature = packMPInt(number(vector["r"])) + packMPInt(number(vector["s"]))
            keyType.verify(key, keyType.name, signature, vector["message"].encode())
            private = blob + packMPInt(number(vector["private"]))
            self.assertEqual(packPrivateKey(readPrivateKey(Reader(private))[1]), private)

    def test_wycheproof(self):
        group = VECTORS["ecdsaWycheproof"]
        _, key = readPublicKey(ecdsaBlob(b"nistp256", ecdsaPoint(group)))
        message = bytes.fromhex(group["message"])
        for test in group["tests"]:
            signature = packMPInt(number(test["r"])) + packMPInt(number(test["s"]))
            if test["result"] == "valid":
                NISTP256.verify(key, NISTP256.name, signature, message)
            else:
                self.assertRaises(BadSignature, NISTP256.verify, key, NISTP256.name, signature, message)

    def test_specialValues(self):
        """
        Every pair of values at the edge of the range is refused.
        """
        _, key = readPublicKey(ecdsaBlob(b"nistp256", ecdsaPoint(VECTORS["ecdsaWycheproof"])))
        n = ec.SECP256R1().group_order
        edges = [-n, -1, 0, 1, n - 1, n, n + 1, 2**256, 2**16000]
        for r in edges:
            for s in edges:
                signature = packMPInt(r) + packMPInt(s)
                self.assertRaises(BadSignature, NISTP256.verify, key, NISTP256.name, signature, b"123400")

    def test_malformedSignatures(self):
        key = NISTP256.generate(None)
        signature = NISTP256.sign(key, NISTP256.name, b"data")
        r = signature[: 4 + signature[3]]
        for bad in [b"", r, signature + b"\0", signature + r, signature[1:], packString(signature)]:
            self.assertRaises(BadSignature, NISTP256.verify, key.public_key(), NISTP256.name, bad, b"data")

    def test_badPublicKeys(self):
        vector = VECTORS["ecdsa"][0]
        point = ecdsaPoint(vector)
        x, odd = point[1:33], point[-1] & 1
        offCurve = point[:-1] + bytes((point[-1] ^ 1,))
        for bad in [
            b"",
            b"\0",  # infinity, as SEC 1 writes it
            b"\0" * 65,
            bytes((2 + odd,)) + x,  # compressed
            bytes((6 + odd,)) + point[1:],  # hybrid
            b"\4" + b"\0" * 64,
            b"\4" + b"\xff" * 64,
            offCurve,
            point[:-1],
            point + b"\0",
        ]:
            self.assertRaises(MalformedMessage, readPublicKey, ecdsaBlob(b"nistp256", bad))

    def test_curveNameMustBeTheTypes(self):
        point = ecdsaPoint(VECTORS["ecdsa"][0])
        for curve in (b"nistp384", b"nistp256 ", b"", b"secp256r1"):
            blob = ecdsaBlob(curve, point, b"ecdsa-sha2-nistp256")
            self.assertRaises(MalformedMessage, readPublicKey, blob)

    def test_badPrivateKeys(self):
        vector = VECTORS["ecdsa"][0]
        blob = ecdsaBlob(b"nistp256", ecdsaPoint(vector))
        value, n = number(vector["private"]), ec.SECP256R1().group_order
        for bad in (0, -value, n, value + n, value + 1, 2**2000):
            self.assertRaises(MalformedMessage, readPrivateKey, Reader(blob + packMPInt(bad)))


def encodedMessage(key, digestInfo: bytes, padding: bytes | None = None) -> bytes:
    """
    A signature whose PKCS#1 padding is whatever the test wants it to be.
    """
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    size = (n.bit_length() + 7) // 8
    if padding is None:
        padding = b"\0\1" + b"\xff" * (size - len(digestInfo) - 3) + b"\0"
    encoded = (padding + digestInfo)[:size]
    assert len(encoded) == size
    return pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes(size, "big")


@functools.cache
def smallRSAKey():
    return RSA.generate(1024)


class RSATests(SynchronousTestCase):
    def setUp(self):
        self.key = smallRSAKey()
        self.public = self.key.public_key()

    def test_wycheproof(self):
        """
        Row 41: the published vectors, through the blob's decoder. The one
        that is "acceptable" there is not here.
        """
        group = VECTORS["rsa"]
        blob = packString(b"ssh-rsa") + packMPInt(group["e"]) + packMPInt(number(group["n"]))
        keyType, key = readPublicKey(blob)
        self.assertIs(keyType, RSA)
        self.assertEqual(packPublicKey(key), blob)
        for test in group["tests"]:
            signature, message = bytes.fromhex(test["signature"]), bytes.fromhex(test["message"])
            if test["result"] == "valid":
                RSA.verify(key, b"rsa-sha2-256", signature, message)
                self.assertRaises(BadSignature, RSA.verify, key, b"rsa-sha2-512", signature, message)
            else:
                self.assertRaises(BadSignature, RSA.verify, key, b"rsa-sha2-256", signature, message)

    def test_lenientPaddings(self):
        """
        Row 41: what Bleichenbacher's forgery of 2006 needs, and its kin.
        """
        digest = hashlib.sha256(b"data").digest()
        prefix = bytes.fromhex("3031300d060960864801650304020105000420")
        good = prefix + digest
        RSA.verify(self.public, b"rsa-sha2-256", encodedMessage(self.key, good), b"data")
        filling = 128 - len(good) - 3
        bad = {
            "garbage behind the hash": (good + b"\0" * 40, b"\0\1" + b"\xff" * 8 + b"\0"),
            "garbage in front of it": (good, b"\0\1" + b"\xff" * 8 + b"\0" + b"\1" * (filling - 8)),
            "block type 2": (good, b"\0\2" + b"\xff" * filling + b"\0"),
            "block type 0": (good, b"\0\0" + b"\xff" * filling + b"\0"),
            "no zero before the hash": (good, b"\0\1" + b"\xff" * (filling + 1)),
            "other padding bytes": (good, b"\0\1" + b"\xfe" * filling + b"\0"),
            "no NULL": (bytes.fromhex("302f300b0609608648016503040201") + b"\4\x20" + digest, None),
            "no algorithm": (digest, None),
            "SHA-1": (bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(b"data").digest(), None),
        }
        for what, (digestInfo, padding) in bad.items():
            if padding is not None:
                digestInfo = digestInfo.ljust(128 - len(padding), b"\0")
            signature = encodedMessage(self.key, digestInfo, padding)
            try:
                RSA.verify(self.public, b"rsa-sha2-256", signature, b"data")
            except BadSignature:
                continue
            self.fail(what)

    def test_leadingZerosMayBeMissing(self):
        """
        A signature that is short by its leading zero bytes is good, as with
        OpenSSH; one that has more of them than the modulus is not.
        """
        for i in range(20000):
            data = b"%d" % i
            signature = RSA.sign(self.key, b"rsa-sha2-256", data)
            if signature.startswith(b"\0"):
                break
        RSA.verify(self.public, b"rsa-sha2-256", signature.lstrip(b"\0"), data)
        self.assertRaises(BadSignature, RSA.verify, self.public, b"rsa-sha2-256", b"\0" + signature, data)

    def test_lengths(self):
        # Without its first byte a signature is still good when that byte is
        # zero (the test before), so this one takes data where it is not.
        signed = (
            (data, RSA.sign(self.key, b"rsa-sha2-512", data)) for data in map(b"%d".__mod__, range(20000))
        )
        data, signature = next((data, signature) for data, signature in signed if signature[0])
        for bad in (b"", b"\0", signature[:-1], signature[1:], signature + b"\0", signature * 2):
            self.assertRaises(BadSignature, RSA.verify, self.public, b"rsa-sha2-512", bad, data)

    def test_signatureNotBelowTheModulus(self):
        n = self.public.public_numbers().n
        signature = int.from_bytes(RSA.sign(self.key, b"rsa-sha2-512", b"data"), "big")
        for bad in (n, n + 1, signature + n):
            if bad.bit_length() <= 1024:
                self.assertRaises(
                    BadSignature, RSA.verify, self.public, b"rsa-sha2-512", bad.to_bytes(128, "big"), b"data"
                )

    def test_boundsBeforeArithmetic(self):
        """
        Row 47: no blob costs more than a moment, whatever its numbers.
        """
        n = self.public.public_numbers().n
        large = (1 << 16384) + 1
        started = time.process_time()
        for e, modulus in [
            (65537, large),
            (65537, (1 << 100_000) + 1),
            (65537, n - 1),
            (65537, -n),
            (65537, 0),
            (65537, 3),
            (0, n),
            (1, n),
            (-3, n),
            (65536, n),
            ((1 << 32) + 1, n),
            (n - 2, n),
        ]:
            blob = packString(b"ssh-rsa") + packMPInt(e) + packMPInt(modulus)
            self.assertRaises(MalformedMessage, readPublicKey, blob)
        self.assertLess(time.process_time() - started, 0.1)

    def test_largestAndSmallest(self):
        for e, modulus in [(3, (1 << 16383) + 1), ((1 << 32) - 1, (1 << 2047) + 1), (35, (1 << 511) + 1)]:
            blob = packString(b"ssh-rsa") + packMPInt(e) + packMPInt(modulus)
            self.assertEqual(packPublicKey(readPublicKey(blob)[1]), blob)

    def test_badPrivateKeys(self):
        numbers = RSA.numbers(self.key)
        order = ("n", "e", "d", "u", "p", "q")

        def packed(**changes: int) -> Reader:
            return Reader(b"".join(packMPInt((numbers | changes)[name]) for name in order))

        self.assertEqual(RSA.numbers(RSA.readPrivate(packed())), numbers)
        for changes in [
            {name: value}
            for name in order
            for value in (0, 1, -1, numbers[name] + 2, -numbers[name], numbers["q"] * 4)
        ] + [{"p": numbers["n"], "q": 1}, {"p": numbers["q"], "q": numbers["p"]}]:
            self.assertRaises(MalformedMessage, RSA.readPrivate, packed(**changes))

    def test_tooSmallForTheHash(self):
        small = RSAPublicNumbers(35, (1 << 400) + 1).public_key()
        self.assertRaises(BadSignature, RSA.verify, small, b"rsa-sha2-512", b"\1" * 51, b"data")

        class SmallKey:
            key_size = 400

            def sign(self, *args: object) -> bytes:
                raise ValueError("Digest or salt length too long for key size.")

        self.assertRaises(WeakKey, RSA.sign, SmallKey(), b"rsa-sha2-512", b"data")

    def test_ownFaultyKeyIsKeptBack(self):
        """
        Row 42: a signer that flips one bit gives nothing away.
        """
        good = self.key

        class FaultyKey:
            key_size = 1024

            def public_key(self):
                return good.public_key()

            def sign(self, *args):
                signature = bytearray(good.sign(*args))
                signature[7] ^= 4
                return bytes(signature)

        self.assertRaises(BadSignature, RSA.sign, FaultyKey(), b"rsa-sha2-512", b"data")


class AllTypesTests(SynchronousTestCase):
    def test_roundTrips(self):
        for keyType in ALL_TYPES:
            key = smallRSAKey() if keyType is RSA else keyType.generate(None)
            self.assertIs(keyTypeOf(key), keyType)
            self.assertIs(keyTypeOf(key.public_key()), keyType)
            public, private = packPublicKey(key.public_key()), packPrivateKey(key)
            self.assertEqual(packPublicKey(readPublicKey(memoryview(public))[1]), public)
            self.assertEqual(packPrivateKey(readPrivateKey(Reader(private))[1]), private)
            for algorithm in keyType.signatureAlgorithms:
                keyType.verify(key.public_key(), algorithm, keyType.sign(key, algorithm, b"x"), b"x")

    def test_truncated(self):
        """
        A blob that is cut anywhere, or has anything behind it, is no key.
        """
        for keyType in ALL_TYPES:
            key = smallRSAKey() if keyType is RSA else keyType.generate(None)
            public, private = packPublicKey(key.public_key()), packPrivateKey(key)
            for i in range(len(public)):
                self.assertRaises(MalformedMessage, readPublicKey, public[:i])
            self.assertRaises(MalformedMessage, readPublicKey, public + b"\0")
            for i in range(len(private)):
                self.assertRaises(MalformedMessage, readPrivateKey, Reader(private[:i]))

    def test_foreignAlgorithms(self):
        for keyType in ALL_TYPES:
            key = smallRSAKey() if keyType is RSA else keyType.generate(None)
            foreign = b"rsa-sha2-256" if keyType is not RSA else b"ssh-ed25519"
            sha1 = b"ssh-rsa-cert-v01@openssh.com" if keyType is RSA else b"ssh-rsa"
            for algorithm in (b"", sha1, foreign, b"ssh-dss"):
                self.assertRaises(BadSignatureAlgorithmError, keyType.sign, key, algorithm, b"x")
                self.assertRaises(BadSignature, keyType.verify, key.public_key(), algorithm, b"\1" * 64, b"x")

    def test_sizes(self):
        self.assertEqual(
            [t.size(t.generate(t.size(t.generate(None)))) for t in ALL_TYPES[:4]], [256, 256, 384, 521]
        )
        self.assertEqual(RSA.size(RSA.generate(1024)), 1024)
        self.assertEqual(ED448.size(ED448.generate(448)), 448)
        for keyType in ALL_TYPES:
            self.assertRaises(UsageError, keyType.generate, 100)
        self.assertRaises(UsageError, RSA.generate, 20000)

    def test_keysThatSSHHasNot(self):
        for key in (
            x25519.X25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP256K1()),
            None,
            b"key",
        ):
            self.assertRaises(BadKeyError, keyTypeOf, key)
        self.assertRaises(BadKeyError, packPublicKey, mock.Mock(spec=x25519.X25519PublicKey))

    def test_unknownTypes(self):
        for name in (b"", b"ssh-tiny", b"ssh-rsa\0", b"rsa-sha2-256", b"\xff" * 300):
            self.assertRaises(MalformedMessage, readPublicKey, packString(name) + packString(b"x"))

    def test_everyFailureOfTheLibraryRefuses(self):
        """
        Row 46: whatever the library raises, the signature is not good.
        """

        class Library:
            key_size = 2048

            def __init__(self, error: Exception) -> None:
                self.error = error

            def verify(self, *args: object) -> None:
                raise self.error

        errors = [InternalError("", []), UnsupportedAlgorithm(""), ValueError("")]
        for keyType, signature in [
            (ED25519, b"\1" * 64),
            (ED448, b"\1" * 114),
            (NISTP256, packMPInt(1) + packMPInt(1)),
            (RSA, b"\1" * 256),
        ]:
            algorithm = keyType.signatureAlgorithms[0]
            for error in errors:
                self.assertRaises(BadSignature, keyType.verify, Library(error), algorithm, signature, b"data")
            self.assertRaises(
                MemoryError, keyType.verify, Library(MemoryError()), algorithm, signature, b"data"
            )

    @settings(max_examples=150, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.builds(
                lambda name, rest: packString(name) + rest,
                st.sampled_from((*catalogue.keyTypes(), *catalogue.certificateTypes())),
                st.one_of(
                    st.binary(max_size=200),
                    st.lists(st.binary(max_size=80).map(packString), max_size=7).map(b"".join),
                ),
            ),
        )
    )
    def test_anyBytes(self, data: bytes):
        """
        Row 66: any bytes are a key or MalformedMessage.
        """
        try:
            keyType, key = readPublicKey(data)
        except MalformedMessage:
            pass
        else:
            self.assertTrue(keyType.owns(key))
        try:
            keyType, key = readPrivateKey(Reader(data))
        except MalformedMessage:
            pass
        else:
            self.assertTrue(keyType.owns(key))
