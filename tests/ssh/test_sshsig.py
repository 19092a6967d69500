"""
Signatures of files, from ssh-keygen -Y sign and from here.
"""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.keyfiles import armor, unarmor
from conchlite.error import BadSignature, UsageError, WeakKey
from conchlite.ssh import sshsig
from conchlite.ssh.certificates import FOREVER
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import USER, FileSignature
from tests.algorithms.keyvectors import keyText

MESSAGE = b"signed by OpenSSH"


MAGIC = b"SSHSIG"
LINES = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----")


def unpacked(signature: bytes) -> bytes:
    return unarmor(LINES[0], signature, LINES[1], "signature")


def packed(content: bytes) -> bytes:
    return armor(LINES[0], content, LINES[1])


def content(signature: bytes) -> FileSignature:
    return FileSignature.unpack(unpacked(signature).removeprefix(MAGIC))


def repacked(signature: bytes, /, **changes: object) -> bytes:
    """
    A signature of which a test chooses some fields.
    """
    fields = vars(content(signature)) | changes
    return packed(MAGIC + FileSignature(**fields).pack())


class VerifyTests(SynchronousTestCase):
    def test_ofOpenSSH(self):
        for name in ("ed25519", "ecdsa256", "rsa"):
            signature, public = keyText(f"{name}.sshsig"), Key.fromString(keyText(f"{name}.pub"))
            for text in (signature, signature.decode(), signature.replace(b"\n", b"\r\n")):
                for data in (MESSAGE, io.BytesIO(MESSAGE)):
                    self.assertEqual(sshsig.verify(text, data, "conchlite"), public)

    def test_refused(self):
        signature = keyText("ed25519.sshsig")
        self.assertTrue(sshsig.verify(repacked(signature), MESSAGE, b"conchlite"))
        for bad, data, namespace, said in [
            (signature, MESSAGE + b"x", "conchlite", "does not verify"),
            (signature, MESSAGE, "file", "for conchlite, where one for file"),
            (repacked(signature, namespace=b"file"), MESSAGE, "file", "does not verify"),
            (repacked(signature, hashAlgorithm=b"sha256"), MESSAGE, "conchlite", "does not verify"),
            (repacked(signature, hashAlgorithm=b"sha1"), MESSAGE, "conchlite", "hash sha1"),
            (repacked(signature, version=2), MESSAGE, "conchlite", "version 2"),
            (repacked(signature, publicKey=b"x"), MESSAGE, "conchlite", "cannot be read"),
            (repacked(signature, signature=b"x"), MESSAGE, "conchlite", "cannot be read"),
            (repacked(signature, publicKey=Key.generate().blob()), MESSAGE, "conchlite", "does not verify"),
            (signature.replace(b"U1NI", b"V1NI", 1), MESSAGE, "conchlite", "no signature"),
            (signature[:-40], MESSAGE, "conchlite", "begin and end"),
            (b"", MESSAGE, "conchlite", "begin and end"),
        ]:
            refused = self.assertRaises(BadSignature, sshsig.verify, bad, data, namespace)
            self.assertIn(said, str(refused))
        self.assertRaises(UsageError, sshsig.verify, signature, MESSAGE, "")

    def test_reserved(self):
        """
        As ssh-keygen does, what is reserved is taken for empty: signed it
        never is.
        """
        signature = repacked(keyText("ed25519.sshsig"), reserved=b"more")
        self.assertTrue(sshsig.verify(signature, MESSAGE, "conchlite"))

    def test_noSHA1(self):
        """
        PROTOCOL.sshsig: of RSA, only rsa-sha2.
        """
        key = Key.fromString(keyText("rsa.openssh"))
        signed = key.sign(sshsig.signedData(b"data", "file"), "ssh-rsa")
        signature = sshsig.armored(key.blob(), "file", signed)
        refused = self.assertRaises(BadSignature, sshsig.verify, signature, b"data", "file")
        self.assertIn("a ssh-rsa signature", str(refused))

    def test_smallKeys(self):
        key = Key.fromString(keyText("lsh.canonical"))
        self.assertRaises(WeakKey, sshsig.sign, key, b"data", "file")
        signed = key.sign(sshsig.signedData(b"data", "file"), minimumRSABits=1024)
        signature = sshsig.armored(key.blob(), "file", signed)
        self.assertRaises(WeakKey, sshsig.verify, signature, b"data", "file")
        self.assertEqual(sshsig.verify(signature, b"data", "file", minimumRSABits=1024), key.public())

    def test_everyBit(self):
        """
        No bit of what is in it can be turned, but for those of the reserved
        string's content, which there is none of.
        """
        signature = keyText("ed25519.sshsig")
        whole = unpacked(signature)
        for position in range(len(whole)):
            for bit in (0, 7):
                bad = bytearray(whole)
                bad[position] ^= 1 << bit
                self.assertRaises(BadSignature, sshsig.verify, packed(bad), MESSAGE, "conchlite")

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes):
        for bad in (data, packed(MAGIC + data)):
            self.assertRaises(BadSignature, sshsig.verify, bad, b"", "file")


class SignTests(SynchronousTestCase):
    def test_sign(self):
        for name in ("ed25519", "ecdsa521", "rsa"):
            key = Key.fromString(keyText(f"{name}.openssh"))
            for hash in ("sha256", "sha512"):
                signature = sshsig.sign(key, io.BytesIO(b"data"), "me@example.org", hash)
                self.assertLessEqual(max(map(len, signature.splitlines())), 70)
                self.assertEqual(content(signature).hashAlgorithm, hash.encode())
                self.assertEqual(sshsig.verify(signature, b"data", "me@example.org"), key.public())

    def test_certificate(self):
        """
        It goes with the signature; nobody has judged it.
        """
        key = Key.fromString(keyText("ed25519.openssh"))
        certified = Key.generate().signCertificate(
            key, kind=USER, keyID="id", principals=["me"], validBefore=FOREVER
        )
        found = sshsig.verify(sshsig.sign(certified, b"data", "file"), b"data", "file")
        self.assertEqual(found.certificate.principals, (b"me",))
        self.assertEqual(found.plain(), key.public())

    def test_cannot(self):
        key = Key.fromString(keyText("ed25519.openssh"))
        self.assertRaises(UsageError, sshsig.sign, key, b"data", "")
        self.assertRaises(UsageError, sshsig.sign, key, b"data", "file", "sha1")
        self.assertRaises(UsageError, sshsig.sign, key.public(), b"data", "file")
