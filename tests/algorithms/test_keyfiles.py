"""
The formats that keys are kept in, each against files that other programs wrote.
"""

from __future__ import annotations

import binascii
import functools
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.keyfiles import blobs, lsh, openssh, pem, sexpressions
from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.algorithms.publickeys.signatures import keyTypeOf, packPrivateKey, packPublicKey
from conchlite.error import (
    BadKeyError,
    BadPassphrase,
    EncryptedKeyError,
    UsageError,
)
from conchlite.wire.types import packMPInt, packString, packUInt32
from tests.algorithms.keyvectors import PASSPHRASE, TYPES, keyText

NAMES = [name for name, *_ in TYPES]


@functools.cache
def privateKey(name: str):
    return openssh.PRIVATE.load(keyText(f"{name}.openssh"), None).key


@functools.cache
def lshKey():
    return lsh.PRIVATE.load(keyText("lsh.canonical"), None).key


def publicBlob(name: str) -> bytes:
    return packPublicKey(privateKey(name).public_key())


class KeyFileTestCase(SynchronousTestCase):
    """
    What every format promises.
    """

    def assertTruncationsRefused(self, keyFile, data: bytes, passphrase: bytes | None = None) -> None:
        """
        Cut anywhere, white space at the end aside, it is no key.
        """
        keyFile.load(data, passphrase)
        for i in range(len(data.rstrip())):
            self.assertRaises(BadKeyError, keyFile.load, data[:i], passphrase)

    def assertUnencrypted(self, keyFile, data: bytes, key) -> None:
        """
        There is no passphrase on it, and none can be put there.
        """
        error = self.assertRaises(BadKeyError, keyFile.load, data, b"secret")
        self.assertIn("not encrypted", str(error))
        self.assertNotIsInstance(error, BadPassphrase)
        self.assertRaises(UsageError, keyFile.dump, key, b"", b"secret")


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
            except BadKeyError:
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
        except BadKeyError:
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
            b"from=x " + line,
            line + line,
            b"# a comment\n" + line,
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
    return openssh._armoured(b"".join(parts))


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
        for cipher in ("aes128-cbc", "aes256-cbc", "aes192-ctr", "aes128-gcm", "aes256-gcm"):
            data = keyText(f"ed25519.openssh-{cipher}")
            loaded = openssh.PRIVATE.load(data, PASSPHRASE)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey("ed25519")))
            self.assertRaises(BadPassphrase, openssh.PRIVATE.load, data, b"wrong")

    def test_cipherThatIsNotThere(self):
        data = keyText("ed25519.openssh-chacha20-poly1305")
        error = self.assertRaises(BadKeyError, openssh.PRIVATE.load, data, PASSPHRASE)
        self.assertIn("chacha20-poly1305", str(error))

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
        content = openssh._MAGIC + openssh._unarmoured(keyText("ecdsa256.openssh"))
        self.assertTrue(openssh.PRIVATE.load(openssh._armoured(content), None))
        for i in range(len(content)):
            self.assertRaises(BadKeyError, openssh.PRIVATE.load, openssh._armoured(content[:i]), None)


class PEMTests(KeyFileTestCase):
    def test_traditional(self):
        for name in NAMES[1:]:
            loaded = pem.TRADITIONAL.load(keyText(f"{name}.pem"), None)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey(name)))
            self.assertEqual(pem.TRADITIONAL.dump(loaded.key, b"", None), keyText(f"{name}.pem"))

    def test_encrypted(self):
        for keyFile, fileName in [
            (pem.TRADITIONAL, "rsa.pem-encrypted"),
            (pem.TRADITIONAL, "ecdsa256.pem-encrypted"),
            (pem.PKCS8, "rsa.pkcs8-encrypted"),
            (pem.PKCS8, "ecdsa256.pkcs8-encrypted"),
            (pem.PKCS8, "ecdsa256.pkcs8-scrypt"),
        ]:
            data = keyText(fileName)
            loaded = keyFile.load(data, PASSPHRASE)
            wanted = privateKey(fileName.partition(".")[0])
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(wanted))
            self.assertRaises(EncryptedKeyError, keyFile.load, data, None)
            self.assertRaises(EncryptedKeyError, keyFile.load, data, b"")
            self.assertRaises(BadPassphrase, keyFile.load, data, b"wrong")

    def test_pkcs8(self):
        for name in ("ecdsa256", "rsa"):
            loaded = pem.PKCS8.load(keyText(f"{name}.pkcs8"), None)
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey(name)))
            self.assertEqual(pem.PKCS8.dump(loaded.key, b"", None), keyText(f"{name}.pkcs8"))

    def test_dumpEncrypted(self):
        for keyFile in (pem.TRADITIONAL, pem.PKCS8):
            text = keyFile.dump(privateKey("ecdsa256"), b"", b"secret")
            self.assertIn(b"ENCRYPTED", text)
            loaded = keyFile.load(text, b"secret")
            self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(privateKey("ecdsa256")))
            self.assertRaises(UsageError, keyFile.dump, privateKey("ecdsa256"), b"", b"x" * 2000)

    def test_ed25519(self):
        key = privateKey("ed25519")
        self.assertRaises(UsageError, pem.TRADITIONAL.dump, key, b"", None)
        loaded = pem.PKCS8.load(pem.PKCS8.dump(key, b"", None), None)
        self.assertEqual(packPrivateKey(loaded.key), packPrivateKey(key))

    def test_textAround(self):
        """
        openssl writes the curve's parameters, or text, in front of the key.
        """
        data = keyText("ecdsa256.pem-parameters")
        self.assertIn(b"EC PARAMETERS", data)
        key = pem.TRADITIONAL.load(data, None).key
        again = pem.TRADITIONAL.load(
            b"Bag Attributes\n" + data.replace(b"\n", b"\r\n") + b"\nand more\n", None
        )
        self.assertEqual(packPrivateKey(again.key), packPrivateKey(key))

    def test_passphraseThatIsNotNeeded(self):
        for keyFile, fileName in [(pem.TRADITIONAL, "rsa.pem"), (pem.PKCS8, "rsa.pkcs8")]:
            error = self.assertRaises(BadKeyError, keyFile.load, keyText(fileName), PASSPHRASE)
            self.assertIn("not encrypted", str(error))

    def test_truncated(self):
        for keyFile, fileName, passphrase in [
            (pem.TRADITIONAL, "ecdsa256.pem", None),
            (pem.TRADITIONAL, "ecdsa256.pem-encrypted", PASSPHRASE),
            (pem.PKCS8, "ecdsa256.pkcs8", None),
            (pem.PKCS8, "ecdsa256.pkcs8-encrypted", PASSPHRASE),
        ]:
            self.assertTruncationsRefused(keyFile, keyText(fileName), passphrase)

    def test_headersThatMakeTheLibraryPanic(self):
        """
        cryptography 50.0.2 panics at an initial vector that is too short.
        """
        data = keyText("ecdsa256.pem-encrypted")
        line = next(line for line in data.splitlines() if line.startswith(b"DEK-Info"))
        for bad in [
            b"DEK-Info: AES-128-CBC,00",
            b"DEK-Info: AES-128-CBC,",
            b"DEK-Info: AES-128-CBC",
            b"DEK-Info: DES-EDE3-CBC,0011223344",
            b"DEK-Info : AES-128-CBC,00",
            b"DEK-Info: CAMELLIA-128-CBC,8FE78EA771FE6F9195827357973292B4",
            line + b"\n" + line,
            b"X: y",
        ]:
            error = self.assertRaises(BadKeyError, pem.TRADITIONAL.load, data.replace(line, bad), PASSPHRASE)
            self.assertIn("not supported", str(error))

    def test_workIsBoundedBeforeItIsDone(self):
        """
        Row 89's other half: PKCS#8 names its own number of iterations too.
        """
        data = keyText("ecdsa256.pkcs8-encrypted")
        der = pem.decodeBase64(b"".join(data.splitlines()[1:-1]), "")
        iterations = bytes.fromhex("02020800")  # INTEGER 2048
        self.assertEqual(der.count(iterations), 1)
        pem._checkWork(der)
        for bad in (10_000_001, 2**31 - 1, 2**63):
            number = bad.to_bytes(bad.bit_length() // 8 + 1, "big")
            changed = der.replace(iterations, bytes((2, len(number))) + number)
            # Every length around it grows by as much.
            changed = _relengthened(changed, len(changed) - len(der))
            self.assertRaises(BadKeyError, pem._checkWork, changed)
            text = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%b-----END ENCRYPTED PRIVATE KEY-----\n"
            with mock.patch.object(pem, "_load") as library:
                self.assertRaises(
                    BadKeyError, pem.PKCS8.load, text % binascii.b2a_base64(changed), PASSPHRASE
                )
            self.assertFalse(library.called)
        scrypt = pem.decodeBase64(b"".join(keyText("ecdsa256.pkcs8-scrypt").splitlines()[1:-1]), "")
        pem._checkWork(scrypt)
        cost = bytes.fromhex("02024000")  # INTEGER 16384
        self.assertEqual(scrypt.count(cost), 1)
        changed = _relengthened(scrypt.replace(cost, bytes.fromhex("020400800000")), 2)
        self.assertRaises(BadKeyError, pem._checkWork, changed)

    def test_algorithmBeyondAllMeasure(self):
        body = b"\x30\x00" * 5000
        der = (
            b"\x30\x82"
            + (len(body) + 4).to_bytes(2, "big")
            + b"\x30\x82"
            + len(body).to_bytes(2, "big")
            + body
        )
        self.assertRaises(BadKeyError, pem._checkWork, der)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=100))
    def test_anyDER(self, der: bytes):
        try:
            self.assertIsNone(pem._checkWork(der))
        except BadKeyError:
            pass

    def test_keysThatSSHHasNot(self):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

        for key in (
            ed448.Ed448PrivateKey.generate(),
            x25519.X25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP256K1()),
        ):
            text = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            self.assertRaises(BadKeyError, pem.PKCS8.load, text, None)

    def test_otherPEM(self):
        for label in (b"CERTIFICATE", b"PUBLIC KEY", b"OPENSSH PRIVATE KEY"):
            text = keyText("rsa.pem").replace(b"RSA PRIVATE KEY", label)
            for keyFile in (pem.TRADITIONAL, pem.PKCS8):
                self.assertFalse(keyFile.recognises(text))
                self.assertRaises(BadKeyError, keyFile.load, text, None)


def _relengthened(der: bytes, growth: int) -> bytes:
    """
    EncryptedPrivateKeyInfo, in which the lengths of the five sequences around
    the number that grew are put right.
    """
    out, position = bytearray(der), 0
    for _ in range(5):
        if out[position] != 0x30:
            # The number's neighbour: an object identifier before a sequence.
            position += 2 + out[position + 1]
        size = out[position + 1]
        if size == 0x81:
            out[position + 2] += growth
            position += 3
        else:
            out[position + 1] += growth
            position += 2
    return bytes(out)


class LSHTests(KeyFileTestCase):
    """
    The files of lsh 2.1, and the same key in every form of an S-expression.
    """

    def test_private(self):
        text = keyText("lsh.canonical")
        key = lsh.PRIVATE.load(text, None).key
        self.assertEqual(lsh.PRIVATE.dump(key, b"", None), text)
        for form in ("advanced", "hex", "transport"):
            self.assertEqual(
                packPrivateKey(lsh.PRIVATE.load(keyText(f"lsh.{form}"), None).key), packPrivateKey(key)
            )

    def test_public(self):
        text = keyText("lsh.pub")
        key = lsh.PUBLIC.load(text, None).key
        self.assertEqual(packPublicKey(key), packPublicKey(lshKey().public_key()))
        self.assertEqual(lsh.PUBLIC.dump(key, b"", None), text)
        self.assertEqual(
            packPublicKey(lsh.PUBLIC.load(keyText("lsh.pub-advanced"), None).key), packPublicKey(key)
        )
        self.assertEqual(
            packPublicKey(openssh.PUBLIC.load(keyText("lsh.openssh"), None).key), packPublicKey(key)
        )

    def test_truncated(self):
        for keyFile, fileName in [
            (lsh.PRIVATE, "lsh.canonical"),
            (lsh.PRIVATE, "lsh.advanced"),
            (lsh.PRIVATE, "lsh.transport"),
            (lsh.PUBLIC, "lsh.pub"),
            (lsh.PUBLIC, "lsh.pub-advanced"),
        ]:
            self.assertTruncationsRefused(keyFile, keyText(fileName))

    def test_encrypted(self):
        for passphrase in (None, b"secret"):
            error = self.assertRaises(BadKeyError, lsh.PRIVATE.load, keyText("lsh.encrypted"), passphrase)
            self.assertIn("lsh-decrypt-key", str(error))

    def test_dsa(self):
        error = self.assertRaises(BadKeyError, lsh.PRIVATE.load, keyText("lsh.dsa"), None)
        self.assertIn("dsa", str(error))

    def test_passphrase(self):
        self.assertUnencrypted(lsh.PRIVATE, keyText("lsh.canonical"), lshKey())
        self.assertUnencrypted(lsh.PUBLIC, keyText("lsh.pub"), lshKey().public_key())

    def test_otherKeysCannotBeWritten(self):
        for name in ("ed25519", "ecdsa256"):
            self.assertRaises(UsageError, lsh.PRIVATE.dump, privateKey(name), b"", None)
            self.assertRaises(UsageError, lsh.PUBLIC.dump, privateKey(name).public_key(), b"", None)

    def test_namesOfTheAlgorithm(self):
        text = keyText("lsh.canonical")
        for name in (b"9:rsa-pkcs1", b"14:rsa-pkcs1-sha1", b"3:rsa"):
            lsh.PRIVATE.load(text.replace(b"9:rsa-pkcs1", name), None)

    def test_malformed(self):
        n, e = (RSA.numbers(lshKey())[name] for name in "ne")
        number = [[b"n", packMPInt(n)[4:]], [b"e", packMPInt(e)[4:]]]
        lsh.PUBLIC.load(sexpressions.pack([b"public-key", [b"rsa", *number]]), None)
        for bad in [
            b"public-key",
            [],
            [b"public-key"],
            [b"public-key", b"rsa"],
            [b"public-key", []],
            [b"public-key", [b"rsa"]],
            [b"public-key", [b"rsa", b"n", b"e"]],
            [b"public-key", [b"rsa", number[0]]],
            [b"public-key", [b"rsa", *number, number[0]]],
            [b"public-key", [b"rsa", *number, [b"x", b"y", b"z"]]],
            [b"public-key", [b"rsa", *number], b"more"],
            [b"public-key", [b"rsa", [b"n", b"\xff"], number[1]]],
            [b"public-key", [b"rsa", [b"n", b""], number[1]]],
            [b"public-key", [b"rsa-pkcs2", *number]],
            [b"private-key", [b"rsa", *number]],
            [[b"public-key"], [b"rsa", *number]],
        ]:
            self.assertRaises(BadKeyError, lsh.PUBLIC.load, sexpressions.pack(bad), None)
            self.assertRaises(BadKeyError, lsh.PRIVATE.load, sexpressions.pack(bad), None)


class SExpressionTests(SynchronousTestCase):
    def test_forms(self):
        for text, wanted in [
            (b"(1:a(2:bc)0:)", [b"a", [b"bc"], b""]),
            (b' ( a #62 63# |Yw==| "d e" ( ) ) \n', [b"a", b"bc", b"c", b"d e", []]),
            (b"{KDE6YSk=}", [b"a"]),
            (b"{KDE6 \nYSk=}", [b"a"]),
            (b"3:abc", b"abc"),
            (b"2:\n  ", b"\n "),
            (b"rsa-pkcs1", b"rsa-pkcs1"),
            (b"(3:a)(2:b ))"[:6] + b")", [b"a)("]),
        ]:
            self.assertEqual(sexpressions.parse(text), wanted)

    def test_malformed(self):
        for bad in [
            b"",
            b"()()",
            b"(",
            b")",
            b"(1:a))",
            b"((1:a)",
            b"5:abc",
            b"03:abc",
            b"99999999999:a",
            b"3 abc",
            b"#6#",
            b"#6g#",
            b"#66",
            b"|Y|",
            b"|YQ==",
            b'"a',
            b'"\\n"',
            b"[text]a",
            b"{",
            b"{}",
            b"{KDE6YSk}",
            b"{KDE6YSk=",
            b"\0",
            b"(" * 100 + b")" * 100,
        ]:
            self.assertRaises(BadKeyError, sexpressions.parse, bad)

    @settings(max_examples=100, deadline=None)
    @given(st.recursive(st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4), max_leaves=12))
    def test_roundTrip(self, expression):
        self.assertEqual(sexpressions.parse(sexpressions.pack(expression)), expression)


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
