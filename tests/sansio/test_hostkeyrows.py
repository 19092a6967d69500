"""
What the machine makes of a server's key, and of keys that must not be used.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import HostKeyReplaced, StrictKexRequired
from conchlite.sansio.phases import Outgoing
from conchlite.sansio.role import Role
from conchlite.wire import numbers
from tests.sansio.pairs import FAST, End, HostKey, Pair
from tests.sansio.test_transportlayer import STATELESS, loosen


class ReplacedKeyTests(SynchronousTestCase):
    """
    Row 30: a re-exchange in which the server comes with another host key.
    """

    def exchange(self, beginner: str, proven: bool) -> Pair:
        pair = Pair()
        pair.establish()
        first, other = pair.server.hostKey, HostKey(b"\x42" * 32)
        self.assertEqual([first.blob], list(pair.client.layer.acceptedHostKeys))
        if proven:
            pair.client.layer.addAcceptedHostKeys([other.blob])
        pair.server.hostKey = other
        pair.server.layer._configuration.hostKeys[b"ssh-ed25519"] = other.blob
        getattr(pair, beginner).layer.sendKexInit(FAST)
        return pair

    def test_neitherAcceptedNorProven(self) -> None:
        """
        Row 30: it ends with reason 9, whoever began the exchange.
        """
        for beginner in ("client", "server"):
            pair = self.exchange(beginner, proven=False)
            error = self.assertRaises(HostKeyReplaced, pair.pump)
            self.assertEqual(numbers.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, error.reason)

    def test_proven(self) -> None:
        """
        Row 30: a key that the server has proved to be its own will do, and
        nobody is asked a second time.
        """
        for beginner in ("client", "server"):
            pair = self.exchange(beginner, proven=True)
            sessionID = pair.client.layer.sessionID
            pair.pump()
            for end in (pair.client, pair.server):
                self.assertIs(Outgoing.FREE, end.layer.outgoing)
                self.assertFalse(end.layer.exchanging)
            self.assertEqual(sessionID, pair.client.layer.sessionID)
            offered = [type(event).__name__ for event in pair.client.happened]
            self.assertEqual(1, offered.count("HostKeyOffered"))

    def test_firstKeyStaysGood(self) -> None:
        """
        Row 30: the key that was judged is still accepted beside proven ones.
        """
        pair = Pair()
        pair.establish()
        pair.client.layer.addAcceptedHostKeys([HostKey(b"\x42" * 32).blob])
        pair.client.layer.sendKexInit(FAST)
        pair.pump()
        self.assertFalse(pair.client.layer.exchanging)


class StrictnessTests(SynchronousTestCase):
    """
    Row 20: chacha20-poly1305 with a peer that does no strict key exchange.
    """

    def pair(self, loose: Role, **options: bool) -> Pair:
        """
        One that knows nothing of strictness, and one that does.
        """
        ends = {role: End(role, STATELESS, **options) for role in Role}
        ends[loose] = End(loose, STATELESS, allowTerrapin=True)
        loosen(ends[loose])
        pair = Pair(ends[Role.CLIENT], ends[Role.SERVER])
        pair.start()
        return pair

    def test_server(self) -> None:
        """
        Row 20: a client of that kind learns the host key, and gets no further:
        no NEWKEYS goes out, so neither side can use the cipher.
        """
        pair = self.pair(Role.CLIENT)
        pair.client.automatic = False
        self.assertRaises(StrictKexRequired, pair.pump)
        server = pair.server.layer
        self.assertIs(Outgoing.HELD, server.outgoing)
        self.assertEqual((b"", None), (server.sessionID, server.negotiated))
        pair.client.deliver(pair.server.take())
        (offered,) = [event for event in pair.client.happened if hasattr(event, "hostKey")]
        self.assertEqual(pair.server.hostKey.blob, offered.hostKey)
        # Nothing of the peer's is read any more, NEWKEYS included.
        pair.client.layer.acceptHostKey()
        pair.server.deliver(pair.client.take())
        self.assertEqual((b"", []), (server.sessionID, pair.server.received))

    def test_client(self) -> None:
        """
        Row 20: a client refuses such a server before it has sent anything of
        the key exchange.
        """
        pair = self.pair(Role.SERVER)
        self.assertRaises(StrictKexRequired, pair.pump)
        self.assertEqual(0, len(pair.client.take()))
        self.assertEqual(b"", pair.client.layer.sessionID)

    def test_asked(self) -> None:
        """
        Row 20: who asks for it gets it.
        """
        for loose in Role:
            pair = self.pair(loose, allowTerrapin=True)
            pair.pump()
            for end in (pair.client, pair.server):
                self.assertEqual(STATELESS.ciphers[0], end.layer.negotiated.cipherServerToClient)
                self.assertFalse(end.layer.negotiated.strict)

    def test_otherCipher(self) -> None:
        """
        Row 20: with a cipher that is not open to it, strictness is no matter.
        """
        pair = Pair()
        loosen(pair.client)
        pair.start()
        pair.pump()
        self.assertFalse(pair.client.layer.negotiated.strict)
        self.assertEqual(pair.client.layer.sessionID, pair.server.layer.sessionID)
