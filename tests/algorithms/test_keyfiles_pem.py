"""
Private keys in PEM, as ssh-keygen and openssl wrote them.
"""

from __future__ import annotations

import binascii
import hashlib
import time
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from conchlite.algorithms.keyfiles import pem
from conchlite.algorithms.loading import USUAL_EFFORT
from conchlite.algorithms.publickeys.signatures import packPrivateKey
from conchlite.error import (
    BadKeyError,
    BadPassphrase,
    EncryptedKeyError,
    UsageError,
)
from tests.algorithms.keyfilecases import NAMES, KeyFileTestCase, privateKey
from tests.algorithms.keyvectors import PASSPHRASE, keyText


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
            (pem.PKCS8, "ecdsa256.pkcs8-pbes1"),
            (pem.TRADITIONAL, "ecdsa256.pem-aes192"),
            (pem.TRADITIONAL, "ecdsa256.pem-aes256"),
            (pem.TRADITIONAL, "ecdsa256.pem-des3"),
            (pem.TRADITIONAL, "rsa.pem-aes192"),
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

    def test_noEnd(self):
        """
        That a key does not end is found out at once, however often it begins.
        """
        started = time.process_time()
        for data in (
            b"-----BEGIN RSA PRIVATE KEY-----\n" * 32_000,
            b"-----BEGIN RSA PRIVATE KEY-----" + b"\n" * 1_000_000,
            b"-----BEGIN RSA PRIVATE KEY-----\n" + b"-----END RSA PRIVATE KEY----- x\n" * 32_000,
        ):
            self.assertTrue(pem.TRADITIONAL.recognises(data))
            self.assertRaises(BadKeyError, pem.TRADITIONAL.load, data, None)
        self.assertLess(time.process_time() - started, 1)

    def test_badHeaders(self):
        """
        cryptography 50.0.2 would panic at an initial vector that is too short.
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
            self.assertRegex(str(error), "not supported|wrong length")

    def test_othersRunMeanwhile(self):
        """
        The library holds all threads up while it works on a passphrase: it gets
        the key in clear, but for what is encrypted in a way of the past.
        """
        for name, ours in [
            ("ecdsa256.pkcs8-encrypted", True),
            ("rsa.pkcs8-encrypted", True),
            ("ecdsa256.pkcs8-scrypt", True),
            ("ecdsa256.pkcs8-pbes1", False),
        ]:
            for passphrase in (PASSPHRASE, b"wrong"):
                with mock.patch.object(pem, "_load", wraps=pem._load) as library:
                    try:
                        pem.PKCS8.load(keyText(name), passphrase)
                    except BadPassphrase:
                        self.assertEqual(passphrase, b"wrong")
                given = [call.args[1] for call in library.call_args_list]
                wanted = [None] if passphrase == PASSPHRASE else []
                self.assertEqual(given, wanted if ours else [passphrase], name)

    def test_oddDerivations(self):
        """
        Options that are odd, or refused, are left to the library.
        """
        salt, number, sha256 = (4, b"salt"), (2, b"\x10"), (0x30, bytes.fromhex("06082a864886f70d0209"))
        derived = pem._derived(pem._PBKDF2, [salt, number, (2, b"\x20"), sha256], b"secret", 32)
        self.assertEqual(derived, hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 16, 32))
        bare = pem._derived(pem._PBKDF2, [salt, number], b"secret", 32)
        self.assertEqual(bare, hashlib.pbkdf2_hmac("sha1", b"secret", b"salt", 16, 32))
        for kdf, options in [
            (pem._PBKDF2, []),
            (pem._PBKDF2, [salt]),
            (pem._PBKDF2, [number, salt]),
            (pem._PBKDF2, [salt, number, (2, b"\x10")]),
            (pem._PBKDF2, [salt, number, number, number]),
            (pem._PBKDF2, [salt, (2, b"\0")]),
            (pem._PBKDF2, [salt, (2, b"\xff")]),
            (pem._PBKDF2, [salt, number, (0x30, b"")]),
            (pem._PBKDF2, [salt, number, (0x30, b"\x06\x01\x01")]),
            (pem._SCRYPT, [salt, number, number]),
            (pem._SCRYPT, [salt, (2, b"\x11"), number, number]),
            (pem._SCRYPT, [salt, number, number, (2, b"\0")]),
            (pem._SCRYPT, [salt, number, number, (2, b"\xff")]),
            (b"other", [salt, number]),
        ]:
            self.assertIsNone(pem._derived(kdf, list(options), b"secret", 32), options)

    def test_memoryOfScrypt(self):
        """
        Row 89's other half, too: scrypt with a small N and a large r has its
        memory beside the blocks that N counts.
        """

        def element(tag: int, content: bytes) -> bytes:
            return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content

        def check(*numbers: int) -> None:
            integers = b"".join(element(2, n.to_bytes(4, "big")) for n in numbers)
            kdf = element(0x30, element(6, pem._SCRYPT) + element(0x30, element(4, b"salt") + integers))
            parameters = element(0x30, kdf + element(0x30, b""))
            algorithm = element(0x30, element(6, pem._PBES2) + parameters)
            pem._checkWork(element(0x30, algorithm + element(4, b"")), USUAL_EFFORT)

        for numbers in ((2**18, 8, 1), (2**14, 8, 16), (2**14, 128, 1), (16, 1, 1), (2, 1, 2**17)):
            check(*numbers)
        for numbers in ((2, 2**20, 1), (2, 2**18, 4), (4, 2**19, 1), (2, 1024, 1024), (2**19, 8, 1)):
            self.assertRaises(BadKeyError, check, *numbers)

    def test_workIsBoundedBeforeItIsDone(self):
        """
        Row 89's other half: PKCS#8 names its own number of iterations too.
        """
        data = keyText("ecdsa256.pkcs8-encrypted")
        der = pem.decodeBase64(b"".join(data.splitlines()[1:-1]), "")
        iterations = bytes.fromhex("02020800")  # INTEGER 2048
        self.assertEqual(der.count(iterations), 1)
        pem._checkWork(der, USUAL_EFFORT)
        for bad in (2_000_001, 2**31 - 1, 2**63):
            number = bad.to_bytes(bad.bit_length() // 8 + 1, "big")
            changed = der.replace(iterations, bytes((2, len(number))) + number)
            # Every length around it grows by as much.
            changed = _relengthened(changed, len(changed) - len(der))
            self.assertRaises(BadKeyError, pem._checkWork, changed, USUAL_EFFORT)
            text = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%b-----END ENCRYPTED PRIVATE KEY-----\n"
            with mock.patch.object(pem, "_load") as library:
                self.assertRaises(
                    BadKeyError, pem.PKCS8.load, text % binascii.b2a_base64(changed), PASSPHRASE
                )
            self.assertFalse(library.called)
        scrypt = pem.decodeBase64(b"".join(keyText("ecdsa256.pkcs8-scrypt").splitlines()[1:-1]), "")
        pem._checkWork(scrypt, USUAL_EFFORT)
        cost = bytes.fromhex("02024000")  # INTEGER 16384
        self.assertEqual(scrypt.count(cost), 1)
        changed = _relengthened(scrypt.replace(cost, bytes.fromhex("020400800000")), 2)
        self.assertRaises(BadKeyError, pem._checkWork, changed, USUAL_EFFORT)

    def test_integersOfTheCipher(self):
        """
        Another algorithm's integers do not take the place of scrypt's.
        """

        def element(tag, *contents):
            content = b"".join(contents)
            return bytes((tag, len(content))) + content

        def scrypt(*numbers):
            integers = (element(2, number.to_bytes(4, "big")) for number in numbers)
            name = element(6, bytes.fromhex("2b06010401da47040b"))
            derivation = element(0x30, name, element(0x30, element(4, b"salt"), *integers))
            # RC2, whose parameters begin with a version.
            cipher = element(0x30, element(6, b"rc2"), element(0x30, element(2, b"\x3a"), element(4, b"iv")))
            algorithm = element(0x30, element(6, b"pbes2"), element(0x30, derivation, cipher))
            return element(0x30, algorithm, element(4, b"key"))

        pem._checkWork(scrypt(16384, 2, 64), USUAL_EFFORT)
        self.assertRaises(BadKeyError, pem._checkWork, scrypt(16384, 2, 65), USUAL_EFFORT)

    def test_algorithmBeyondAllMeasure(self):
        body = b"\x30\x00" * 5000
        der = (
            b"\x30\x82"
            + (len(body) + 4).to_bytes(2, "big")
            + b"\x30\x82"
            + len(body).to_bytes(2, "big")
            + body
        )
        self.assertRaises(BadKeyError, pem._checkWork, der, USUAL_EFFORT)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=100))
    def test_anyDER(self, der: bytes):
        try:
            self.assertIsNone(pem._checkWork(der, USUAL_EFFORT))
        except BadKeyError:
            pass

    def test_keysThatSSHHasNot(self):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519

        for key in (
            x448.X448PrivateKey.generate(),
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
