"""
The formats that keys are kept in, each against files that other programs wrote:
the table of them, OpenSSH's, and the bare blobs.
"""

from __future__ import annotations

import binascii
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from conchlite.algorithms import catalogue
from conchlite.algorithms.keyfiles import armor, blobs, openssh, unarmor
from conchlite.algorithms.keyfiles.ciphers import FILE_CIPHERS
from conchlite.algorithms.loading import Effort
from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.algorithms.publickeys.signatures import keyTypeOf, packPrivateKey, packPublicKey
from conchlite.error import (
    BadKeyError,
    BadPassphrase,
    DamagedKey,
    EncryptedKeyError,
    UsageError,
)
from conchlite.wire.types import packMPInt, packString, packUInt32
from tests.algorithms.keyfilecases import NAMES, KeyFileTestCase, lshKey, privateKey, publicBlob
from tests.algorithms.keyvectors import PASSPHRASE, keyText


class CatalogueTests(KeyFileTestCase):
    def test_everyFileIsRecognisedByItsFormatAlone(self):
        for fileName, wanted in [
            *[(f"{name}.openssh", "private_openssh") for name in NAMES],
            *[(f"{name}.pub", "public_openssh") for name in NAMES],
            *[(f"{name}.pem", "private_pem") for name in NAMES[1:]],
            ("ed25519.openssh-encrypted", "private_openssh"),
            ("rsa.pem-encrypted", "private_pem"),
            ("ecdsa256.pem-parameters", "private_pem"),
            ("rsa.pkcs8", "private_pkcs8"),
            ("rsa.pkcs8-encrypted", "private_pkcs8"),
            ("ecdsa256.pkcs8-scrypt", "private_pkcs8"),
            ("lsh.canonical", "private_lsh"),
            ("lsh.advanced", "private_lsh"),
            ("lsh.transport", "private_lsh"),
            ("lsh.encrypted", "private_lsh"),
            ("rsa.ppk2", "private_putty"),
            ("ed448.ppk3", "private_putty"),
            ("ed25519.rfc4716", "public_rfc4716"),
            ("rsa.pub-pem", "public_pem"),
            ("ecdsa256.pub-pkcs8", "public_pkcs8"),
            ("lsh.pub", "public_lsh"),
            ("lsh.pub-advanced", "public_lsh"),
            ("lsh.openssh", "public_openssh"),
        ]:
            self.assertRecognised(keyText(fileName), wanted)

    def test_everyBlobIsRecognised(self):
        for name in NAMES:
            key = privateKey(name)
            self.assertRecognised(packPublicKey(key.public_key()), "blob")
            self.assertRecognised(packPrivateKey(key), "private_blob")
        self.assertRecognised(blobs.AGENT_V3.dump(privateKey("rsa"), b"", None), "agentv3")

    def assertRecognised(self, data: bytes, wanted: str) -> None:
        names = [name for name in catalogue.keyFiles() if catalogue.keyFile(name).recognises(data)]
        self.assertEqual(names[0], wanted)
        # A private blob begins as a public one and an agent's do.
        self.assertIn(names[1:], ([], ["private_blob"]))

    def test_nothingIsRecognised(self):
        for data in (
            b"",
            b"\n",
            b"ssh-rsa",
            b"hello world",
            b"(",
            b"{",
            b"{!!!!",
            b"-----BEGIN CERTIFICATE-----",
        ):
            for name in catalogue.keyFiles():
                self.assertFalse(catalogue.keyFile(name).recognises(data), (name, data))

    def test_halves(self):
        for name in catalogue.keyFiles():
            public = name.startswith("public") or name == "blob"
            self.assertEqual(catalogue.keyFile(name).holdsPrivate, not public)

    def test_unknownFormat(self):
        self.assertRaises(UsageError, catalogue.keyFile, "private_x509")

    @settings(max_examples=100, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"{", b"(11:private-key(3:rsa", b"ssh-rsa AAAA"]
            ).flatmap(lambda head: st.binary(max_size=100).map(lambda rest: head + rest)),
        )
    )
    def test_anyBytes(self, data: bytes):
        """
        Row 66: in every format any bytes are a key or BadKeyError.
        """
        for name in catalogue.keyFiles():
            keyFile = catalogue.keyFile(name)
            keyFile.recognises(data)
            try:
                loaded = keyFile.load(data, None)
            except (BadKeyError, EncryptedKeyError):
                continue
            self.assertIn(keyTypeOf(loaded.key).name, catalogue.keyTypes())

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damagedFiles(self, source):
        """
        A file with a few bytes changed is a key or BadKeyError, too.
        """
        fileName, name = source.draw(
            st.sampled_from(
                [
                    ("ed25519.openssh", "private_openssh"),
                    ("ecdsa256.pem", "private_pem"),
                    ("ecdsa256.pem-encrypted", "private_pem"),
                    ("ecdsa256.pkcs8", "private_pkcs8"),
                    ("ecdsa256.pkcs8-encrypted", "private_pkcs8"),
                    ("ecdsa521.pub", "public_openssh"),
                    ("lsh.canonical", "private_lsh"),
                    ("lsh.advanced", "private_lsh"),
                    ("lsh.pub", "public_lsh"),
                ]
            )
        )
        data = bytearray(keyText(fileName))
        for _ in range(source.draw(st.integers(1, 4))):
            data[source.draw(st.integers(0, len(data) - 1))] = source.draw(st.integers(0, 255))
        passphrase = PASSPHRASE if "encrypted" in fileName else None
        try:
            loaded = catalogue.keyFile(name).load(bytes(data), passphrase)
        except (BadKeyError, EncryptedKeyError):
            return
        keyTypeOf(loaded.key)


class PublicLineTests(KeyFileTestCase):
    def test_load(self):
        for name in NAMES:
            loaded = openssh.PUBLIC.load(keyText(f"{name}.pub"), None)
            self.assertEqual(packPublicKey(loaded.key), publicBlob(name))
            self.assertEqual(loaded.comment, f"{name}@vectors".encode())

    def test_dump(self):
        for name in NAMES:
            text = keyText(f"{name}.pub")
            loaded = openssh.PUBLIC.load(text, None)
            self.assertEqual(openssh.PUBLIC.dump(loaded.key, loaded.comment, None) + b"\n", text)

    def test_commentWithSpaces(self):
        key = privateKey("ed25519").public_key()
        for comment in (b"", b"a b  c", "Zoë".encode()):
            line = openssh.PUBLIC.dump(key, comment, None)
            self.assertEqual(openssh.PUBLIC.load(line, None).comment, comment)
        self.assertNotIn(b" ", openssh.PUBLIC.dump(key, b"", None)[12:])

    def test_commentCannotBeginAnotherLine(self):
        key = privateKey("ed25519").public_key()
        for comment in (b"me\nssh-rsa AAAA", b"me\r", b"\0", b"\x1b[2J"):
            self.assertRaises(UsageError, openssh.PUBLIC.dump, key, comment, None)

    def test_whiteSpace(self):
        line = keyText("ed25519.pub")
        name, encoded, comment = line.split()
        for text in (
            line + b"\r\n",
            b"\n" + line,
            b"\t".join([name, encoded, comment]),
            line.strip() + b"   ",
        ):
            loaded = openssh.PUBLIC.load(text, None)
            self.assertEqual((packPublicKey(loaded.key), loaded.comment), (publicBlob("ed25519"), comment))

    def test_options(self):
        """
        A line of authorized_keys: the options are for others to read.
        """
        line = keyText("ed25519.pub").strip()
        for options in (
            b"restrict",
            b'command="echo \\"a b\\" c",no-pty',
            b'from="*.example.org" ',
            b'a="AAAA b"',
        ):
            text = b"# mine\n\n" + options + b" " + line + b" and more\n"
            loaded = openssh.PUBLIC.load(text, None)
            self.assertEqual(packPublicKey(loaded.key), publicBlob("ed25519"))
            self.assertEqual(loaded.comment, b"ed25519@vectors and more")
            parts = openssh.splitLine(text.splitlines()[2])
            self.assertEqual(parts[0], options.strip())
            self.assertEqual(b" ".join(parts[1:]), line + b" and more")
        self.assertEqual(openssh.splitLine(b"no key"), (b"",) * 4)

    def test_unknownType(self):
        """
        A key of a type that is not here is nothing damaged.
        """
        blob = binascii.b2a_base64(packString(b"ssh-new") + packString(b"x"), newline=False)
        error = self.assertRaises(BadKeyError, openssh.PUBLIC.load, b"ssh-new " + blob, None)
        self.assertNotIsInstance(error, DamagedKey)
        self.assertIn("unknown type ssh-new", str(error))

    def test_badLines(self):
        line = keyText("ed25519.pub")
        name, encoded, comment = line.split()
        for bad in [
            b"",
            b"\n",
            name,
            encoded,
            encoded + b" " + comment,
            name + b" " + name,
            b"ssh-rsa " + encoded,  # another type than the blob's
            b'from="x ' + line,
            b"from=x  y " + line,
            line + line,
            name + b" " + encoded[:-1] + b"!",
            name + b" " + encoded + b"AAAA",
            name + b" " + encoded + b"=",
            b"ssh-dss AAAAB3NzaC1kc3MAAAAA",
        ]:
            self.assertRaises(BadKeyError, openssh.PUBLIC.load, bad, None)

    def test_truncated(self):
        for name in NAMES:
            line = b" ".join(keyText(f"{name}.pub").split()[:2])
            self.assertTruncationsRefused(openssh.PUBLIC, line)

    def test_passphrase(self):
        self.assertUnencrypted(openssh.PUBLIC, keyText("rsa.pub"), privateKey("rsa").public_key())


LINES = (b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----")


def envelope(
    cipher: bytes = b"none",
    kdf: bytes = b"none",
    options: bytes = b"",
    count: int = 1,
    public: bytes | None = None,
    section: bytes | None = None,
    checks: tuple[int, int] = (7, 7),
    padding: bytes | None = None,
    tail: bytes = b"",
    magic: bytes = b"openssh-key-v1\0",
) -> bytes:
    """
    A private key file of which a test chooses each part.
    """
    key = privateKey("ed25519")
    if section is None:
        section = b"".join(map(packUInt32, checks)) + packPrivateKey(key) + packString(b"comment")
        section += bytes(range(1, 1 + -len(section) % 8)) if padding is None else padding
    parts = [
        magic,
        packString(cipher),
        packString(kdf),
        packString(options),
        packUInt32(count),
        packString(publicBlob("ed25519") if public is None else public),
        packString(section),
        tail,
    ]
    return armor(LINES[0], b"".join(parts), LINES[1])


class OpenSSHPrivateTests(KeyFileTestCase):
    def test_load(self):
        for name in NAMES:
            loaded = openssh.PRIVATE.load(keyText(f"{name}.openssh"), None)
            self.assertEqual(loaded.comment, f"{name}@vectors".encode())
            line = openssh.PUBLIC.load(keyText(f"{name}.pub"), None)
            self.assertEqual(packPublicKey(loaded.key.public_key()), packPublicKey(line.key))

    def test_loadEncrypted(self):
        for name in ("ed25519", "ecdsa256", "rsa"):
            data = keyText(f"{name}.openssh-encrypted")
            loaded = openssh.PRIVATE.load(data, PASSPHRASE)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey(name)))
            self.assertEqual(loaded.comment, f"{name}@vectors".encode())

    def test_everyCipher(self):
        names = (
            "aes128-cbc",
            "aes256-cbc",
            "aes192-ctr",
            "aes128-gcm",
            "aes256-gcm",
            "chacha20-poly1305",
            "3des-cbc",
        )
        for cipher in names:
            data = keyText(f"ed25519.openssh-{cipher}")
            loaded = openssh.PRIVATE.load(data, PASSPHRASE)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey("ed25519")))
            self.assertRaises(BadPassphrase, openssh.PRIVATE.load, data, b"wrong")

    def test_dumpEncryptedWithEveryCipher(self):
        key = privateKey("ecdsa521")
        for cipher in FILE_CIPHERS:
            form = openssh.PrivateKeyFile(cipher, rounds=2)
            text = form.dump(key, b"comment", b"secret")
            loaded = openssh.PRIVATE.load(text, b"secret", Effort(bcryptRounds=2))
            self.assertEqual((packPrivateKey(loaded.key), loaded.comment), (packPrivateKey(key), b"comment"))
            self.assertRaises(BadPassphrase, openssh.PRIVATE.load, text, b"Secret")
            error = self.assertRaises(
                BadKeyError, openssh.PRIVATE.load, text, b"secret", Effort(bcryptRounds=1)
            )
            self.assertIn("2 rounds", str(error))
        for form in (openssh.PrivateKeyFile(b"none"), openssh.PrivateKeyFile(rounds=0)):
            self.assertRaises(UsageError, form.dump, key, b"", b"secret")

    def test_cipherThatIsNotThere(self):
        data = envelope(b"aes255-ctr", b"bcrypt", b"", section=b"x" * 32)
        error = self.assertRaises(BadKeyError, openssh.PRIVATE.load, data, PASSPHRASE)
        self.assertIn("aes255-ctr", str(error))
        self.assertNotIsInstance(error, DamagedKey)

    def test_passphrases(self):
        encrypted, plain = keyText("ed25519.openssh-encrypted"), keyText("ed25519.openssh")
        self.assertRaises(EncryptedKeyError, openssh.PRIVATE.load, encrypted, None)
        self.assertRaises(EncryptedKeyError, openssh.PRIVATE.load, encrypted, b"")
        self.assertRaises(BadPassphrase, openssh.PRIVATE.load, encrypted, b"wrong")
        error = self.assertRaises(BadKeyError, openssh.PRIVATE.load, plain, PASSPHRASE)
        self.assertIn("not encrypted", str(error))

    def test_dump(self):
        for name in NAMES:
            key = privateKey(name)
            text = openssh.PRIVATE.dump(key, b"a comment", None)
            loaded = openssh.PRIVATE.load(text, None)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(key))
            self.assertEqual(loaded.comment, b"a comment")
            self.assertEqual(max(map(len, text.splitlines())), 70)

    def test_dumpEncrypted(self):
        key = privateKey("ed25519")
        first, second = (openssh.PRIVATE.dump(key, b"c", b"secret") for _ in range(2))
        self.assertNotEqual(first, second)
        self.assertEqual(packPrivateKey(openssh.PRIVATE.load(first, b"secret").key), packPrivateKey(key))
        self.assertRaises(BadPassphrase, openssh.PRIVATE.load, first, b"Secret")

    def test_roundsAreBoundedBeforeTheWork(self):
        """
        Row 89: a file that asks for 2^32 rounds is refused, not obeyed.
        """
        with mock.patch("bcrypt.kdf") as kdf:
            for rounds in (0, 1025, 2**31, 2**32 - 1):
                options = packString(b"s" * 16) + packUInt32(rounds)
                data = envelope(b"aes256-ctr", b"bcrypt", options, section=b"x" * 160)
                error = self.assertRaises(BadKeyError, openssh.PRIVATE.load, data, b"secret")
                self.assertIn(f"{rounds} rounds", str(error))
            self.assertFalse(kdf.called)
            kdf.return_value = b"k" * 48
            options = packString(b"s" * 16) + packUInt32(1024)
            data = envelope(b"aes256-ctr", b"bcrypt", options, section=b"x" * 160)
            self.assertRaises(BadPassphrase, openssh.PRIVATE.load, data, b"secret")
            self.assertTrue(kdf.called)

    def test_malformed(self):
        self.assertEqual(openssh.PRIVATE.load(envelope(), None).comment, b"comment")
        options = packString(b"s" * 16) + packUInt32(1)
        good = envelope()
        for what, bad in {
            "two keys": envelope(count=2),
            "no key": envelope(count=0),
            "a count beyond all": envelope(count=2**32 - 1),
            "another public key": envelope(public=publicBlob("rsa")),
            "no public key": envelope(public=b""),
            "check numbers": envelope(checks=(1, 2)),
            "wrong padding": envelope(padding=b"\1\2\4"),
            "zeros for padding": envelope(padding=b"\0\0"),
            "another magic": envelope(magic=b"openssh-key-v2\0"),
            "no magic": envelope(magic=b""),
            "trailing bytes": envelope(tail=b"\0"),
            "a tag without a cipher": envelope(tail=b"\0" * 16),
            "a KDF without a cipher": envelope(kdf=b"bcrypt", options=options),
            "options without a KDF": envelope(options=b"x"),
            "an empty section": envelope(section=b""),
            "empty": b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
            "no begin": good[10:],
            "no end": good[:-20],
            "text behind": good + b"hello",
            "two files": good + good,
            "bad base64": good.replace(b"AAAA", b"A*AA", 1),
        }.items():
            with self.assertRaises(BadKeyError, msg=what) as caught:
                openssh.PRIVATE.load(bad, None)
            self.assertNotIsInstance(caught.exception, EncryptedKeyError)

    def test_malformedEncryption(self):
        options = packString(b"s" * 16) + packUInt32(1)
        for bad in [
            envelope(b"aes256-ctr", b"none", b""),
            envelope(b"aes256-ctr", b"scrypt", options),
            envelope(b"none", b"bcrypt", options),
            envelope(b"aes256-ctr", b"bcrypt", options[:-1], section=b"x" * 32),
            envelope(b"aes256-ctr", b"bcrypt", options + b"\0", section=b"x" * 32),
            envelope(b"aes256-ctr", b"bcrypt", packString(b"") + packUInt32(1), section=b"x" * 32),
            envelope(b"aes256-ctr", b"bcrypt", options, section=b"x" * 31),
            envelope(b"aes256-ctr", b"bcrypt", options, section=b"x" * 32, tail=b"t" * 16),
            envelope(b"aes256-gcm@openssh.com", b"bcrypt", options, section=b"x" * 32),
            envelope(b"aes256-gcm@openssh.com", b"bcrypt", options, section=b"x" * 32, tail=b"t" * 15),
            envelope(b"aes255-ctr", b"bcrypt", options, section=b"x" * 32),
            envelope(b"\x1b[2J", b"bcrypt", options, section=b"x" * 32),
            envelope(b"aes256-ctr", b"bcrypt", options, section=b""),
        ]:
            error = self.assertRaises(BadKeyError, openssh.PRIVATE.load, bad, b"secret")
            self.assertTrue(str(error).isprintable())

    def test_truncated(self):
        for name in ("ed25519", "ecdsa384"):
            self.assertTruncationsRefused(openssh.PRIVATE, keyText(f"{name}.openssh"))

    def test_truncatedInside(self):
        """
        The armour being whole, its content is cut at every byte.
        """
        begin, end = LINES
        content = unarmor(begin, keyText("ecdsa256.openssh"), end, "key")
        self.assertTrue(openssh.PRIVATE.load(armor(begin, content, end), None))
        for i in range(len(content)):
            self.assertRaises(BadKeyError, openssh.PRIVATE.load, armor(begin, content[:i], end), None)


class BlobTests(KeyFileTestCase):
    def test_roundTrips(self):
        for name in NAMES:
            key = privateKey(name)
            for keyFile, half in [(blobs.PUBLIC, key.public_key()), (blobs.PRIVATE, key)]:
                data = keyFile.dump(half, b"ignored", None)
                self.assertEqual(keyFile.dump(keyFile.load(data, None).key, b"", None), data)
                self.assertRaises(BadKeyError, keyFile.load, data + b"\0", None)
                self.assertUnencrypted(keyFile, data, half)

    def test_agentV3(self):
        key = privateKey("rsa")
        numbers = RSA.numbers(key)
        data = packString(b"ssh-rsa") + b"".join(packMPInt(numbers[name]) for name in "ednupq")
        self.assertEqual(blobs.AGENT_V3.dump(key, b"", None), data)
        self.assertEqual(packPrivateKey(blobs.AGENT_V3.load(data, None).key), packPrivateKey(key))
        self.assertUnencrypted(blobs.AGENT_V3, data, key)
        self.assertTruncationsRefused(blobs.AGENT_V3, blobs.AGENT_V3.dump(lshKey(), b"", None))
        self.assertRaises(BadKeyError, blobs.AGENT_V3.load, data + b"\0", None)
        self.assertRaises(BadKeyError, blobs.AGENT_V3.load, packPrivateKey(key), None)
        self.assertRaises(BadKeyError, blobs.AGENT_V3.load, publicBlob("ed25519"), None)
        self.assertRaises(UsageError, blobs.AGENT_V3.dump, privateKey("ed25519"), b"", None)
