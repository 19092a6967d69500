"""
Host keys with certificates, on both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.error import BadSignature, HostKeyReplaced
from conchlite.ssh.certificates import HOST, judgeHostCertificate
from conchlite.ssh.hostkeyproof import Learner
from conchlite.ssh.keys import Key, hostKeyFingerprint
from conchlite.ssh.serverkeys import byType, offerable
from conchlite.wire.connection import HostKeys
from tests.ssh.certificatescenes import KINDS, NOW, certified, keyOf
from tests.ssh.hostkeyscenes import Factory, HostKeyTestCase, Learning
from tests.ssh.links import HOST_KEY, Client, Link, ServerFactory

ECDSA = Key.generate("ecdsa")
RSA = keyOf("rsa", 2048)


def hostKey(key: Key = HOST_KEY, **changes: Any) -> Key:
    return certified(key, kind=HOST, principals=[b"host.example"], **changes)


def serverWith(*keys: Key) -> ServerFactory:
    factory = ServerFactory()
    factory.privateKeys = {key.sshType(): key for key in keys}
    return factory


def clientWith(*algorithms: bytes) -> Client:
    client = Client()
    if algorithms:
        client.supportedPublicKeys = list(algorithms)
    return client


def withCertificates(*names: bytes) -> list[bytes]:
    return [*map(catalogue.certificateName, names), *names]


class OfferTests(SynchronousTestCase):
    def offered(self, keys: dict[bytes, Key]) -> Sequence[bytes]:
        factory = ServerFactory()
        factory.privateKeys = keys
        return factory.buildProtocol(None).supportedPublicKeys

    def test_certificatesComeFirst(self) -> None:
        """
        Who can judge a certificate need not know the key.
        """
        ed25519 = withCertificates(b"ssh-ed25519")
        certificate = hostKey()
        for keys, expected in (
            ({b"ssh-ed25519": HOST_KEY}, [b"ssh-ed25519"]),
            ({b"ssh-ed25519": certificate}, ed25519),
            ({certificate.sshType(): certificate}, ed25519),
            ({certificate.sshType(): certificate, b"ssh-ed25519": HOST_KEY}, ed25519),
            (
                {b"ssh-ed25519": certificate, b"ecdsa-sha2-nistp256": ECDSA},
                [ed25519[0], b"ssh-ed25519", b"ecdsa-sha2-nistp256"],
            ),
            ({b"ssh-rsa": hostKey(RSA)}, withCertificates(b"rsa-sha2-512", b"rsa-sha2-256")),
            # It proves that somebody may log in.
            ({b"ssh-ed25519": certified(HOST_KEY)}, [b"ssh-ed25519"]),
        ):
            self.assertEqual(expected, self.offered(keys))

    def test_namedOnly(self) -> None:
        """
        A server may offer certificates alone.
        """
        wanted = [b"ssh-ed25519-cert-v01@openssh.com"]
        self.assertEqual(wanted, offerable(wanted, {b"ssh-ed25519": hostKey()}))
        self.assertEqual([], offerable(wanted, {b"ssh-ed25519": HOST_KEY}))

    def test_keyBesideAnotherCertificate(self) -> None:
        """
        A certificate of another key of the type leaves the plain one alone.
        """
        other = hostKey(Key.generate())
        keys = byType({b"ssh-ed25519": HOST_KEY, other.sshType(): other})
        self.assertEqual({b"ssh-ed25519": HOST_KEY, other.sshType(): other}, keys)


class ExchangeTests(SynchronousTestCase):
    def secured(self, client: Client, factory: ServerFactory) -> Link:
        link = Link(client, factory).secure()
        self.assertEqual(([], []), (link.client.errors, link.server.errors))
        return link

    def test_everyType(self) -> None:
        """
        C{verifyHostKey} gets the certificate, and the fingerprint of the key.
        """
        for kind in KINDS:
            key = hostKey(keyOf(*kind))
            for algorithm in key.supportedSignatureAlgorithms():
                if catalogue.plainName(algorithm) == b"ssh-rsa":
                    continue
                link = self.secured(clientWith(algorithm), serverWith(key))
                self.assertEqual([(key.blob(), key.fingerprint())], link.client.asked)
                self.assertEqual(1, link.client.secure)
                self.assertEqual(algorithm, link.client.negotiated.hostKey)
                (_, fingerprint), *_ = link.client.asked
                self.assertEqual(hostKeyFingerprint(key.plain().blob()).sha256, fingerprint.sha256)
                certificate = Key.fromString(link.client.asked[0][0], "blob").certificate
                judgeHostCertificate(certificate, "host.example", NOW)

    def test_plainClients(self) -> None:
        """
        As a client is made, it asks for no certificates.
        """
        link = self.secured(clientWith(), serverWith(hostKey()))
        self.assertEqual([(HOST_KEY.blob(), HOST_KEY.fingerprint())], link.client.asked)

    def test_publicHalvesWithout(self) -> None:
        factory = serverWith(hostKey())
        factory.publicKeys = {b"ssh-ed25519": HOST_KEY.public()}
        link = self.secured(clientWith(hostKey().sshType()), factory)
        self.assertEqual(1, link.client.secure)

    def test_signedByAnother(self) -> None:
        """
        A certificate is no secret: who shows it has to have the key.
        """
        thief = hostKey(Key.generate())
        factory = serverWith(thief)
        factory.publicKeys = {thief.sshType(): hostKey().public(), b"ssh-ed25519": HOST_KEY.public()}
        link = Link(clientWith(thief.sshType()), factory).secure()
        self.assertEqual(([], 0), (link.client.asked, link.client.secure))
        self.assertIsInstance(link.client.closeReason.value, BadSignature)


class ReexchangeTests(HostKeyTestCase):
    def renewed(self, first: list[bytes], then: list[bytes], *keys: Key) -> Link:
        link = self.link(clientWith(*first), serverWith(*keys))
        link.flush()
        link.client.supportedPublicKeys = then
        link.client.renewKeys()
        link.flush()
        self.assertEqual(1, len(link.client.asked))
        return link

    def test_sameKey(self) -> None:
        """
        Row 30: the key is the same with its certificate and without.
        """
        names = withCertificates(b"ssh-ed25519")
        for first, then in ([names[:1], names[:1]], [names[:1], names[1:]], [names[1:], names[:1]]):
            link = self.renewed(first, then, hostKey())
            self.assertIsNone(link.client.closeReason)
            self.assertEqual(then[0], link.client.negotiated.hostKey)

    def test_otherKey(self) -> None:
        """
        Row 30: another key is another, whoever has certified it.
        """
        certificates = [hostKey(), hostKey(ECDSA)]
        for then in (certificates[1].sshType(), b"ecdsa-sha2-nistp256"):
            link = self.renewed([certificates[0].sshType()], [then], *certificates)
            self.assertIsInstance(link.client.closeReason.value, HostKeyReplaced)
            self.assertEqual([(9, b"host key changed")], link.server.errors)


class AnnouncementTests(HostKeyTestCase):
    def test_plainKeysAreAnnounced(self) -> None:
        """
        Certificates are not for known hosts: what is announced, and proved, are
        the keys.
        """
        factory = Factory({})
        factory.privateKeys = {b"ssh-ed25519": hostKey(), b"ecdsa-sha2-nistp256": ECDSA}
        factory.publicKeys = {name: key.public() for name, key in factory.privateKeys.items()}
        client = Learning()
        client.supportedPublicKeys = withCertificates(b"ssh-ed25519", b"ecdsa-sha2-nistp256")
        link = self.link(client, factory)
        link.flush()
        ((first, second),) = link.client.learned
        self.assertEqual({HOST_KEY.blob(), ECDSA.blob()}, {first.blob(), second.blob()})

    def test_certificatesAreLeftOut(self) -> None:
        learner = Learner(b"id", [], withCertificates(b"ssh-ed25519"))
        learner.announced(HostKeys((hostKey().blob(), HOST_KEY.blob())).pack(), 2048)
        self.assertEqual([HOST_KEY.blob()], [key.blob() for key in learner.keys])
