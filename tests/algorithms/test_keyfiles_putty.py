"""
PuTTY's private keys, as puttygen 0.78 wrote them.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from unittest import mock

from conchlite.algorithms.keyfiles import putty
from conchlite.algorithms.loading import Effort
from conchlite.algorithms.publickeys.signatures import packPrivateKey
from conchlite.error import BadKeyError, BadPassphrase, DamagedKey, EncryptedKeyError, UsageError
from conchlite.wire.types import packString
from tests.algorithms.keyfilecases import KeyFileTestCase, privateKey
from tests.algorithms.keyvectors import PASSPHRASE, keyText

FILES = [
    "ed25519.ppk2",
    "ed25519.ppk2-encrypted",
    "ed25519.ppk3",
    "ed25519.ppk3-encrypted",
    "ed25519.ppk3-argon2i",
    "ecdsa256.ppk2-encrypted",
    "ecdsa256.ppk3",
    "ecdsa521.ppk3-encrypted",
    "rsa.ppk2",
    "rsa.ppk3-encrypted",
    "ed448.ppk3",
]


class PuTTYTests(KeyFileTestCase):
    def test_load(self):
        for fileName in FILES:
            name, data = fileName.partition(".")[0], keyText(fileName)
            passphrase = PASSPHRASE if b"aes256-cbc" in data else None
            for text in (data, data.replace(b"\n", b"\r\n")):
                loaded = putty.PRIVATE.load(text, passphrase)
                self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey(name)))
                self.assertEqual(loaded.comment, f"{name}@vectors".encode())

    def test_passphrases(self):
        for fileName in FILES:
            data = keyText(fileName)
            if b"aes256-cbc" in data:
                self.assertRaises(EncryptedKeyError, putty.PRIVATE.load, data, None)
                self.assertRaises(BadPassphrase, putty.PRIVATE.load, data, b"wrong")
            else:
                error = self.assertRaises(BadKeyError, putty.PRIVATE.load, data, PASSPHRASE)
                self.assertIn("not encrypted", str(error))

    def test_truncated(self):
        for fileName, passphrase in (("ed25519.ppk2", None), ("ed25519.ppk3-encrypted", PASSPHRASE)):
            data = keyText(fileName)
            # What ends within the first line has no version.
            for i in range(data.index(b"\n") + 1, len(data.rstrip())):
                self.assertRaises(DamagedKey, putty.PRIVATE.load, data[:i], passphrase)

    def test_everyFieldIsAuthentic(self):
        """
        The MAC covers each of them; of an encrypted file it is the passphrase
        that must be wrong.
        """
        for fileName, passphrase, wanted in [
            ("ed25519.ppk2", None, DamagedKey),
            ("ed25519.ppk3", None, DamagedKey),
            ("ed25519.ppk3-encrypted", PASSPHRASE, BadPassphrase),
            ("ed25519.ppk2-encrypted", PASSPHRASE, BadPassphrase),
        ]:
            data = keyText(fileName)
            comment = data.replace(b"@vectors", b"@vectorz")
            public = data.replace(b"AAAAIIMp", b"AAAAIIMq")
            at = data.index(b"\n", data.index(b"Private-Lines")) + 3
            private = data[:at] + (b"B" if data[at : at + 1] == b"A" else b"A") + data[at + 1 :]
            mac = data.rstrip()[:-1] + (b"0" if data.rstrip()[-1:] != b"0" else b"1")
            for bad in (comment, public, private, mac):
                self.assertNotEqual(bad, data)
                self.assertRaises(wanted, putty.PRIVATE.load, bad, passphrase)

    def test_malformed(self):
        data = keyText("ed25519.ppk3-encrypted")
        for old, new, said in [
            (b"File-3", b"File-1", "version 1"),
            (b"File-3", b"File-\x1b", "version"),
            (b"aes256-cbc", b"aes256-ctr", "aes256-ctr"),
            (b"Comment", b"Remark", "Remark"),
            (b"Public-Lines: 2", b"Public-Lines: two", "no number"),
            (b"Public-Lines: 2", b"Public-Lines: 999999999", "truncated"),
            (b"Public-Lines: 2", b"Public-Lines: 1000000000", "no number"),
            (b"Public-Lines: 2", b"Public-Lines: -1", "no number"),
            (b"Argon2id", b"Argon3", "Argon3"),
            (b"Argon2-Salt: ", b"Argon2-Salt: xx", "salt"),
            (b"Argon2-Parallelism: 1", b"Argon2-Parallelism: 0", ""),
            (b"Argon2-Passes: 3", b"Argon2-Passes: 0", ""),
            (b"Argon2-Memory: 256", b"Argon2-Memory: 0", ""),
            (b"Private-Lines: 1", b"Private-Lines: 0", "Private-MAC"),
            (b"\nPrivate-MAC", b"\nAAAA\nPrivate-MAC", "Private-MAC"),
        ]:
            self.assertEqual(data.count(old), 1, old)
            error = self.assertRaises(BadKeyError, putty.PRIVATE.load, data.replace(old, new), PASSPHRASE)
            self.assertIn(said, str(error))
            self.assertTrue(str(error).isprintable())
        self.assertRaises(DamagedKey, putty.PRIVATE.load, data + b"more", PASSPHRASE)

    def test_workIsBoundedBeforeItIsDone(self):
        """
        Row 89's third part: a file that asks Argon2 for the machine's memory,
        or for a day.
        """
        data = keyText("ed25519.ppk3-encrypted")
        with mock.patch("cryptography.hazmat.primitives.kdf.argon2.Argon2id") as argon2:
            for old, new in [
                (b"Argon2-Memory: 256", b"Argon2-Memory: 262145"),
                (b"Argon2-Memory: 256", b"Argon2-Memory: 999999999"),
                (b"Argon2-Passes: 3", b"Argon2-Passes: 999999999"),
                # Each lane is a thread, four times in each pass: a minute.
                (
                    b"Argon2-Memory: 256\nArgon2-Passes: 3\nArgon2-Parallelism: 1",
                    b"Argon2-Memory: 262144\nArgon2-Passes: 8\nArgon2-Parallelism: 32768",
                ),
            ]:
                self.assertIn(old, data)
                error = self.assertRaises(BadKeyError, putty.PRIVATE.load, data.replace(old, new), PASSPHRASE)
                self.assertIn("too much work", str(error))
        self.assertFalse(argon2.called)
        self.assertRaises(BadKeyError, putty.PRIVATE.load, data, PASSPHRASE, Effort(argon2Memory=255))
        self.assertRaises(BadKeyError, putty.PRIVATE.load, data, PASSPHRASE, Effort(argon2Work=767))
        self.assertTrue(putty.PRIVATE.load(data, PASSPHRASE, Effort(argon2Memory=256, argon2Work=768)))

    def test_notWritten(self):
        self.assertRaises(UsageError, putty.PRIVATE.dump, privateKey("rsa"), b"", None)

    def test_zerosAreLeftOut(self):
        """
        PuTTY writes an EdDSA key as a number, without the zeros at its end.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(b"\x11" * 30 + b"\0\0")
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + key.public_key().public_bytes_raw()
        private = packString(b"\x11" * 30)
        covered = b"".join(map(packString, (b"ssh-ed25519", b"none", b"", blob, private)))
        lines = [
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "Encryption: none",
            "Comment: ",
            "Public-Lines: 1",
            b64encode(blob).decode(),
            "Private-Lines: 1",
            b64encode(private).decode(),
            f"Private-MAC: {hmac.new(b'', covered, 'sha256').hexdigest()}",
        ]
        loaded = putty.PRIVATE.load("\n".join(lines).encode(), None)
        self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(key))
