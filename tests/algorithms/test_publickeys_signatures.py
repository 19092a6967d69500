"""
How a signature off the wire is judged.
"""

from __future__ import annotations

import functools
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.keyfiles import decodeBase64
from conchlite.algorithms.publickeys.signatures import (
    checkKeySize,
    makeSignature,
    packPublicKey,
    readPublicKey,
    verifyByKey,
    verifySignature,
)
from conchlite.error import (
    BadKeyError,
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    WeakKey,
)
from conchlite.wire.types import Reader, packMPInt, packString
from tests.algorithms.keyvectors import TYPES, keyText

DATA = b"what was signed"


@functools.cache
def privateKey(name: str):
    """
    A private key of the vectors; C{small}: an RSA key of 1024 bits.
    """
    if name == "small":
        return catalogue.keyType(b"ssh-rsa").generate(1024)
    return catalogue.keyFile("private_openssh").load(keyText(f"{name}.openssh"), None).key


@functools.cache
def signed(name: str, algorithm: bytes) -> tuple[bytes, bytes]:
    key = privateKey(name)
    return packPublicKey(key.public_key()), makeSignature(algorithm, key, DATA)


ALGORITHMS = [
    (name, algorithm)
    for name, _, sshType, _ in TYPES
    for algorithm in catalogue.keyType(sshType).signatureAlgorithms
]


def splitSSHSIG(text: bytes) -> tuple[bytes, bytes, bytes]:
    """
    OpenSSH's PROTOCOL.sshsig: the key, what the signature covers, the signature.
    """
    body = text.strip().split(b"-----")[2]
    reader = Reader(decodeBase64(body, "signature"))
    assert reader.fixed(6) == b"SSHSIG"
    assert reader.uint32() == 1
    key, namespace, reserved, hashName, signature = (reader.string() for _ in range(5))
    reader.end()
    digest = hashlib.new(hashName.decode(), b"signed by OpenSSH").digest()
    covered = b"SSHSIG" + b"".join(map(packString, (namespace, reserved, hashName, digest)))
    return key, covered, signature


class VerifySignatureTests(SynchronousTestCase):
    def test_everyAlgorithm(self):
        for name, algorithm in ALGORITHMS:
            blob, signature = signed(name, algorithm)
            self.assertIsNone(verifySignature(algorithm, blob, signature, DATA))
            self.assertIsNone(verifySignature(algorithm, memoryview(blob), memoryview(signature), DATA))
            self.assertRaises(BadSignature, verifySignature, algorithm, blob, signature, DATA + b"\0")

    def test_signedByOpenSSH(self):
        for name, algorithm in [
            ("ed25519", b"ssh-ed25519"),
            ("ecdsa256", b"ecdsa-sha2-nistp256"),
            ("rsa", b"rsa-sha2-512"),
        ]:
            key, covered, signature = splitSSHSIG(keyText(f"{name}.sshsig"))
            self.assertEqual(key, packPublicKey(privateKey(name).public_key()))
            verifySignature(algorithm, key, signature, covered)

    def test_everyBitFlipped(self):
        """
        Of the signature blob, the names and lengths in it included.
        """
        for name, algorithm in [*ALGORITHMS[:4], ("small", b"rsa-sha2-256")]:
            blob, signature = signed(name, algorithm)
            for i in range(8 * len(signature)):
                bad = bytearray(signature)
                bad[i // 8] ^= 1 << (i % 8)
                with self.assertRaises((BadSignature, MalformedMessage)):
                    verifySignature(algorithm, blob, bytes(bad), DATA, minimumRSABits=1024)

    def test_truncatedOrLonger(self):
        for name, algorithm in ALGORITHMS:
            blob, signature = signed(name, algorithm)
            for bad in [signature[:i] for i in range(0, len(signature), 3)] + [signature + b"\0"]:
                self.assertRaises(MalformedMessage, verifySignature, algorithm, blob, bad, DATA)
            for bad in [blob[:-1], blob + b"\0"]:
                self.assertRaises(MalformedMessage, verifySignature, algorithm, bad, signature, DATA)

    def test_signatureNamesTheAgreedAlgorithm(self):
        """
        Row 40: a good signature of another algorithm of the same key is bad.
        """
        blob, signature = signed("rsa", b"rsa-sha2-256")
        verifySignature(b"rsa-sha2-256", blob, signature, DATA)
        self.assertRaises(BadSignature, verifySignature, b"rsa-sha2-512", blob, signature, DATA)
        renamed = packString(b"rsa-sha2-512") + signature[16:]
        self.assertRaises(BadSignature, verifySignature, b"rsa-sha2-512", blob, renamed, DATA)

    def test_sha1(self):
        """
        Row 40: a SHA-1 signature is good where C{ssh-rsa} was agreed on, and
        nowhere else, whatever name stands on it.
        """
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA1

        key = privateKey("rsa")
        blob = packPublicKey(key.public_key())
        made = packString(key.sign(DATA, PKCS1v15(), SHA1()))
        names = (b"ssh-rsa", b"rsa-sha2-256", b"rsa-sha2-512")
        for algorithm in names:
            for name in names:
                signature = packString(name) + made
                if algorithm == name == b"ssh-rsa":
                    verifySignature(algorithm, blob, signature, DATA)
                else:
                    self.assertRaises(BadSignature, verifySignature, algorithm, blob, signature, DATA)
        self.assertEqual(packString(b"ssh-rsa") + made, makeSignature(b"ssh-rsa", key, DATA))

    def test_keyOfAnotherType(self):
        for name, algorithm in ALGORITHMS:
            blob, signature = signed(name, algorithm)
            for _, other in ALGORITHMS:
                if other != algorithm:
                    self.assertRaises(BadSignature, verifySignature, other, blob, signature, DATA)
            for other in (b"", b"ssh-dss", b"\xff"):
                self.assertRaises(BadSignature, verifySignature, other, blob, signature, DATA)

    def test_anotherKey(self):
        for name, algorithm in ALGORITHMS:
            _, signature = signed(name, algorithm)
            sshType = catalogue.keyTypeOfSignature(algorithm)
            isRSA = sshType == b"ssh-rsa"
            other = privateKey("small") if isRSA else catalogue.keyType(sshType).generate(None)
            blob = packPublicKey(other.public_key())
            with self.assertRaises(BadSignature):
                verifySignature(algorithm, blob, signature, DATA, minimumRSABits=1024)

    def test_smallRSAKeys(self):
        """
        Row 51: refused by default, with the name of what allows it.
        """
        blob, signature = signed("small", b"rsa-sha2-512")
        error = self.assertRaises(WeakKey, verifySignature, b"rsa-sha2-512", blob, signature, DATA)
        self.assertIn("1024 bits", str(error))
        self.assertIn("minimumRSABits", str(error))
        verifySignature(b"rsa-sha2-512", blob, signature, DATA, minimumRSABits=1024)

    def test_largeRSAKeys(self):
        blob, signature = signed("rsa", b"rsa-sha2-512")
        verifySignature(b"rsa-sha2-512", blob, signature, DATA, maximumRSABits=2048)
        error = self.assertRaises(
            MalformedMessage,
            verifySignature,
            b"rsa-sha2-512",
            blob,
            signature,
            DATA,
            maximumRSABits=2047,
        )
        self.assertIn("2048 bits", str(error))

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(ALGORITHMS),
        st.sampled_from([b"", b"ssh-rsa", *(algorithm for _, algorithm in ALGORITHMS)]),
        st.binary(max_size=200),
        st.integers(0, 2),
    )
    def test_anyBytes(self, pair: tuple[str, bytes], algorithm: bytes, data: bytes, which: int):
        """
        Row 66: any bytes are refused by one of three errors.
        """
        blob, signature = signed(*pair)
        if which == 0:
            blob = data
        elif which == 1:
            signature = data
        else:
            signature = packString(algorithm) + packString(data)
        with self.assertRaises((BadSignature, MalformedMessage, WeakKey)):
            verifySignature(algorithm, blob, signature, DATA)


class OtherDoorsTests(SynchronousTestCase):
    def test_verifyByKey(self):
        for name, algorithm in [*ALGORITHMS, ("small", b"rsa-sha2-256")]:
            blob, signature = signed(name, algorithm)
            _, key = readPublicKey(blob)
            self.assertIsNone(verifyByKey(key, algorithm, signature, DATA))
            self.assertRaises(BadSignature, verifyByKey, key, algorithm, signature, b"")
            self.assertRaises(BadSignature, verifyByKey, key, b"ssh-dss", signature, DATA)

    def test_makeSignature(self):
        for name, algorithm in ALGORITHMS:
            _, signature = signed(name, algorithm)
            reader = Reader(signature)
            self.assertEqual(reader.string(), algorithm)
            reader.string()
            reader.end()
        key = privateKey("ed25519")
        self.assertRaises(BadSignatureAlgorithmError, makeSignature, b"rsa-sha2-256", key, DATA)
        self.assertRaises(BadKeyError, makeSignature, b"ssh-ed25519", object(), DATA)

    def test_checkKeySize(self):
        small = privateKey("small")
        self.assertRaises(WeakKey, checkKeySize, small)
        self.assertRaises(WeakKey, checkKeySize, small.public_key(), 1025)
        self.assertIsNone(checkKeySize(small, 1024))
        for name, *_ in TYPES:
            self.assertIsNone(checkKeySize(privateKey(name)))
            self.assertIsNone(checkKeySize(privateKey(name).public_key()))

    def test_blobWithNumbersWrittenLong(self):
        """
        OpenSSH reads leading zero bytes that need not be there, and so do we;
        what we write has none.
        """
        blob, _ = signed("rsa", b"rsa-sha2-256")
        n = privateKey("rsa").public_key().public_numbers().n
        long = packString(b"ssh-rsa") + packString(b"\0\0\1\0\1") + packMPInt(n)
        self.assertEqual(packPublicKey(readPublicKey(long)[1]), blob)
