"""
Key exchanges that have to be asked for, and those that withstand a quantum
computer, between a whole client and a whole server.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.error import NoCommonAlgorithm
from conchlite.ssh.keys import Key
from tests.ssh.links import Client, Link, Server, ServerFactory


def linked(offered: tuple[bytes, ...], served: tuple[bytes, ...], factory: Any = None) -> Link:
    """
    The two, with these key exchanges, after the first exchange.
    """
    for name in offered + served:
        if not catalogue.available((name,)):
            raise SkipTest(f"the installed cryptography cannot do {name.decode()}")
    server = factory or ServerFactory()
    server.protocol = type("OfferingServer", (Server,), {"supportedKeyExchanges": served})
    client = Client()
    client.supportedKeyExchanges = offered
    return Link(client, server).secure()


class ExchangeTests(SynchronousTestCase):
    """
    Each of the methods, from the versions to the signature and the first
    sealed packet.
    """

    def exchange(self, name: bytes) -> None:
        link = linked((name,), (name,))
        self.assertEqual((link.client.secure, link.client.errors, link.server.errors), (1, [], []))
        for side in (link.client, link.server):
            self.assertEqual(side.negotiated.keyExchange, name)
            self.assertEqual(side.negotiated.isPostQuantum, b"curve448" not in name)
        sessionID = link.client.sessionID
        self.assertEqual(link.server.sessionID, sessionID)
        link.client.sendKexInit()
        link.flush()
        self.assertEqual((link.client.errors, link.server.errors), ([], []))
        self.assertEqual(link.client.sessionID, sessionID)

    def test_mlkem768x25519(self) -> None:
        self.exchange(b"mlkem768x25519-sha256")

    def test_mlkem768nistp256(self) -> None:
        self.exchange(b"mlkem768nistp256-sha256")

    def test_mlkem1024nistp384(self) -> None:
        self.exchange(b"mlkem1024nistp384-sha384")

    def test_sntrup761(self) -> None:
        self.exchange(b"sntrup761x25519-sha512")

    def test_sntrup761ByItsOldName(self) -> None:
        self.exchange(b"sntrup761x25519-sha512@openssh.com")

    def test_curve448(self) -> None:
        self.exchange(b"curve448-sha512")

    def test_ed448(self) -> None:
        """
        A host key of 448 bits proves an exchange as others do.
        """
        if not catalogue.available((b"ssh-ed448",)):
            raise SkipTest("the installed cryptography cannot do Ed448")
        factory = ServerFactory()
        key = Key.generate("ed448")
        factory.privateKeys = {key.sshType(): key}
        link = linked((b"curve25519-sha256",), (b"curve25519-sha256",), factory)
        self.assertEqual(link.client.secure, 1)
        self.assertEqual(link.client.negotiated.hostKey, b"ssh-ed448")
        self.assertEqual([blob for blob, _ in link.client.asked], [key.blob()])


class RequiredTests(SynchronousTestCase):
    """
    Tests for L{AlgorithmSet.requiringPostQuantum} on a transport.
    """

    def test_classicalPeer(self) -> None:
        """
        With a server that has nothing of the kind there is no connection, and
        the error shows both offers.
        """
        required = CLIENT_DEFAULT.requiringPostQuantum().keyExchanges
        link = linked(required, (b"curve25519-sha256", b"ecdh-sha2-nistp256"))
        self.assertEqual((link.client.secure, link.client.negotiated), (0, None))
        error = link.client.closeReason.value
        self.assertIsInstance(error, NoCommonAlgorithm)
        self.assertIn("mlkem768x25519-sha256", str(error))
        self.assertIn("ecdh-sha2-nistp256", str(error))

    def test_classicalExchange(self) -> None:
        """
        Whoever does not require it is told what was negotiated.
        """
        link = linked(CLIENT_DEFAULT.keyExchanges, (b"curve25519-sha256",))
        self.assertEqual(link.client.secure, 1)
        self.assertIs(link.client.negotiated.isPostQuantum, False)
