"""
Tests for L{conchlite.algorithms.catalogue}: what is offered by default.
"""

from __future__ import annotations

import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.error import UsageError

_SERVER_KEY_EXCHANGES = (
    "mlkem768x25519-sha256 curve25519-sha256 curve25519-sha256@libssh.org "
    "ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521"
)
_CLIENT_KEY_EXCHANGES = (
    _SERVER_KEY_EXCHANGES + " diffie-hellman-group-exchange-sha256 diffie-hellman-group16-sha512 "
    "diffie-hellman-group18-sha512 diffie-hellman-group14-sha256"
)
_CIPHERS = (
    "aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com "
    "aes256-ctr aes192-ctr aes128-ctr"
)
_MACS = "hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512"


def names(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode().split())


class DefaultTests(SynchronousTestCase):
    """
    What is offered, and in which order.
    """

    def test_order(self) -> None:
        """
        It is the order of the table.
        """
        for offer, keyExchanges in (
            (catalogue.SERVER_DEFAULT, _SERVER_KEY_EXCHANGES),
            (catalogue.CLIENT_DEFAULT, _CLIENT_KEY_EXCHANGES),
        ):
            self.assertEqual(offer.keyExchanges, names(keyExchanges))
            self.assertEqual(offer.ciphers, names(_CIPHERS))
            self.assertEqual(offer.macs, names(_MACS))
            self.assertEqual(offer.compressions, (b"none",))

    def test_replacing(self) -> None:
        """
        A family is replaced, the others and the default stay.
        """
        offer = catalogue.SERVER_DEFAULT.replacing(ciphers=(b"aes128-ctr",))
        self.assertEqual(offer.ciphers, (b"aes128-ctr",))
        self.assertEqual(offer.macs, names(_MACS))
        self.assertEqual(catalogue.SERVER_DEFAULT.ciphers, names(_CIPHERS))

    def test_noNone(self) -> None:
        """
        C{none} as a cipher or a MAC does not exist: row 27.
        """
        self.assertRaises(UsageError, catalogue.cipher, b"none")
        self.assertRaises(UsageError, catalogue.mac, b"none")


class LegacyTests(SynchronousTestCase):
    """
    What is there for those who ask for it.
    """

    def test_set(self) -> None:
        """
        The legacy set is the client's default, and behind it what is legacy.
        """
        legacy, default = catalogue.LEGACY, catalogue.CLIENT_DEFAULT
        for family, names_ in (
            (
                "keyExchanges",
                "diffie-hellman-group-exchange-sha1 diffie-hellman-group14-sha1 diffie-hellman-group1-sha1",
            ),
            ("signatures", "ssh-rsa ssh-dss"),
            ("ciphers", "aes256-cbc aes192-cbc aes128-cbc 3des-cbc"),
            ("macs", "hmac-sha1-etm@openssh.com hmac-sha1 hmac-sha1-96 hmac-md5"),
            ("compressions", ""),
        ):
            modern = [n for n in getattr(default, family) if n != b"diffie-hellman-group18-sha512"]
            self.assertEqual(getattr(legacy, family), (*modern, *names(names_)))

    def test_notInTheDefaults(self) -> None:
        """
        Rows 9, 10, 27 and 45: no default has SHA-1, MD5, CBC, DSA, a small
        group or compression; and no set has C{none} or RSA key transport.
        """
        for default in (catalogue.CLIENT_DEFAULT, catalogue.SERVER_DEFAULT):
            offered = {
                *default.keyExchanges,
                *default.signatures,
                *default.ciphers,
                *default.macs,
            }
            self.assertEqual(offered & catalogue.LEGACY_NAMES, set())
            for name in offered:
                self.assertNotRegex(name, rb"sha1|md5|cbc|ssh-rsa|ssh-dss|zlib|group1-|none")
            self.assertEqual(default.compressions, (b"none",))
        for algorithms in (catalogue.CLIENT_DEFAULT, catalogue.SERVER_DEFAULT, catalogue.LEGACY):
            self.assertNotIn(b"none", algorithms.ciphers + algorithms.macs)
            self.assertEqual([], [n for n in algorithms.keyExchanges if n.startswith(b"rsa")])

    def test_largestGroupOfAServer(self) -> None:
        """
        Row 32: who serves the legacy set computes in no group of more than
        4096 bits.
        """
        self.assertNotIn(b"diffie-hellman-group18-sha512", catalogue.LEGACY.keyExchanges)
        for name in catalogue.LEGACY.keyExchanges:
            if b"group-exchange" in name:
                prime, _ = catalogue.keyExchange(name).choose(2048, 8192, 8192)
                self.assertEqual(prime.bit_length(), 4096)

    def test_everyName(self) -> None:
        """
        All of it is there, and is what its name says.
        """
        for name in catalogue.LEGACY.keyExchanges[-3:]:
            self.assertEqual(catalogue.keyExchange(name).hashName, "sha1")
        for name, sizes in (
            (b"aes128-cbc", (16, 16)),
            (b"aes192-cbc", (24, 16)),
            (b"aes256-cbc", (32, 16)),
            (b"3des-cbc", (24, 8)),
        ):
            cipher = catalogue.cipher(name)
            self.assertEqual((cipher.keySize, cipher.ivSize, cipher.hasOwnMAC), (*sizes, False))
        for name in catalogue.LEGACY.signatures:
            self.assertIn(name, catalogue.keyType(catalogue.keyTypeOfSignature(name)).signatureAlgorithms)

    def test_known(self) -> None:
        """
        What is known of a peer's offer comes in our order, not in its.
        """
        for family, offered, expected in (
            ("ciphers", "3des-cbc none arcfour aes128-ctr", "aes128-ctr 3des-cbc"),
            ("macs", "hmac-md5 hmac-sha1 none", "hmac-sha1 hmac-md5"),
            ("signatures", "ssh-dss ssh-rsa rsa-sha2-256 x", "rsa-sha2-256 ssh-rsa ssh-dss"),
            ("compressions", "zlib none x", "none zlib"),
            (
                "keyExchanges",
                "rsa1024-sha1 diffie-hellman-group18-sha512 diffie-hellman-group1-sha1",
                "diffie-hellman-group1-sha1 diffie-hellman-group18-sha512",
            ),
        ):
            self.assertEqual(catalogue.known(family, names(offered)), names(expected))


class LookUpTests(SynchronousTestCase):
    """
    From a name to what it stands for.
    """

    def test_everyName(self) -> None:
        """
        Whatever is offered is there.
        """
        for name in catalogue.available(catalogue.CLIENT_DEFAULT.keyExchanges):
            self.assertIn(catalogue.keyExchange(name).hashName, ("sha256", "sha384", "sha512"))
        for name in catalogue.SERVER_DEFAULT.ciphers:
            cipher = catalogue.cipher(name)
            self.assertEqual(cipher.hasOwnMAC, name.endswith(b"@openssh.com"))
            self.assertIn(cipher.keySize, (16, 24, 32, 64))
        for name in catalogue.SERVER_DEFAULT.macs:
            self.assertEqual(catalogue.mac(name).keySize, catalogue.mac(name).tagSize)

    def test_keySizes(self) -> None:
        """
        Ciphers want the keys and initial vectors that their RFCs say.
        """
        expected = ((16, 12), (32, 12), (64, 0), (32, 16), (24, 16), (16, 16))
        for name, sizes in zip(catalogue.SERVER_DEFAULT.ciphers, expected, strict=True):
            cipher = catalogue.cipher(name)
            self.assertEqual((cipher.keySize, cipher.ivSize), sizes, name)

    def test_unknown(self) -> None:
        """
        A name that is not in the table is our caller's mistake, and shown
        harmlessly.
        """
        for look in (catalogue.keyExchange, catalogue.cipher, catalogue.mac):
            with self.assertRaises(UsageError) as caught:
                look(b"aes\x1b[2J")
            self.assertIn("aes\\x1b[2J", str(caught.exception))

    def test_late(self) -> None:
        """
        Neither the table nor the offers import any cryptography.
        """
        program = "import sys, conchlite.algorithms.catalogue; print('cryptography' in sys.modules)"
        printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(printed.stdout.strip(), "False")


class Lacking:
    """
    A key of a kind that the installed C{cryptography} cannot do.
    """

    @staticmethod
    def generate() -> None:
        from cryptography.exceptions import UnsupportedAlgorithm

        raise UnsupportedAlgorithm("not here")


class PostQuantumTests(SynchronousTestCase):
    """
    Who requires post-quantum key exchange gets it, or an error at once.
    """

    def setUp(self) -> None:
        catalogue._works.cache_clear()
        self.addCleanup(catalogue._works.cache_clear)

    def test_which(self) -> None:
        """
        All methods with a mechanism that is not a curve or a field, by their
        names, and no others.
        """
        for name in catalogue.keyExchanges():
            self.assertEqual(catalogue.isPostQuantum(name), name.startswith((b"mlkem", b"sntrup")), name)
        self.assertFalse(catalogue.isPostQuantum(b"unknown"))

    def test_required(self) -> None:
        """
        Only the key exchanges change; their order stays.
        """
        offer = catalogue.SERVER_DEFAULT.replacing(
            keyExchanges=names(
                "curve25519-sha256 sntrup761x25519-sha512 ecdh-sha2-nistp256 mlkem768x25519-sha256"
            )
        )
        expected = offer.replacing(keyExchanges=names("sntrup761x25519-sha512 mlkem768x25519-sha256"))
        self.assertEqual(offer.requiringPostQuantum(), expected)
        self.assertEqual(offer.requiringPostQuantum().requiringPostQuantum(), expected)

    def test_defaults(self) -> None:
        """
        The defaults have one method that is left.
        """
        self.patch(catalogue, "_load", lambda where: mock.Mock())
        for offer in (catalogue.CLIENT_DEFAULT, catalogue.SERVER_DEFAULT):
            self.assertEqual(offer.requiringPostQuantum().keyExchanges, (b"mlkem768x25519-sha256",))

    def test_noneLeft(self) -> None:
        """
        A set without any is an error that says what to do, not an empty offer.
        """
        offer = catalogue.CLIENT_DEFAULT.replacing(keyExchanges=(b"curve25519-sha256",))
        with self.assertRaises(UsageError) as caught:
            offer.requiringPostQuantum()
        self.assertIn("replacing(keyExchanges=", str(caught.exception))

    def test_noneAvailable(self) -> None:
        """
        So is one of which the installed cryptography can do none; sntrup761
        it need not be able to do.
        """
        self.patch(catalogue, "_load", lambda where: Lacking)
        with self.assertRaises(UsageError) as caught:
            catalogue.CLIENT_DEFAULT.requiringPostQuantum()
        self.assertIn("mlkem768x25519-sha256", str(caught.exception))
        self.assertIn("sntrup761x25519-sha512", str(caught.exception))
        both = names("mlkem768x25519-sha256 sntrup761x25519-sha512")
        offer = catalogue.CLIENT_DEFAULT.replacing(keyExchanges=both)
        self.assertEqual(offer.requiringPostQuantum().keyExchanges, both)


class AvailableTests(SynchronousTestCase):
    """
    Tests for L{catalogue.available}.
    """

    def setUp(self) -> None:
        catalogue._works.cache_clear()
        self.addCleanup(catalogue._works.cache_clear)

    def test_all(self) -> None:
        """
        The order stays, and only ML-KEM can be missing.
        """
        offered = catalogue.CLIENT_DEFAULT.keyExchanges
        available = catalogue.available(offered)
        self.assertIn(available, (offered, offered[1:]))

    def without(self, load: object) -> None:
        self.patch(catalogue, "_load", load)
        self.assertEqual(
            catalogue.available((b"curve25519-sha256", b"mlkem768x25519-sha256", b"ecdh-sha2-nistp256")),
            (b"curve25519-sha256", b"ecdh-sha2-nistp256"),
        )

    def test_withoutMLKEM(self) -> None:
        """
        A C{cryptography} whose OpenSSL has no ML-KEM is not asked for it.
        """
        self.without(lambda where: Lacking)

    def test_withoutItsModule(self) -> None:
        """
        Nor is one that does not know ML-KEM at all.
        """

        def load(where: str) -> object:
            raise ImportError(where)

        self.without(load)

    def test_probes(self) -> None:
        """
        The probes believe what C{cryptography} says, and each is asked once.
        """
        from cryptography.exceptions import UnsupportedAlgorithm

        from conchlite.algorithms.kex import curve448, mlkem
        from conchlite.algorithms.publickeys import ed448

        asked = []

        class Unsupported:
            @staticmethod
            def generate() -> None:
                asked.append(1)
                raise UnsupportedAlgorithm("not here")

        catalogue._load.cache_clear()
        self.addCleanup(catalogue._load.cache_clear)
        self.patch(mlkem, "MLKEM768PrivateKey", Unsupported)
        self.patch(mlkem, "MLKEM1024PrivateKey", Unsupported)
        self.patch(curve448, "X448PrivateKey", Unsupported)
        self.patch(ed448, "Ed448PrivateKey", Unsupported)
        lacking = names(
            "mlkem768x25519-sha256 mlkem768nistp256-sha256 mlkem1024nistp384-sha384 curve448-sha512 ssh-ed448"
        )
        for _ in range(3):
            self.assertEqual(catalogue.available((*lacking, b"ssh-ed25519")), (b"ssh-ed25519",))
        # Two methods share the probe for ML-KEM-768.
        self.assertEqual(len(asked), 4)
