"""
Keys and signatures to and from OpenSSH's ssh-keygen, as it is installed here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from base64 import encodebytes

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from conchlite.algorithms.keyfiles import decodeBase64
from conchlite.error import BadPassphrase, EncryptedKeyError
from conchlite.ssh.keys import FingerprintFormats, Key, hostKeyFingerprint
from conchlite.wire.types import Reader, packString, packUInt32

#: ssh-keygen's type and size, and ours.
KINDS = [
    ("ed25519", 256, b"ssh-ed25519"),
    ("ecdsa", 256, b"ecdsa-sha2-nistp256"),
    ("ecdsa", 384, b"ecdsa-sha2-nistp384"),
    ("ecdsa", 521, b"ecdsa-sha2-nistp521"),
    ("rsa", 2048, b"ssh-rsa"),
]

PASSPHRASE = "correct horse"


class SSHKeygenTests(SynchronousTestCase):
    def setUp(self):
        if shutil.which("ssh-keygen") is None:
            if os.environ.get("CONCHLITE_INTEROP") == "require":
                self.fail("ssh-keygen is not installed")
            raise SkipTest("ssh-keygen is not installed")

    def keygen(self, *arguments: str) -> str:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def write(self, data: bytes) -> str:
        path = self.mktemp()
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as stream:
            stream.write(data)
        return path

    def generate(self, kind: str, bits: int, *arguments: str) -> str:
        path = self.mktemp()
        self.keygen("-q", "-t", kind, "-b", str(bits), "-f", path, "-C", "some comment", *arguments)
        return path

    def test_loadsWhatItWrites(self):
        for kind, bits, sshType in KINDS:
            path = self.generate(kind, bits, "-N", "")
            key, public = Key.fromFile(path), Key.fromFile(path + ".pub")
            self.assertEqual((key.sshType(), key.size(), key.comment), (sshType, bits, b"some comment"))
            self.assertEqual(key.public(), public)
            _, shown, *_ = self.keygen("-l", "-f", path).split()
            self.assertEqual(hostKeyFingerprint(key.blob()).sha256, shown)
            self.assertEqual("SHA256:" + key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip("="), shown)
            _, shown, *_ = self.keygen("-l", "-E", "md5", "-f", path).split()
            self.assertEqual("MD5:" + public.fingerprint(), shown)

    def test_loadsWhatItEncrypts(self):
        for extra in ([], ["-m", "PEM"], ["-m", "PKCS8"], ["-Z", "aes256-gcm@openssh.com"]):
            path = self.generate("ecdsa", 256, "-N", PASSPHRASE, "-a", "4", *extra)
            self.assertRaises(EncryptedKeyError, Key.fromFile, path)
            self.assertRaises(BadPassphrase, Key.fromFile, path, passphrase="wrong")
            key = Key.fromFile(path, passphrase=PASSPHRASE)
            self.assertEqual(key.public(), Key.fromFile(path + ".pub"))

    def test_itLoadsWhatWeWrite(self):
        for kind, bits, _ in KINDS:
            key = Key.generate(kind, bits)
            for subtype in ("v1", "PKCS8", "PEM"):
                if (kind, subtype) in (("ed25519", "PEM"), ("ed25519", "PKCS8")):
                    continue
                for passphrase in (None, PASSPHRASE):
                    path = self.write(key.toString("openssh", subtype=subtype, passphrase=passphrase))
                    line = self.keygen("-y", "-P", passphrase or "", "-f", path)
                    self.assertEqual(Key.fromString(line), key.public())
            path = self.write(key.toString("openssh", subtype="v1", comment="ours"))
            self.assertTrue(self.keygen("-y", "-f", path).rstrip().endswith(" ours"))
            path = self.write(key.public().toString("openssh", comment="ours"))
            size, shown, comment, _ = self.keygen("-l", "-f", path).split()
            self.assertEqual(
                (int(size), shown, comment), (bits, hostKeyFingerprint(key.blob()).sha256, "ours")
            )

    def test_signatures(self):
        """
        Both ways, as OpenSSH's PROTOCOL.sshsig wraps them.
        """
        for kind, bits, _ in KINDS:
            path = self.generate(kind, bits, "-N", "")
            key, message = Key.fromFile(path), self.write(b"message")
            self.keygen("-q", "-Y", "sign", "-n", "conchlite", "-f", path, message)
            with open(message + ".sig", "rb") as stream:
                reader = Reader(decodeBase64(stream.read().split(b"-----")[2], "signature"))
            reader.fixed(6 + 4)
            blob, namespace, reserved, hashName, signature = (reader.string() for _ in range(5))
            self.assertEqual(blob, key.blob())
            digest = hashlib.new(hashName.decode(), b"message").digest()
            covered = b"SSHSIG" + b"".join(map(packString, (namespace, reserved, hashName, digest)))
            key.public().verifyStrictly(signature, covered, key.supportedSignatureAlgorithms()[0])

            signers = self.write(b"me " + key.public().toString("openssh"))
            # ssh-keygen takes no SHA-1.
            for algorithm in set(key.supportedSignatureAlgorithms()) - {b"ssh-rsa"}:
                ours = packString(key.sign(covered, algorithm))
                parts = (
                    b"SSHSIG"
                    + packUInt32(1)
                    + b"".join(map(packString, (blob, namespace, reserved, hashName)))
                )
                # PROTOCOL.sshsig: an RSA signature is one with SHA-2.
                self.assertEqual(self.verifies(signers, parts + ours), algorithm != b"ssh-rsa")
                ours = packString(key.sign(covered + b"x", algorithm))
                self.assertFalse(self.verifies(signers, parts + ours))

    def verifies(self, signers: str, signature: bytes) -> bool:
        armoured = b"-----BEGIN SSH SIGNATURE-----\n%b-----END SSH SIGNATURE-----\n" % encodebytes(signature)
        path = self.write(armoured)
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "me", "-n", "conchlite", "-s", path],
            input=b"message",
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
