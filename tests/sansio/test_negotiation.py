"""
Agreeing on algorithms: RFC 4253 section 7.1.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT, LEGACY, SERVER_DEFAULT
from conchlite.error import NoCommonAlgorithm, StrictKexRequired
from conchlite.sansio.negotiation import checkStrictness, guessedWrong, isStrict, negotiate, offer
from conchlite.sansio.role import Role
from conchlite.wire.transport import KexInit


def clientOffer(**families: Any) -> KexInit:
    return offer(Role.CLIENT, CLIENT_DEFAULT.replacing(**families), bytes(16), first=True)


def serverOffer(**families: Any) -> KexInit:
    return offer(Role.SERVER, SERVER_DEFAULT.replacing(**families), bytes(16), first=True)


class OfferTests(SynchronousTestCase):
    def test_markers(self) -> None:
        """
        Extensions and strictness are announced in the first KEXINIT only.
        """
        self.assertEqual((b"ext-info-c", b"kex-strict-c-v00@openssh.com"), clientOffer().kexAlgorithms[-2:])
        self.assertEqual((b"ext-info-s", b"kex-strict-s-v00@openssh.com"), serverOffer().kexAlgorithms[-2:])
        again = offer(Role.CLIENT, CLIENT_DEFAULT, bytes(16), first=False)
        self.assertEqual(CLIENT_DEFAULT.keyExchanges, again.kexAlgorithms)

    def test_defaults(self) -> None:
        """
        Rows 9, 10, 27 and 32: nothing is compressed, nothing goes
        in clear, and a server offers no finite field Diffie-Hellman.
        """
        for kexInit in (clientOffer(), serverOffer()):
            self.assertEqual((b"none",), kexInit.compressionAlgorithmsClientToServer)
            self.assertEqual((b"none",), kexInit.compressionAlgorithmsServerToClient)
            self.assertNotIn(b"none", kexInit.encryptionAlgorithmsClientToServer)
            self.assertNotIn(b"none", kexInit.macAlgorithmsClientToServer)
        self.assertEqual([], [n for n in serverOffer().kexAlgorithms if n.startswith(b"diffie-hellman")])
        self.assertEqual(b"mlkem768x25519-sha256", clientOffer().kexAlgorithms[0])

    def test_isStrict(self) -> None:
        self.assertTrue(isStrict(clientOffer(), serverOffer()))
        weak = KexInit(**{**serverOffer().__dict__, "kexAlgorithms": (b"curve25519-sha256",)})
        self.assertFalse(isStrict(clientOffer(), weak))


class NegotiateTests(SynchronousTestCase):
    def test_clientPrefers(self) -> None:
        agreed = negotiate(
            Role.CLIENT,
            clientOffer(ciphers=(b"aes256-ctr", b"aes128-gcm@openssh.com"), macs=(b"hmac-sha2-512",)),
            serverOffer(ciphers=(b"aes128-gcm@openssh.com", b"aes256-ctr")),
            strict=True,
        )
        self.assertEqual(b"aes256-ctr", agreed.cipherClientToServer)
        self.assertEqual(b"hmac-sha2-512", agreed.macServerToClient)
        self.assertEqual(b"mlkem768x25519-sha256", agreed.keyExchange)

    def test_directionsDiffer(self) -> None:
        server = serverOffer()
        server = KexInit(
            **{**server.__dict__, "encryptionAlgorithmsServerToClient": (b"chacha20-poly1305@openssh.com",)}
        )
        agreed = negotiate(Role.CLIENT, clientOffer(), server, strict=True)
        self.assertEqual(b"aes128-gcm@openssh.com", agreed.cipherClientToServer)
        self.assertEqual(b"chacha20-poly1305@openssh.com", agreed.cipherServerToClient)

    def test_noMACBesideAEAD(self) -> None:
        """
        RFC 5647 section 5.1 as OpenSSH has it: the MACs need not even meet.
        """
        agreed = negotiate(
            Role.CLIENT, clientOffer(macs=(b"hmac-sha2-256",)), serverOffer(macs=(b"hmac-sha2-512",)), True
        )
        self.assertEqual((None, None), (agreed.macClientToServer, agreed.macServerToClient))

    def test_nothingInCommon(self) -> None:
        for family, kind in (
            ("keyExchanges", "key exchange"),
            ("signatures", "host key"),
            ("ciphers", "encryption"),
            ("compressions", "compression"),
        ):
            for role in Role:
                ours, theirs = (b"aes128-ctr",), (b"x-unknown\x1b",)
                both = (clientOffer(**{family: ours}), serverOffer(**{family: theirs}))
                if role is Role.SERVER:
                    both = (clientOffer(**{family: theirs}), serverOffer(**{family: ours}))
                error = self.assertRaises(NoCommonAlgorithm, negotiate, role, *both, True)
                self.assertEqual((kind, ours, theirs), (error.kind, error.ours, error.theirs))
                self.assertIn("x-unknown\\x1b", str(error))
        gone = {"ciphers": (b"aes128-ctr",), "macs": (b"hmac-sha2-256",)}
        error = self.assertRaises(
            NoCommonAlgorithm,
            negotiate,
            Role.CLIENT,
            clientOffer(**gone),
            serverOffer(ciphers=(b"aes128-ctr",), macs=(b"hmac-sha2-512",)),
            True,
        )
        self.assertEqual("MAC", error.kind)

    def test_pseudoAlgorithmsAreNone(self) -> None:
        """
        Row 25: a peer that offers our own markers back agrees on
        nothing by that.
        """
        for name in (b"ext-info-c", b"ext-info-s", b"kex-strict-c-v00@openssh.com", b"kex-strict-s"):
            self.assertRaises(
                NoCommonAlgorithm,
                negotiate,
                Role.CLIENT,
                clientOffer(keyExchanges=(name,)),
                serverOffer(keyExchanges=(name,)),
                True,
            )

    def test_terrapin(self) -> None:
        """
        Row 20: CVE-2023-48795: chacha20-poly1305 is refused without strict key
        exchange, in whichever direction.
        """
        exposed, safe = b"chacha20-poly1305@openssh.com", b"aes128-gcm@openssh.com"
        agreed = negotiate(Role.CLIENT, clientOffer(ciphers=(exposed,)), serverOffer(), False)
        one = agreed._replace(cipherClientToServer=safe)
        other = agreed._replace(cipherServerToClient=safe)
        for each in (agreed, one, other):
            self.assertRaises(StrictKexRequired, checkStrictness, each)
            checkStrictness(each._replace(strict=True))
        checkStrictness(one._replace(cipherServerToClient=safe))

    def test_terrapinCBC(self) -> None:
        """
        Row 20: CBC with a MAC of what is encrypted is refused likewise, and
        with a MAC of the clear text it is not.
        """
        macs = (b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-256")
        for cipher in (b"aes128-cbc", b"aes192-cbc", b"aes256-cbc", b"3des-cbc"):
            offers = [make(ciphers=(cipher,), macs=macs) for make in (clientOffer, serverOffer)]
            agreed = negotiate(Role.CLIENT, *offers, False)
            covered = {"macClientToServer": macs[1], "macServerToClient": macs[1]}
            for each in (agreed, *(agreed._replace(**{name: covered[name]}) for name in covered)):
                self.assertRaises(StrictKexRequired, checkStrictness, each)
                checkStrictness(each._replace(strict=True))
            checkStrictness(agreed._replace(**covered))

    def test_terrapinInCBC(self) -> None:
        """
        Row 20: so is CBC with a MAC of what is encrypted, and CBC with one of
        the clear text is not.
        """
        for name in (b"aes128-cbc", b"aes192-cbc", b"aes256-cbc", b"3des-cbc"):
            for macName in LEGACY.macs:
                client = clientOffer(ciphers=(name,), macs=(macName,))
                server = serverOffer(ciphers=(name, b"aes128-ctr"), macs=(macName,))
                agreed = negotiate(Role.CLIENT, client, server, False)
                one = agreed._replace(cipherClientToServer=b"aes128-ctr")
                other = agreed._replace(cipherServerToClient=b"aes128-ctr")
                for each in (agreed, one, other):
                    checkStrictness(each._replace(strict=True))
                    if b"-etm@" in macName:
                        error = self.assertRaises(StrictKexRequired, checkStrictness, each)
                        self.assertIn(f"{name.decode()} with {macName.decode()}", str(error))
                    else:
                        checkStrictness(each)

    def test_advice(self) -> None:
        """
        Where the legacy set would have met, the error says what to enable and
        where; the most preferred, if there is more than one.
        """
        for family, attribute, theirs, best in (
            (
                "keyExchanges",
                "supportedKeyExchanges",
                (b"x", b"diffie-hellman-group1-sha1", b"diffie-hellman-group14-sha1"),
                "diffie-hellman-group14-sha1",
            ),
            ("signatures", "supportedPublicKeys", (b"ssh-dss", b"ssh-rsa"), "ssh-rsa"),
            ("ciphers", "supportedCiphers", (b"3des-cbc", b"aes128-cbc"), "aes128-cbc"),
            ("macs", "supportedMACs", (b"hmac-md5", b"hmac-sha1"), "hmac-sha1"),
        ):
            for role in Role:
                offers = {"macs": {"ciphers": (b"aes128-ctr",)}}.get(family, {})
                ours, others = clientOffer(**offers), serverOffer(**{**offers, family: theirs})
                if role is Role.SERVER:
                    ours, others = clientOffer(**{**offers, family: theirs}), serverOffer(**offers)
                error = self.assertRaises(NoCommonAlgorithm, negotiate, role, ours, others, True)
                self.assertIn(f"; the peer offers {b', '.join(theirs).decode()}. {best} is", str(error))
                self.assertEqual(
                    f"{best} is legacy, and off here: to use it all the same, add it to {attribute}, "
                    "or set algorithms = conchlite.algorithms.catalogue.LEGACY",
                    error.advice,
                )

    def test_adviceWithoutLegacy(self) -> None:
        """
        What is not offered for other reasons is named too; what is not known,
        and a host key that a server does not have, are not.
        """
        wanted = (b"zlib", b"zlib@openssh.com")
        error = self.assertRaises(
            NoCommonAlgorithm, negotiate, Role.CLIENT, clientOffer(), serverOffer(compressions=wanted), True
        )
        self.assertEqual(
            "zlib@openssh.com is known, but not offered here: to use it, add it to supportedCompressions",
            error.advice,
        )
        for family, role, theirs in (
            ("keyExchanges", Role.CLIENT, (b"rsa1024-sha1", b"gss-group1-sha1-x")),
            ("ciphers", Role.CLIENT, (b"none", b"arcfour", b"blowfish-cbc")),
            ("signatures", Role.SERVER, (b"ssh-rsa", b"ssh-dss")),
        ):
            ours, others = clientOffer(), serverOffer(**{family: theirs})
            if role is Role.SERVER:
                ours, others = clientOffer(**{family: theirs}), serverOffer(signatures=(b"ssh-ed25519",))
            error = self.assertRaises(NoCommonAlgorithm, negotiate, role, ours, others, True)
            self.assertEqual("", error.advice)
            self.assertTrue(str(error).endswith(theirs[-1].decode()))

    def test_adviceKeepsToPostQuantum(self) -> None:
        """
        Where only what withstands a quantum computer is offered, nothing else
        is advised.
        """
        demanding = clientOffer(keyExchanges=(b"mlkem768x25519-sha256",))
        sntrup = b"sntrup761x25519-sha512"
        for theirs, advised in (
            ((b"curve25519-sha256", sntrup), f"{sntrup.decode()} is known"),
            ((b"curve25519-sha256", b"diffie-hellman-group14-sha1"), ""),
        ):
            error = self.assertRaises(
                NoCommonAlgorithm, negotiate, Role.CLIENT, demanding, serverOffer(keyExchanges=theirs), True
            )
            self.assertEqual(advised, error.advice.partition(",")[0])

    def test_adviceOfWhatCannotBeDone(self) -> None:
        """
        What the installed C{cryptography} cannot do is no advice.
        """
        self.patch(catalogue, "available", lambda names: tuple(name for name in names if b"448" not in name))
        for family, name in (("keyExchanges", b"curve448-sha512"), ("signatures", b"ssh-ed448")):
            ours, others = clientOffer(**{family: (b"x",)}), serverOffer(**{family: (name,)})
            error = self.assertRaises(NoCommonAlgorithm, negotiate, Role.CLIENT, ours, others, True)
            self.assertEqual("", error.advice)

    def test_guesses(self) -> None:
        """
        Row 26: a guess is wrong if the method or the host key is.
        """
        self.assertFalse(guessedWrong(clientOffer(), serverOffer()))
        self.assertTrue(guessedWrong(clientOffer(), serverOffer(keyExchanges=(b"curve25519-sha256",))))
        self.assertTrue(guessedWrong(clientOffer(), serverOffer(signatures=(b"rsa-sha2-512",))))


class CatalogueTests(SynchronousTestCase):
    def test_everyNameIsThere(self) -> None:
        for algorithms in (CLIENT_DEFAULT, SERVER_DEFAULT):
            for name in algorithms.keyExchanges:
                self.assertIn(catalogue.keyExchange(name).hashName, ("sha256", "sha384", "sha512"))
            for name in algorithms.ciphers:
                self.assertGreaterEqual(catalogue.cipher(name).keySize, 16)
            for name in algorithms.macs:
                self.assertIn(catalogue.mac(name).tagSize, (32, 64))
            for name in algorithms.signatures:
                self.assertIn(name, catalogue.keyType(catalogue.keyTypeOfSignature(name)).signatureAlgorithms)
