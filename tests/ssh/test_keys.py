"""
L{Key}, fingerprints, and the howto's two functions.
"""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from conchlite import error
from conchlite.algorithms.keyfiles import openssh
from conchlite.algorithms.loading import Effort
from conchlite.files import writeWhole
from conchlite.ssh import keys
from conchlite.ssh.keys import Fingerprint, FingerprintFormats, Key, hostKeyFingerprint
from conchlite.ssh.keystorage import MAXIMUM_FILE_SIZE
from conchlite.wire.types import Reader, packString
from tests.algorithms.keyvectors import PASSPHRASE, TYPES, keyText
from tests.ssh.fakethreads import Threads
from tests.ssh.howtokeys import privateKey, publicKey


@functools.cache
def vector(name: str) -> Key:
    """
    A private key of tests/vectors/keys.
    """
    return Key.fromString(keyText(f"{name}.openssh"))


class HowtoTests(SynchronousTestCase):
    """
    The founding howto's own keys and calls.
    """

    def test_publicKey(self):
        blob = keys.getPublicKeyString(data=publicKey)
        self.assertIsInstance(blob, bytes)
        reader = Reader(blob)
        self.assertEqual(reader.string(), b"ssh-rsa")
        self.assertEqual(reader.mpint(), 35)
        self.assertEqual(reader.mpint().bit_length(), 768)

    def test_privateKey(self):
        key = keys.getPrivateKeyObject(data=privateKey)
        self.assertEqual(key.blob(), keys.getPublicKeyString(data=publicKey))
        self.assertFalse(key.isPublic())
        self.assertEqual(key.data()["e"], 35)
        for algorithm in key.supportedSignatureAlgorithms():
            signature = key.sign(b"data", algorithm)
            self.assertIsNone(key.public().verifyStrictly(signature, b"data", algorithm, minimumRSABits=768))
            self.assertRaises(error.WeakKey, key.verifyStrictly, signature, b"data", algorithm)

    def test_trailingText(self):
        """
        A string of the program's has white space where it will.
        """
        blob = keys.getPublicKeyString(data=publicKey)
        for text in (publicKey + "   \n", "\n" + publicKey, publicKey + " a comment  "):
            self.assertEqual(keys.getPublicKeyString(data=text), blob)
        for text in (privateKey + "   \n\n", "\n\n" + privateKey, privateKey.replace("\n", "\r\n")):
            self.assertEqual(keys.getPrivateKeyObject(data=text).blob(), blob)

    def test_lsh(self):
        """
        "keys.getPublicKeyString() will take keys in OpenSSH and LSH format".
        """
        blob = keys.getPublicKeyString(data=keyText("lsh.openssh"))
        self.assertEqual(keys.getPublicKeyString(data=keyText("lsh.pub").decode()), blob)
        self.assertEqual(keys.getPrivateKeyObject(data=keyText("lsh.canonical")).blob(), blob)

    def test_files(self):
        path = self.mktemp()
        writeWhole(path, keyText("ed25519.openssh-encrypted"))
        key = keys.getPrivateKeyObject(path, passphrase=PASSPHRASE)
        self.assertEqual(key, vector("ed25519"))
        with open(path, "wb") as stream:
            stream.write(keyText("ed25519.pub"))
        self.assertEqual(keys.getPublicKeyString(path), key.blob())
        self.assertEqual(keys.getPublicKeyString(filename=path), key.blob())

    def test_whatIsNotThere(self):
        self.assertRaises(error.UsageError, keys.getPublicKeyString)
        self.assertRaises(error.UsageError, keys.getPrivateKeyObject)
        self.assertRaises(error.BadKeyError, keys.getPrivateKeyObject, data=publicKey)
        self.assertRaises(OSError, keys.getPublicKeyString, self.mktemp())


class FromStringTests(SynchronousTestCase):
    def setUp(self):
        self.patch(openssh, "DEFAULT_ROUNDS", 1)

    def test_everyType(self):
        for name, kind, sshType, size in TYPES:
            key = vector(name)
            self.assertEqual((key.type(), key.sshType(), key.size()), (kind, sshType, size))
            self.assertFalse(key.isPublic())
            self.assertEqual(key.comment, f"{name}@vectors".encode())
            public = Key.fromString(keyText(f"{name}.pub").decode())
            self.assertTrue(public.isPublic())
            self.assertEqual(key.public(), public)
            self.assertEqual(key.public().comment, key.comment)

    def test_typeByName(self):
        rsa = vector("rsa")
        for type, data in [
            ("blob", rsa.blob()),
            ("private_blob", rsa.privateBlob()),
            ("public_openssh", keyText("rsa.pub")),
            ("private_openssh", keyText("rsa.openssh")),
            ("private_openssh", keyText("rsa.pem")),
            ("private_openssh", keyText("rsa.pkcs8")),
            ("public_lsh", rsa.public().toString("lsh")),
            ("private_lsh", rsa.toString("lsh")),
            ("agentv3", rsa.toString("agentv3")),
        ]:
            for name in (type, type.upper(), None):
                self.assertEqual(Key.fromString(data, name).blob(), rsa.blob())
            wrong = "private_lsh" if type != "private_lsh" else "blob"
            self.assertRaises(error.BadKeyError, Key.fromString, data, wrong)

    def test_unknownType(self):
        for type in ("x509", "", "openssh", "private_\x1b"):
            refused = self.assertRaises(error.BadKeyError, Key.fromString, keyText("rsa.pub"), type)
            self.assertTrue(str(refused).isprintable())

    def test_guessing(self):
        for data in (b"", "", b"no key", "☃", "\ud800", b"\0" * 40, keyText("rsa.sshsig")):
            self.assertRaises(error.BadKeyError, Key.fromString, data)

    def test_passphrases(self):
        for name in ("ed25519.openssh-encrypted", "rsa.pem-encrypted", "rsa.pkcs8-encrypted"):
            data = keyText(name)
            for passphrase in (PASSPHRASE, PASSPHRASE.decode()):
                self.assertFalse(Key.fromString(data, passphrase=passphrase).isPublic())
            for passphrase in (None, "", b""):
                self.assertRaises(error.EncryptedKeyError, Key.fromString, data, passphrase=passphrase)
            self.assertRaises(error.BadPassphrase, Key.fromString, data, passphrase="wrong")

    def test_passphraseThatIsNotNeeded(self):
        """
        Who gives one believes that the key is encrypted.
        """
        for name in ("ed25519.openssh", "rsa.pem", "rsa.pkcs8", "rsa.pub", "lsh.canonical", "lsh.pub"):
            refused = self.assertRaises(error.BadKeyError, Key.fromString, keyText(name), passphrase="secret")
            self.assertIn("not encrypted", str(refused))
            self.assertNotIsInstance(refused, error.EncryptedKeyError)

    def test_passphraseIsNormalised(self):
        """
        However the letters were put together, they are the same letters.
        """
        text = vector("ed25519").toString("openssh", passphrase="caf\u00e9")
        for passphrase in ("caf\u00e9", "cafe\u0301", b"caf\xc3\xa9"):
            self.assertEqual(Key.fromString(text, passphrase=passphrase), vector("ed25519"))

    def test_passphraseNobodyCanNormalise(self):
        for passphrase in ("\uffff", "\u0378", "\ud800"):
            with self.assertRaises(keys.PassphraseNormalizationError):
                Key.fromString(keyText("ed25519.openssh-encrypted"), passphrase=passphrase)
            with self.assertRaises(keys.PassphraseNormalizationError):
                vector("ed25519").toString("openssh", passphrase=passphrase)

    @settings(max_examples=150, deadline=None)
    @given(
        st.one_of(st.binary(max_size=200), st.text(max_size=100)),
        st.sampled_from([None, "blob", "agentv3"]),
    )
    def test_anything(self, data: bytes | str, type: str | None):
        """
        Row 66: any bytes and any text are a key or BadKeyError.
        """
        try:
            key = Key.fromString(data, type)
        except error.BadKeyError:
            return
        self.assertEqual(Key.fromString(key.blob()), key.public())


class FromFileTests(SynchronousTestCase):
    def write(self, data: bytes) -> str:
        path = self.mktemp()
        writeWhole(path, data)
        return path

    def test_fromFile(self):
        path = self.write(keyText("ecdsa256.openssh"))
        for name in (path, os.fsencode(path), Path(path)):
            self.assertEqual(Key.fromFile(name), vector("ecdsa256"))
        self.assertEqual(Key.fromFile(path, "private_openssh"), vector("ecdsa256"))
        self.assertRaises(error.BadKeyError, Key.fromFile, path, type="public_openssh")

    def test_errorsNameTheFile(self):
        for data, passphrase, wanted in [
            (b"nothing", None, error.UnknownKeyFormat),
            (keyText("ed25519.openssh")[:-40], None, error.DamagedKey),
            (keyText("ed25519.openssh-encrypted"), None, error.EncryptedKeyError),
            (keyText("ed25519.openssh-encrypted"), "wrong", error.BadPassphrase),
            (b"x" * (MAXIMUM_FILE_SIZE + 1), None, error.UnknownKeyFormat),
        ]:
            path = self.write(data)
            refused = self.assertRaises(wanted, Key.fromFile, path, passphrase=passphrase)
            self.assertIs(refused.__class__, wanted)
            self.assertIn(path, str(refused))

    def test_noFile(self):
        self.assertRaises(FileNotFoundError, Key.fromFile, self.mktemp())

    def test_whatIsNoFile(self):
        """
        Nobody waits for a FIFO, or for the end of what has none.
        """
        path = self.mktemp()
        os.mkfifo(path)
        for name in (path, "/dev/zero", "/"):
            refused = self.assertRaises(OSError, Key.fromFile, name)
            self.assertIn("not a regular file", str(refused))
            self.assertIn(name, str(refused))

    def test_exposed(self):
        """
        What others may read is refused as ssh(1) refuses it, if it is a
        private key, and ours.
        """
        for name in ("ed25519.openssh", "ed25519.openssh-encrypted", "rsa.pem", "rsa.ppk2", "lsh.canonical"):
            passphrase = PASSPHRASE if name.endswith("encrypted") else None
            path = self.write(keyText(name))
            for mode in (0o604, 0o640, 0o610, 0o777):
                os.chmod(path, mode)
                refused = self.assertRaises(error.ExposedKeyFile, Key.fromFile, path, passphrase=passphrase)
                self.assertTrue(str(refused).startswith(path))
                self.assertIn(f"mode {mode:04o}", str(refused))
                self.assertTrue(str(refused).endswith(f"chmod 600 {path}"))
                Key.fromFile(path, passphrase=passphrase, checkPermissions=False)
            for mode in (0o600, 0o400, 0o700):
                os.chmod(path, mode)
                Key.fromFile(path, passphrase=passphrase)
            os.chmod(path, 0o640)
            with mock.patch("os.getuid", return_value=os.getuid() + 1):
                Key.fromFile(path, passphrase=passphrase)
        path = self.write(keyText("ed25519.pub"))
        os.chmod(path, 0o666)
        self.assertEqual(Key.fromFile(path), vector("ed25519").public())


class LaterTests(SynchronousTestCase):
    """
    In a thread.
    """

    def setUp(self):
        self.reactor = Threads()

    def test_fromFileLater(self):
        path = self.mktemp()
        writeWhole(path, keyText("ed25519.openssh-encrypted"))
        for passphrase, wanted in ((PASSPHRASE, None), ("wrong", error.BadPassphrase)):
            waiting = Key.fromFileLater(self.reactor, path, passphrase=passphrase)
            self.assertNoResult(waiting)
            self.reactor.work()
            if wanted is None:
                self.assertEqual(self.successResultOf(waiting), vector("ed25519"))
            else:
                self.assertIn(path, str(self.failureResultOf(waiting, wanted).value))
        os.chmod(path, 0o644)
        waiting = Key.fromFileLater(self.reactor, path)
        self.reactor.work()
        self.failureResultOf(waiting, error.ExposedKeyFile)
        waiting = Key.fromFileLater(self.reactor, path, checkPermissions=False)
        self.reactor.work()
        self.failureResultOf(waiting, error.EncryptedKeyError)

    def test_fromStringLater(self):
        data = keyText("ed25519.openssh-encrypted")
        waiting = Key.fromStringLater(self.reactor, data, "private_openssh", PASSPHRASE)
        self.assertNoResult(waiting)
        self.reactor.work()
        self.assertEqual(self.successResultOf(waiting), vector("ed25519"))
        waiting = Key.fromStringLater(
            self.reactor, data, effort=Effort(bcryptRounds=3), passphrase=PASSPHRASE
        )
        self.reactor.work()
        self.assertIn("4 rounds", str(self.failureResultOf(waiting, error.BadKeyError).value))

    def test_cancel(self):
        waiting = Key.fromStringLater(self.reactor, keyText("ed25519.pub"))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.reactor.work()


class ToFileTests(SynchronousTestCase):
    def setUp(self):
        self.path = self.mktemp()
        self.addCleanup(os.umask, os.umask(0))

    def modeOf(self) -> int:
        return os.stat(self.path).st_mode & 0o7777

    def test_private(self):
        """
        Row 88: nobody else reads it, though the umask would let them.
        """
        key = vector("ecdsa256")
        key.toFile(self.path)
        self.assertEqual(self.modeOf(), 0o600)
        again = Key.fromFile(self.path)
        self.assertEqual((again, again.comment), (key, key.comment))
        with open(self.path, "rb") as stream:
            self.assertTrue(stream.read().startswith(b"-----BEGIN OPENSSH"))
        self.assertRaises(FileExistsError, key.toFile, self.path)
        key.toFile(
            self.path,
            comment="new",
            passphrase="secret",
            cipher="chacha20-poly1305@openssh.com",
            rounds=1,
            replace=True,
        )
        again = Key.fromFile(self.path, passphrase="secret")
        self.assertEqual((again, again.comment, self.modeOf()), (key, b"new", 0o600))

    def test_formats(self):
        key = vector("rsa")
        for type, subtype, begin in [
            ("openssh", "PEM", b"-----BEGIN RSA PRIVATE KEY"),
            ("openssh", "PKCS8", b"-----BEGIN PRIVATE KEY"),
            ("pem", None, b"-----BEGIN RSA PRIVATE KEY"),
            ("PKCS8", "v1", b"-----BEGIN PRIVATE KEY"),
            ("lsh", None, b"(11:private-key"),
        ]:
            key.toFile(self.path, type, subtype, replace=True)
            with open(self.path, "rb") as stream:
                self.assertTrue(stream.read().startswith(begin))
            self.assertEqual((Key.fromFile(self.path), self.modeOf()), (key, 0o600))

    def test_public(self):
        key = vector("rsa").public()
        for type, begin in [
            ("openssh", b"ssh-rsa "),
            ("rfc4716", b'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "rsa@vectors"\n'),
            ("pem", b"-----BEGIN RSA PUBLIC KEY-----\n"),
            ("pkcs8", b"-----BEGIN PUBLIC KEY-----\n"),
            ("lsh", b"{"),
        ]:
            key.toFile(self.path, type, replace=True)
            with open(self.path, "rb") as stream:
                text = stream.read()
            self.assertTrue(text.startswith(begin), text)
            self.assertTrue(text.endswith(b"\n"))
            self.assertEqual((Key.fromFile(self.path), self.modeOf()), (key, 0o644))
        key.toFile(self.path, replace=True)
        self.assertEqual(Key.fromFile(self.path).comment, b"rsa@vectors")

    def test_cannot(self):
        """
        Then there is no file.
        """
        key = vector("ed25519")
        for wanted, arguments in [
            (error.UsageError, {"type": "pem"}),
            (error.UsageError, {"type": "pkcs8", "rounds": 3}),
            (error.UsageError, {"cipher": "aes-none", "passphrase": "x"}),
            (error.BadKeyError, {"type": "rfc4716"}),
            (error.BadKeyError, {"subtype": "v2"}),
        ]:
            self.assertRaises(wanted, key.toFile, self.path, **arguments)
        for arguments in ({"passphrase": "x"}, {"type": "agentv3"}):
            self.assertRaises(error.UsageError, key.public().toFile, self.path, **arguments)
        self.assertFalse(os.path.exists(self.path))

    def test_randomart(self):
        lines = keyText("randomart").decode("ascii").splitlines()
        self.assertEqual(vector("ed25519").randomart().splitlines(), lines[1:12])


class ToStringTests(SynchronousTestCase):
    def setUp(self):
        self.patch(openssh, "DEFAULT_ROUNDS", 1)

    def test_public(self):
        for name, *_ in TYPES:
            key = vector(name)
            line = keyText(f"{name}.pub").strip()
            comment = f"{name}@vectors"
            self.assertEqual(key.public().toString("openssh", comment=comment), line)
            self.assertEqual(key.public().toString("OpenSSH", comment=comment.encode()), line)
            self.assertEqual(key.public().toString("openssh", comment), line)
            self.assertEqual(key.public().toString("openssh"), line.rpartition(b" ")[0])

    def test_privateSubtypes(self):
        for name, kind, _, _ in TYPES:
            key = vector(name)
            for subtype, begin in [
                (None, b"OPENSSH" if kind == "Ed25519" else kind.encode()),
                ("v1", b"OPENSSH"),
                ("PKCS8", b"PRIVATE"),
            ]:
                text = key.toString("openssh", subtype=subtype)
                self.assertTrue(text.startswith(b"-----BEGIN " + begin), text[:40])
                self.assertEqual(Key.fromString(text), key)
        self.assertRaises(error.UsageError, vector("ed25519").toString, "openssh", subtype="PEM")
        self.assertRaises(error.BadKeyError, vector("rsa").toString, "openssh", subtype="v2")

    def test_comment(self):
        text = vector("ecdsa521").toString("openssh", subtype="v1", comment="hello")
        self.assertEqual(Key.fromString(text).comment, b"hello")

    def test_encrypted(self):
        key = vector("ecdsa256")
        for subtype in ("v1", "PEM", "PKCS8"):
            text = key.toString("openssh", subtype=subtype, passphrase="secret")
            self.assertRaises(error.EncryptedKeyError, Key.fromString, text)
            self.assertEqual(Key.fromString(text, passphrase=b"secret"), key)
        text = key.toString("openssh", "secret")
        self.assertEqual(Key.fromString(text, passphrase="secret"), key)
        for type in ("lsh", "agentv3"):
            self.assertRaises(error.UsageError, vector("rsa").toString, type, passphrase="secret")
        self.assertRaises(error.UsageError, key.public().toString, "openssh", passphrase="secret")

    def test_lshAndAgent(self):
        key = Key.fromString(keyText("lsh.canonical"))
        self.assertEqual(key.toString("lsh"), keyText("lsh.canonical"))
        self.assertEqual(key.public().toString("LSH"), keyText("lsh.pub"))
        self.assertEqual(Key.fromString(key.toString("agentv3")), key)
        self.assertRaises(error.UsageError, key.public().toString, "agentv3")
        self.assertRaises(error.UsageError, vector("ed25519").toString, "lsh")

    def test_unknown(self):
        self.assertRaises(error.BadKeyError, vector("rsa").toString, "x509")


class KeyTests(SynchronousTestCase):
    def test_fingerprintsAsOpenSSHShowsThem(self):
        lines = [line.split() for line in keyText("fingerprints").decode().splitlines()]
        self.assertEqual(len(lines), 2 * len(TYPES))
        for size, shown, comment, _ in lines:
            key = vector(comment.partition("@")[0])
            self.assertEqual(key.size(), int(size))
            kind, _, digest = shown.partition(":")
            if kind == "MD5":
                self.assertEqual(key.fingerprint(), digest)
                self.assertEqual(key.public().fingerprint(FingerprintFormats.MD5_HEX), digest)
                self.assertEqual(hostKeyFingerprint(key.blob()), digest)
            else:
                self.assertEqual(key.fingerprint(FingerprintFormats.SHA256_BASE64), digest + "=")
                self.assertEqual(hostKeyFingerprint(key.blob()).sha256, shown)
                self.assertIn(shown, repr(key))

    def test_fingerprintFormats(self):
        for format in ("md5-hex", "MD5_HEX", None):
            self.assertRaises(keys.BadFingerPrintFormat, vector("rsa").fingerprint, format)

    def test_data(self):
        for name, kind, sshType, _ in TYPES:
            key = vector(name)
            public, private = key.public().data(), key.data()
            self.assertEqual({**private, **public}, private)
            extra = set(private) - set(public)
            if kind == "RSA":
                self.assertEqual((set(public), extra), ({"n", "e"}, {"d", "p", "q", "u"}))
                self.assertEqual(private["p"] * private["q"], private["n"])
                self.assertEqual(private["u"] * private["q"] % private["p"], 1)
            elif kind == "EC":
                self.assertEqual((set(public), extra), ({"x", "y", "curve"}, {"privateValue"}))
                self.assertEqual(public["curve"], sshType)
            else:
                self.assertEqual((set(public), extra), ({"a"}, {"k"}))
                self.assertEqual(key.blob(), packString(sshType) + packString(public["a"]))
                self.assertTrue(key.privateBlob().endswith(private["k"] + public["a"]))

    def test_blobs(self):
        for name, *_ in TYPES:
            key = vector(name)
            self.assertEqual(Key.fromString(key.blob(), "blob"), key.public())
            self.assertEqual(key.public().blob(), key.blob())
            self.assertEqual(Key.fromString(key.privateBlob(), "private_blob"), key)
            self.assertRaises(error.UsageError, key.public().privateBlob)

    def test_equality(self):
        made = [vector(name) for name, *_ in TYPES]
        every = made + [key.public() for key in made]
        for i, first in enumerate(every):
            for j, second in enumerate(every):
                self.assertEqual(first == second, i == j)
                self.assertEqual(first != second, i != j)
            self.assertNotEqual(first, first.blob())
        self.assertEqual(len({*every, *map(vector, ["rsa", "ed25519"])}), len(every))
        self.assertEqual(vector("rsa"), Key.fromString(keyText("rsa.pem")))

    def test_reprHasNothingSecret(self):
        for name, kind, _, size in TYPES:
            key = vector(name)
            shown = repr(key)
            self.assertIn(kind, shown)
            self.assertIn(f"{size} bits", shown)
            self.assertIn("private", shown)
            self.assertIn("public", repr(key.public()))
            for value in key.data().values():
                text = value.hex() if isinstance(value, bytes) else str(value)
                if len(text) > 6:
                    self.assertNotIn(text, shown)

    def test_wrapsLibraryKeys(self):
        key = vector("rsa")
        self.assertIsInstance(key._keyObject, RSAPrivateKey)
        self.assertEqual(Key(key._keyObject), key)
        self.assertEqual(Key(key._keyObject.public_key()), key.public())
        for other in (None, b"", object()):
            self.assertRaises(error.BadKeyError, Key, other)

    def test_generate(self):
        for type, bits, kind, size in [
            ("ed25519", None, b"ssh-ed25519", 256),
            ("Ed25519", 256, b"ssh-ed25519", 256),
            ("ecdsa", None, b"ecdsa-sha2-nistp256", 256),
            ("ecdsa", 521, b"ecdsa-sha2-nistp521", 521),
            ("rsa", 1024, b"ssh-rsa", 1024),
            ("ed448", None, b"ssh-ed448", 448),
        ]:
            key = Key.generate(type, bits)
            self.assertEqual((key.sshType(), key.size(), key.isPublic()), (kind, size, False))
            self.assertNotEqual(key, Key.generate(type, bits))
        for type, bits in [
            ("dsa", None),
            ("ecdsa", 512),
            ("ed25519", 255),
            ("ed448", 456),
            ("rsa", 512),
            ("rsa", 100000),
        ]:
            self.assertRaises(error.UsageError, Key.generate, type, bits)

    def test_choices(self):
        """
        Who asks for what there is not is told what there is.
        """
        for wanted, raised, call in (
            ("256, 384, 521", error.UsageError, lambda: Key.generate("ecdsa", 512)),
            ("from 1024 to 16384", error.UsageError, lambda: Key.generate("rsa", 512)),
            ("ed25519, ecdsa, rsa, ed448", error.UsageError, lambda: Key.generate("dsa")),
            ("private_putty", error.BadKeyError, lambda: Key.fromString(b"", "putty")),
            (
                "openssh, pem, pkcs8, lsh",
                error.BadKeyError,
                lambda: Key.generate("ed25519").toString("putty"),
            ),
            ("openssh, rfc4716", error.BadKeyError, lambda: Key.generate("ed25519").public().toString("x")),
        ):
            self.assertIn(wanted, str(self.assertRaises(raised, call)))

    def test_ed448(self):
        """
        An Ed448 key is written and read in every form that can hold it.
        """
        key = Key.generate("ed448")
        self.assertEqual((key.type(), sorted(key.data())), ("Ed448", ["a", "k"]))
        for text, passphrase in (
            (key.toString("openssh", comment="who"), None),
            (key.toString("openssh", passphrase="secret"), "secret"),
            (key.toString("openssh", subtype="PKCS8"), None),
            (key.privateBlob(), None),
        ):
            self.assertEqual(Key.fromString(text, passphrase=passphrase), key)
        self.assertTrue(key.toString("openssh").startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"))
        public = key.public().toString("openssh")
        self.assertTrue(public.startswith(b"ssh-ed448 AAAA"))
        self.assertEqual(Key.fromString(public), key.public())
        self.assertEqual(Key.fromString(key.blob()), key.public())
        self.assertTrue(key.public().verify(key.sign(b"data"), b"data"))
        self.assertRaises(error.UsageError, key.toString, "openssh", subtype="PEM")
        self.assertRaises(error.UsageError, key.toString, "lsh")


class SignTests(SynchronousTestCase):
    def test_preferredAlgorithm(self):
        for name, kind, sshType, _ in TYPES:
            key = vector(name)
            algorithms = key.supportedSignatureAlgorithms()
            self.assertEqual(
                algorithms, [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"] if kind == "RSA" else [sshType]
            )
            signature = key.sign(b"data")
            self.assertEqual(Reader(signature).string(), algorithms[0])
            self.assertTrue(key.verify(signature, b"data"))

    def test_everyAlgorithm(self):
        for name, *_ in TYPES:
            key = vector(name)
            for algorithm in key.supportedSignatureAlgorithms():
                for asked in (algorithm, algorithm.decode()):
                    signature = key.sign(b"data", asked)
                    self.assertEqual(Reader(signature).string(), algorithm)
                    self.assertIsNone(key.verifyStrictly(signature, b"data", algorithm))
                    # SHA-1 has to be asked for.
                    verdict = key.public().verify(signature, b"data")
                    self.assertIs(verdict, algorithm != b"ssh-rsa")

    def test_foreignAlgorithms(self):
        for name, kind, *_ in TYPES:
            foreign = "ssh-ed25519" if kind != "Ed25519" else "rsa-sha2-256"
            for algorithm in ("ssh-dss", foreign, "\ud800"):
                self.assertRaises(keys.BadSignatureAlgorithmError, vector(name).sign, b"data", algorithm)

    def test_publicKeyCannotSign(self):
        self.assertRaises(error.UsageError, vector("rsa").public().sign, b"data")

    def test_verify(self):
        """
        False for whatever is not the key's signature: it never raises.
        """
        for name, *_ in TYPES:
            key, other = vector(name), Key.generate("ed25519")
            signature = key.sign(b"data")
            for bad in [b"", b"\0\0\0\4", signature[:-1], signature + b"\0", other.sign(b"data")]:
                self.assertIs(key.verify(bad, b"data"), False)
            self.assertIs(key.verify(signature, b"Data"), False)
            self.assertIs(other.verify(signature, b"data"), False)

    def test_verifyTakesAnyAlgorithmOfTheKey(self):
        key = vector("rsa")
        signature = key.sign(b"data", "rsa-sha2-256")
        self.assertTrue(key.verify(signature, b"data"))
        self.assertRaises(error.BadSignature, key.verifyStrictly, signature, b"data", b"rsa-sha2-512")
        self.assertRaises(error.MalformedMessage, key.verifyStrictly, b"\0", b"data", b"rsa-sha2-512")

    def test_checkSize(self):
        small = Key.generate("rsa", 1024)
        self.assertRaises(keys.WeakKey, small.checkSize)
        self.assertRaises(keys.WeakKey, small.public().checkSize, 1025)
        self.assertIsNone(small.checkSize(1024))
        self.assertIsNone(vector("ed25519").checkSize(16384))

    def test_faultySignatureIsKeptBack(self):
        """
        Row 42: it is not handed out, and the log says so.
        """
        key = vector("rsa")
        faulty = mock.patch.object(key._keyType, "sign", side_effect=error.BadSignature("no"))
        with faulty, capturedLogs() as events:
            self.assertRaises(error.BadSignature, key.sign, b"data")
        self.assertEqual([event["log_level"] for event in events], [LogLevel.critical])
        self.assertIn("came out wrong", events[0]["log_format"])


class FingerprintTests(SynchronousTestCase):
    def setUp(self):
        self.text = "b1:94:6a:c9:24:92:d2:34:7c:62:35:b4:d2:61:11:84"
        self.fingerprint = Fingerprint(self.text, "SHA256:abc")

    def test_equalsTextAndBytes(self):
        for same in (self.text, self.text.encode(), Fingerprint(self.text)):
            self.assertTrue(self.fingerprint == same)
            self.assertTrue(same == self.fingerprint)
            self.assertFalse(self.fingerprint != same)
            self.assertFalse(same != self.fingerprint)
        upper = self.text.upper()
        for other in (upper, upper.encode(), "", b"", b"\xff", None, 1, "SHA256:abc", "MD5:" + self.text):
            self.assertFalse(self.fingerprint == other)
            self.assertFalse(other == self.fingerprint)
            self.assertTrue(self.fingerprint != other)
            self.assertTrue(other != self.fingerprint)

    def test_inContainers(self):
        self.assertEqual(hash(self.fingerprint), hash(self.text))
        self.assertIn(self.fingerprint, {self.text})
        self.assertIn(self.text, {self.fingerprint})
        self.assertIn(self.fingerprint, [self.text.encode()])

    def test_isText(self):
        self.assertIsInstance(self.fingerprint, str)
        self.assertEqual(f"{self.fingerprint}", self.text)
        self.assertEqual(self.fingerprint.sha256, "SHA256:abc")

    def test_copies(self):
        again = pickle.loads(pickle.dumps(self.fingerprint))
        self.assertEqual((again, again.sha256), (self.text, "SHA256:abc"))

    def test_ofAnyBytes(self):
        """
        The blob is not parsed.
        """
        shown = hostKeyFingerprint(b"")
        self.assertEqual(shown, "d4:1d:8c:d9:8f:00:b2:04:e9:80:09:98:ec:f8:42:7e")
        self.assertEqual(shown.sha256, "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")


class ImportTests(SynchronousTestCase):
    def loaded(self, source: str) -> set[str]:
        """
        What a fresh interpreter has imported after C{source}.
        """
        program = source + "\nimport sys\nprint(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def test_fingerprintNeedsNoCryptography(self):
        loaded = self.loaded("from conchlite.ssh.keys import hostKeyFingerprint; hostKeyFingerprint(b'x')")
        self.assertIn("conchlite.ssh.keys", loaded)
        self.assertNotIn("cryptography", loaded)

    def test_hostKeyNeedsNoSerialization(self):
        loaded = self.loaded(
            "from conchlite.algorithms.publickeys.signatures import readPublicKey\n"
            f"readPublicKey({vector('ecdsa256').blob()!r})"
        )
        self.assertIn("conchlite.algorithms.publickeys.ecdsa", loaded)
        self.assertNotIn("cryptography.hazmat.primitives.serialization", loaded)
