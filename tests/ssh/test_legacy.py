"""
Legacy algorithms with whole transports: off unless asked for, and told of.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, LEGACY, LEGACY_NAMES, SERVER_DEFAULT
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import BadSignature, NoCommonAlgorithm, StrictKexRequired, UsageError
from conchlite.sansio import transportlayer
from conchlite.ssh.authmethods.publickey import signedData
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.kex import SignatureBlob
from conchlite.wire.types import packString
from conchlite.wire.userauth import PublicKeyData
from tests.ssh.authlink import SESSION_ID, FakeTransport, rsa
from tests.ssh.authlink import Link as AuthLink
from tests.ssh.authscenes import Program, ServerMixin, owners, query, request, signed
from tests.ssh.links import HOST_KEY, Client, Link, Server, ServerFactory
from tests.ssh.wholeconnections import connected

_ONLY_LEGACY = {
    "keyExchanges": LEGACY.keyExchanges[-3:],
    "signatures": LEGACY.signatures[-2:],
    "ciphers": LEGACY.ciphers[-4:],
    "macs": LEGACY.macs[-4:],
}


class DSAKey:
    """
    A host key that signs as an old server's does.
    """

    def __init__(self) -> None:
        self._key = dsa.generate_private_key(1024)

    def public(self) -> Key:
        return Key(self._key.public_key())

    def sign(self, data: bytes, algorithm: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(data, SHA1()))
        return SignatureBlob(b"ssh-dss", r.to_bytes(20, "big") + s.to_bytes(20, "big")).pack()


DSA_KEY = DSAKey()


class LegacyClient(Client):
    algorithms = LEGACY


class LegacyServer(Server):
    algorithms = LEGACY


class LegacyFactory(ServerFactory):
    """
    A server with all there is, and keys of all types that are legacy.
    """

    protocol = LegacyServer

    def __init__(self) -> None:
        super().__init__()
        self.privateKeys = {HOST_KEY.sshType(): HOST_KEY, b"ssh-rsa": rsa(), b"ssh-dss": DSA_KEY}


class WarningsMixin:
    """
    Reads the log.
    """

    def setUp(self) -> None:
        self.warnings: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: Any) -> None:
        if event["log_level"] is LogLevel.warn and "legacy" in event.get("log_format", ""):
            self.warnings.append(event["log_format"].format(**event))


class OfferTests(SynchronousTestCase):
    """
    C{algorithms}, and Conch's lists beside it.
    """

    def lists(self, transport: Any) -> tuple[tuple[bytes, ...], ...]:
        return (
            tuple(transport.supportedKeyExchanges),
            tuple(transport.supportedPublicKeys),
            tuple(transport.supportedCiphers),
            tuple(transport.supportedMACs),
            tuple(transport.supportedCompressions),
            tuple(transport.acceptedSignatures),
        )

    def families(self, algorithms: Any) -> tuple[tuple[bytes, ...], ...]:
        return (
            algorithms.keyExchanges,
            algorithms.signatures,
            algorithms.ciphers,
            algorithms.macs,
            algorithms.compressions,
            algorithms.signatures,
        )

    def test_defaults(self) -> None:
        for cls, default in ((SSHClientTransport, CLIENT_DEFAULT), (SSHServerTransport, SERVER_DEFAULT)):
            self.assertEqual(self.families(default), self.lists(cls))
            self.assertEqual(self.families(default), self.lists(cls()))
            self.assertEqual(default, cls().algorithms)

    def test_subclass(self) -> None:
        """
        A class body takes a set whole; a list in the same body stands before
        it, and one in a body further down behind.
        """

        class Old(SSHServerTransport):
            algorithms = LEGACY
            supportedCiphers = [b"3des-cbc"]

        class Older(Old):
            supportedMACs = [b"hmac-md5"]

        class New(Older):
            algorithms = SERVER_DEFAULT

        old = LEGACY.replacing(ciphers=(b"3des-cbc",))
        for cls, expected in ((Old, old), (Older, old.replacing(macs=(b"hmac-md5",))), (New, SERVER_DEFAULT)):
            self.assertEqual(self.families(expected), self.lists(cls))
            self.assertEqual(expected, cls().algorithms)
        self.assertEqual(self.families(SERVER_DEFAULT), self.lists(SSHServerTransport))

    def test_mixin(self) -> None:
        class Lenient:
            algorithms = LEGACY

        class Mixed(Lenient, SSHClientTransport):
            pass

        self.assertEqual(self.families(LEGACY), self.lists(Mixed))
        mixed = Mixed()
        mixed.supportedCiphers = [b"3des-cbc"]
        self.assertEqual((b"3des-cbc",), mixed.algorithms.ciphers)

    def test_instance(self) -> None:
        """
        Setting it on an instance is about no other.
        """
        client = SSHClientTransport()
        client.algorithms = LEGACY
        self.assertEqual(self.families(LEGACY), self.lists(client))
        self.assertEqual(self.families(CLIENT_DEFAULT), self.lists(SSHClientTransport()))

    def test_factory(self) -> None:
        """
        A factory gives its transports a set; of the signatures only those
        remain that it has keys for.
        """
        factory = ServerFactory()
        factory.algorithms = LEGACY
        factory.privateKeys = {b"ssh-rsa": rsa()}
        built = factory.buildProtocol(None)
        self.assertEqual(LEGACY.ciphers, built.algorithms.ciphers)
        self.assertEqual([b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"], built.supportedPublicKeys)
        self.assertEqual(list(LEGACY.signatures), built.acceptedSignatures)

    def test_text(self) -> None:
        """
        Names may be text, as everywhere at the border.
        """
        client = SSHClientTransport()
        client.supportedCiphers = ["aes128-ctr"]
        self.assertEqual((b"aes128-ctr",), client.checkedAlgorithms().ciphers)

    def test_noSuchAlgorithm(self) -> None:
        """
        A name that does not exist ends the connection before it begins, with
        an error that names the list.
        """
        for attribute in (
            "supportedKeyExchanges",
            "supportedPublicKeys",
            "supportedCiphers",
            "supportedMACs",
            "supportedCompressions",
        ):
            for names, text in (
                ([b"no\x1bsuch"], f"{attribute}: there is no algorithm named no\\x1bsuch"),
                ([], f"{attribute}: nothing is left to offer"),
            ):
                link = Link()
                setattr(link.client, attribute, names)
                link.start()
                self.assertIsInstance(link.client.closeReason.value, UsageError)
                self.assertEqual(text, str(link.client.closeReason.value))
                self.assertTrue(link.clientIO.disconnecting)

    def test_nothingOfItInKexInit(self) -> None:
        """
        Rows 9, 10, 27 and 45: what goes out by default has nothing legacy in
        it, on either side.
        """
        link = Link().secure()
        for end in (link.client, link.server):
            names = set(end.ourKexInitPayload[17:].replace(b"\0", b",").split(b","))
            self.assertEqual(set(), names & LEGACY_NAMES)
        self.assertEqual(set(), set(link.server.acceptedSignatures) & LEGACY_NAMES)


class EachTests(WarningsMixin, SynchronousTestCase):
    """
    Every legacy algorithm, between two of our machines.
    """

    def secure(self, **families: tuple[bytes, ...]) -> Link:
        client = LegacyClient()
        client.algorithms = LEGACY.replacing(**families)
        link = Link(client, LegacyFactory()).secure()
        self.assertIsNone(client.closeReason)
        self.assertEqual(1, client.secure)
        return link

    def test_each(self) -> None:
        """
        It is negotiated, and both ends warn, once, of it alone and of whom
        they talk to.
        """
        words = {"keyExchanges": "key exchange", "signatures": "host key", "ciphers": "cipher", "macs": "MAC"}
        for family, names in _ONLY_LEGACY.items():
            for name in names:
                self.warnings.clear()
                others = {"ciphers": (b"aes128-ctr",)} if family == "macs" else {}
                others |= {"macs": (b"hmac-sha2-256",)} if family == "ciphers" else {}
                link = self.secure(**{family: (name,)}, **others)
                n = link.client.negotiated
                used = {n.keyExchange, n.hostKey, n.cipherClientToServer, n.macServerToClient}
                self.assertIn(name, used)
                self.assertEqual(2, len(self.warnings))
                for warning in self.warnings:
                    self.assertTrue(warning.endswith(f"uses what is legacy: {words[family]} {name.decode()}"))

    def test_allAtOnce(self) -> None:
        """
        One line for all of it; none for a re-exchange that brings nothing new.
        """
        link = self.secure(**{family: names[-1:] for family, names in _ONLY_LEGACY.items()})
        said = "key exchange diffie-hellman-group1-sha1, host key ssh-dss, cipher 3des-cbc, MAC hmac-md5"
        self.assertEqual([said] * 2, [warning.partition("legacy: ")[2] for warning in self.warnings])
        peer = link.client._peerText()
        self.assertTrue(peer)
        self.assertIn(f"with {peer} uses", self.warnings[0])
        link.client.isAuthenticated = link.server.isAuthenticated = True
        link.client.renewKeys()
        link.flush()
        self.assertIsNone(link.client.closeReason)
        self.assertEqual(2, len(self.warnings))

    def test_modernFirst(self) -> None:
        """
        Two ends that have all of it use nothing of it, and warn of nothing.
        """
        link = self.secure()
        n = link.client.negotiated
        self.assertEqual(set(), {n.keyExchange, n.hostKey, n.cipherClientToServer} & LEGACY_NAMES)
        self.assertEqual([], self.warnings)

    def test_data(self) -> None:
        """
        Data is whole under every cipher with every kind of MAC, in both
        directions, new keys in between.
        """
        for cipher in _ONLY_LEGACY["ciphers"]:
            for mac in (b"hmac-sha1-96", b"hmac-md5", b"hmac-sha1-etm@openssh.com", b"hmac-sha2-512"):
                client = LegacyClient()
                client.algorithms = LEGACY.replacing(ciphers=(cipher,), macs=(mac,))
                link, (channel, peer) = connected(1, Link(client, LegacyFactory()))
                channel.begin(7, 300_000)
                peer.begin(8, 200_000)
                link.flush()
                link.client.renewKeys()
                link.flush()
                self.assertEqual((300_000, 200_000), (peer.arrived, channel.arrived))
                self.assertEqual(channel.digestOfSent(), peer.digest.digest())
                self.assertEqual(peer.digestOfSent(), channel.digest.digest())
                self.assertEqual(cipher, link.client.currentEncryptions.outCipType)
                self.assertEqual(mac, link.server.currentEncryptions.inMACType)

    def test_wrongHostSignature(self) -> None:
        """
        Row 40: where ssh-rsa was agreed on, a signature by another name, or of
        other data, is refused; and so is ssh-rsa where it was not.
        """
        for agreed, made in ((b"ssh-rsa", b"rsa-sha2-256"), (b"rsa-sha2-512", b"ssh-rsa")):
            factory = LegacyFactory()
            factory.privateKeys[b"ssh-rsa"] = rsa()
            client = LegacyClient()
            client.supportedPublicKeys = [agreed]
            link = Link(client, factory)
            self.patch(
                link.server,
                "_signatureWanted",
                lambda event, link=link, made=made: link.server._cbSigned(rsa().sign(event.data, made)),
            )
            link.secure()
            self.assertIsInstance(client.closeReason.value, BadSignature)
            self.assertEqual([], client.asked)

    def test_cbcEncryptThenMAC(self) -> None:
        """
        Row 20: CBC with a MAC of what is encrypted goes with strict key
        exchange alone, unless C{allowTerrapin} is set.
        """
        etm, plain = b"hmac-sha1-etm@openssh.com", b"hmac-sha1"
        for strict, allowed, mac in (
            (False, False, etm),
            (False, True, etm),
            (True, False, etm),
            (False, False, plain),
        ):
            self.patch(transportlayer, "isStrict", lambda client, server, strict=strict: strict)
            client = LegacyClient()
            client.supportedCiphers, client.supportedMACs = [b"aes256-cbc"], [mac]
            link = Link(client, LegacyFactory())
            client.allowTerrapin = link.server.allowTerrapin = allowed
            link.secure()
            if strict or allowed or mac == plain:
                self.assertIsNone(client.closeReason)
            else:
                self.assertIsInstance(client.closeReason.value, StrictKexRequired)


class NoCommonAlgorithmTests(SynchronousTestCase):
    def test_advice(self) -> None:
        """
        A default end and one that has only what is legacy: the default one's
        error says what to enable, and where.
        """
        for family, attribute in (
            ("keyExchanges", "supportedKeyExchanges"),
            ("signatures", "supportedPublicKeys"),
            ("ciphers", "supportedCiphers"),
        ):
            names = _ONLY_LEGACY[family]
            factory = LegacyFactory()
            factory.algorithms = LEGACY.replacing(**{family: names})
            link = Link(None, factory).secure()
            error = link.client.closeReason.value
            self.assertIsInstance(error, NoCommonAlgorithm)
            self.assertIn(f"{names[0].decode()} is legacy, and off here", str(error))
            self.assertIn(f"add it to {attribute}, or set algorithms = ", str(error))
            client = LegacyClient()
            client.algorithms = LEGACY.replacing(**{family: names})
            factory = ServerFactory()
            factory.privateKeys = {b"ssh-rsa": rsa()}
            link = Link(client, factory).secure()
            self.assertIn(f"{names[0].decode()} is legacy, and off here", str(link.server.closeReason.value))


class UserKeyTests(ServerMixin, SynchronousTestCase):
    """
    Users' keys.
    """

    def dsaRequest(self) -> bytes:
        blob = DSA_KEY.public().blob()
        covered = signedData(SESSION_ID, b"user", b"ssh-connection", b"ssh-dss", blob)
        signature = DSA_KEY.sign(covered, b"ssh-dss")
        return request("publickey", PublicKeyData(True, b"ssh-dss", blob, packString(signature)).pack())

    def test_off(self) -> None:
        """
        By default neither is accepted, whoever owns them.
        """
        checker = owners(rsa(), DSA_KEY.public())
        for payload in (query(rsa(), b"ssh-rsa"), signed(rsa(), b"ssh-rsa"), self.dsaRequest()):
            self.start(checker)
            self.assertRefused(self.ask(payload), b"publickey")

    def test_server(self) -> None:
        """
        With the legacy set they log in, and the transport is told.
        """
        for payload, name in ((signed(rsa(), b"ssh-rsa"), b"ssh-rsa"), (self.dsaRequest(), b"ssh-dss")):
            self.start(owners(rsa(), DSA_KEY.public())).acceptedSignatures = LEGACY.signatures
            self.assertLoggedIn(self.ask(payload))
            self.assertEqual([("user's key", name)], self.transport.legacy)

    def test_refusedUsersAreNotTold(self) -> None:
        """
        Row 40: a signature by another name than the request's is none; who sent
        it has used nothing.
        """
        self.start(owners(rsa())).acceptedSignatures = LEGACY.signatures
        self.assertRefused(self.ask(signed(rsa(), b"ssh-rsa", made=b"rsa-sha2-256")), b"publickey")
        self.assertRefused(self.ask(query(DSA_KEY.public(), b"ssh-dss")), b"publickey")
        self.assertEqual([], self.transport.legacy)

    def test_client(self) -> None:
        """
        A client signs with ssh-rsa where it may and nothing better is taken;
        with SHA-2 first.
        """
        for mine, theirs, expected in (
            (LEGACY.signatures, (b"ssh-rsa",), b"ssh-rsa"),
            (LEGACY.signatures, LEGACY.signatures, b"rsa-sha2-512"),
            (CLIENT_DEFAULT.signatures, (b"ssh-rsa",), None),
        ):
            for how in ("transport", "service"):
                server = SSHUserAuthServer()
                server.acceptedSignatures = theirs
                program = Program([rsa()])
                if how == "service":
                    program.signatureAlgorithms = mine
                else:
                    self.patch(FakeTransport, "acceptedSignatures", mine)
                checker = SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [rsa()]}))
                link = AuthLink(program, server, checker)
                link.pump(1)
                self.assertEqual(expected is not None, link.client.isAuthenticated)
                if expected is not None:
                    self.assertEqual(expected, program.signatureAlgorithm)
                    told = [("user's key", expected)] if expected in LEGACY_NAMES else []
                    self.assertEqual((told, told), (link.client.legacy, link.server.legacy))
