"""
Public keys in files of RFC 4716 and of PEM, as other programs wrote them.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from conchlite.algorithms.keyfiles import pem, rfc4716
from conchlite.algorithms.publickeys.signatures import packPublicKey
from conchlite.error import BadKeyError, DamagedKey, UsageError
from tests.algorithms.keyfilecases import NAMES, KeyFileTestCase, privateKey, publicBlob
from tests.algorithms.keyvectors import keyText


def publicKey(name: str):
    return privateKey(name).public_key()


class RFC4716Tests(KeyFileTestCase):
    def test_load(self):
        for fileName, comment in [
            ("ed25519.rfc4716", b"256-bit ED25519, converted by vectors from OpenSSH"),
            ("ecdsa256.rfc4716", b"256-bit ECDSA, converted by vectors from OpenSSH"),
            ("rsa.rfc4716", b"2048-bit RSA, converted by vectors from OpenSSH"),
            (
                "ed25519.rfc4716-putty",
                b'a "quoted" comment \\ with a backslash, '
                b"and so long that it takes more than a line of RFC 4716",
            ),
        ]:
            data = keyText(fileName)
            for text in (data, data.replace(b"\n", b"\r\n"), b"\n" + data + b"\n\n"):
                loaded = rfc4716.PUBLIC.load(text, None)
                self.assertEqual(packPublicKey(loaded.key), publicBlob(fileName.partition(".")[0]))
                self.assertEqual(loaded.comment, comment)

    def test_dump(self):
        """
        But for the comment it is what ssh-keygen writes.
        """
        for name in ("ed25519", "ecdsa256", "rsa"):
            data = keyText(f"{name}.rfc4716")
            comment = rfc4716.PUBLIC.load(data, None).comment
            self.assertEqual(rfc4716.PUBLIC.dump(publicKey(name), comment, None), data)
        self.assertNotIn(b"Comment", rfc4716.PUBLIC.dump(publicKey("rsa"), b"", None))

    def test_comments(self):
        for comment in (b"x" * 1000, b'"', b"\\", b'\\"' * 90, b"a: b", b"\xc3\xa9", b" x "):
            text = rfc4716.PUBLIC.dump(publicKey("ed25519"), comment, None)
            self.assertLessEqual(max(map(len, text.splitlines())), 72)
            self.assertEqual(rfc4716.PUBLIC.load(text, None).comment, comment)
        for comment in (b"x" * 1023, b"a\nb"):
            self.assertRaises(UsageError, rfc4716.PUBLIC.dump, publicKey("ed25519"), comment, None)

    def test_continued(self):
        """
        A line ends with a backslash, or does not; the one before it has its
        own. However many there are, each is looked at once.
        """
        for value, comment in (
            (b"a\\\nb", b"ab"),
            (b"a\\\\\n", b"a\\"),
            (b"x\\\n" * 300_000 + b"y", b"x" * 300_000 + b"y"),
        ):
            begin, old, *rest = keyText("ed25519.rfc4716").split(b"\n")
            self.assertIn(b"Comment: ", old)
            text = b"\n".join([begin, b"Comment: " + value, *rest])
            self.assertEqual(rfc4716.PUBLIC.load(text, None).comment, comment)

    def test_headers(self):
        """
        The RFC's own kinds: without quotes, in any case, continued, unknown.
        """
        begin, _, rest = keyText("ed25519.rfc4716").partition(b"\n")
        body = rest.partition(b"\n")[2]
        for headers, comment in [
            (b"", b""),
            (b"comment: plain text\n", b"plain text"),
            (b"Subject: me\nCOMMENT: \\\nmore \\\nlines\nx-private: a:b\n", b"more lines"),
            (b'Comment: "unbalanced\n', b'"unbalanced'),
        ]:
            loaded = rfc4716.PUBLIC.load(begin + b"\n" + headers + body, None)
            self.assertEqual((packPublicKey(loaded.key), loaded.comment), (publicBlob("ed25519"), comment))

    def test_malformed(self):
        data = keyText("ed25519.rfc4716")
        self.assertTruncationsRefused(rfc4716.PUBLIC, data)
        self.assertUnencrypted(rfc4716.PUBLIC, data, publicKey("ed25519"))
        begin, *_, end = data.splitlines()
        for bad in (
            begin + b"\n" + end,
            begin + b"\nComment: x\\\n" + end,
            data + data,
            data.replace(b"AAAAC3", b"!AAAC3"),
            data.replace(end, b"AAAA\n" + end),
            begin,
        ):
            self.assertRaises(DamagedKey, rfc4716.PUBLIC.load, bad, None)
        error = self.assertRaises(
            BadKeyError, rfc4716.PUBLIC.load, begin + b"\nAAAAB3NzaC1uZXc=\n" + end, None
        )
        self.assertIn("unknown type ssh-new", str(error))


class PublicPEMTests(KeyFileTestCase):
    def test_load(self):
        for keyFile, fileName in [
            (pem.PUBLIC_PKCS1, "rsa.pub-pem"),
            (pem.PUBLIC_PKCS8, "rsa.pub-pkcs8"),
            (pem.PUBLIC_PKCS8, "ecdsa256.pub-pkcs8"),
        ]:
            name, data = fileName.partition(".")[0], keyText(fileName)
            loaded = keyFile.load(data, None)
            self.assertEqual(packPublicKey(loaded.key), publicBlob(name))
            self.assertEqual(keyFile.dump(loaded.key, b"", None), data)
            self.assertUnencrypted(keyFile, data, loaded.key)
            self.assertTruncationsRefused(keyFile, data)

    def test_everyType(self):
        for name in NAMES:
            text = pem.PUBLIC_PKCS8.dump(publicKey(name), b"", None)
            self.assertEqual(packPublicKey(pem.PUBLIC_PKCS8.load(text, None).key), publicBlob(name))
            if name != "rsa":
                self.assertRaises(UsageError, pem.PUBLIC_PKCS1.dump, publicKey(name), b"", None)

    def test_keysThatSSHHasNot(self):
        key = generate_private_key(SECP256K1()).public_key()
        text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        error = self.assertRaises(BadKeyError, pem.PUBLIC_PKCS8.load, text, None)
        self.assertNotIsInstance(error, DamagedKey)
        text = b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"
        self.assertRaises(DamagedKey, pem.PUBLIC_PKCS8.load, text, None)
