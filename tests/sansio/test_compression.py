"""
Compression in a connection: from which packet on, under which keys, and what
of a peer is refused.
"""

from __future__ import annotations

import zlib

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.error import BadCompression, UnexpectedMessage
from conchlite.limits import MAXIMUM_PACKET_LENGTH, MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION
from conchlite.sansio.role import Role
from conchlite.wire import numbers, transport
from conchlite.wire.userauth import UserauthSuccess
from tests.sansio.pairs import FAST, End, Pair

DELAYED = FAST.replacing(compressions=(b"zlib@openssh.com",))
AT_ONCE = FAST.replacing(compressions=(b"zlib",))
TEXT = b"what is said again and again " * 100


def pairOf(algorithms: AlgorithmSet) -> Pair:
    return Pair(End(Role.CLIENT, algorithms), End(Role.SERVER, algorithms))


def size(end: End, number: int = numbers.MSG_CHANNEL_DATA) -> int:
    """
    How many bytes a text takes from here; they are lost.
    """
    end.layer.send([(bytes((number,)), TEXT)])
    return len(end.take())


def sendRaw(end: End, payload: bytes) -> bytes:
    """
    A packet whose payload is what it is, whatever the compression.
    """
    return end.layer._writer.seal([(payload,)])


class BeginningTests(SynchronousTestCase):
    def test_delayed(self) -> None:
        """
        Row 9: C{zlib@openssh.com} begins behind USERAUTH_SUCCESS, in both
        directions.
        """
        pair = pairOf(DELAYED)
        pair.start()
        pair.pump()
        for end in (pair.client, pair.server):
            end.layer.send([(b"\x32", TEXT)])
            self.assertGreater(sum(map(len, end.layer._output)), len(TEXT))
        pair.pump()
        for end in (pair.client, pair.server):
            end.layer.authenticated()
            end.layer.send([(b"\x5e", TEXT)])
            self.assertLess(sum(map(len, end.layer._output)), len(TEXT) // 5)
        pair.pump()
        for end in (pair.client, pair.server):
            self.assertEqual([(0x32, TEXT), (0x5E, TEXT)], end.received)

    def test_atOnce(self) -> None:
        """
        C{zlib} begins with the first keys, EXT_INFO included.
        """
        pair = pairOf(AT_ONCE)
        pair.start()
        pair.pump()
        self.assertEqual(1, sum("Extensions" in type(e).__name__ for e in pair.client.happened))
        for end in (pair.client, pair.server):
            self.assertLess(size(end, 50), len(TEXT) // 5)

    def test_notNegotiated(self) -> None:
        """
        Row 10: who does not ask for it gets none, whatever the other offers.
        """
        client = End(Role.CLIENT, DELAYED.replacing(compressions=(b"zlib@openssh.com", b"zlib", b"none")))
        pair = Pair(client)
        pair.establish()
        self.assertEqual(b"none", client.layer.negotiated.compressionClientToServer)
        for end in (pair.client, pair.server):
            self.assertGreater(size(end), len(TEXT))

    def test_oneDirection(self) -> None:
        """
        The directions may differ; Dropbear compresses one.
        """
        pair = Pair()
        pair.start()
        kexInit = transport.KexInit.unpackPayload(pair.client.layer.ourKexInit).__dict__
        kexInit["compressionAlgorithmsServerToClient"] = (b"zlib@openssh.com",)
        pair = Pair()
        pair.client.layer.start()
        pair.client.layer._kexInitSent = True
        pair.client.layer.ourKexInit = transport.KexInit(**kexInit).packPayload()
        pair.client.layer.send([(pair.client.layer.ourKexInit,)])
        pair.server.algorithms = FAST.replacing(compressions=(b"none", b"zlib@openssh.com"))
        pair.server.start()
        pair.pump()
        for end in (pair.client, pair.server):
            end.layer.authenticated()
        for sender, receiver, compressed in (
            (pair.client, pair.server, False),
            (pair.server, pair.client, True),
        ):
            sender.layer.send([(b"\x5e", TEXT)])
            data = sender.take()
            self.assertEqual(compressed, len(data) < len(TEXT) // 5)
            receiver.deliver(data)
            self.assertEqual([(0x5E, TEXT)], receiver.received)


class ReexchangeTests(SynchronousTestCase):
    def test_newStreams(self) -> None:
        """
        RFC 4253 section 6.2: with new keys the compression begins anew, for
        both methods and whoever begins; nothing of what is held is lost.
        """
        for algorithms in (DELAYED, AT_ONCE):
            pair = pairOf(algorithms)
            pair.establish()
            expected = []
            for starter in (pair.client, pair.server, pair.client):
                sizes = []
                for body in (TEXT, TEXT):
                    for end in (pair.client, pair.server):
                        end.layer.send([(b"\x5e", body)] * 2)
                    sizes.append(sum(map(len, pair.client.layer._output)))
                    pair.pump()
                # The second time the stream knows the text.
                self.assertLess(sizes[1], sizes[0])
                starter.layer.sendKexInit(algorithms)
                for end in (pair.client, pair.server):
                    end.layer.send([(b"\x5e", b"held " + TEXT)])
                pair.pump()
                expected += [(0x5E, TEXT)] * 4 + [(0x5E, b"held " + TEXT)]
            self.assertEqual(expected, pair.client.received)
            self.assertEqual(expected, pair.server.received)
            inflater = pair.client.layer._compression.inflater
            pair.client.layer.sendKexInit(algorithms)
            pair.pump()
            self.assertIsNot(inflater, pair.client.layer._compression.inflater)

    def test_methodChanges(self) -> None:
        """
        A re-exchange may end compression, and begin it.
        """
        pair = pairOf(DELAYED)
        pair.establish()
        for algorithms, compressed in ((FAST, False), (AT_ONCE, True), (FAST, False), (DELAYED, True)):
            pair.client.algorithms = pair.server.algorithms = algorithms
            pair.server.layer.sendKexInit(algorithms)
            pair.pump()
            for end in (pair.client, pair.server):
                end.layer.send([(b"\x5e", TEXT)])
                self.assertEqual(compressed, sum(map(len, end.layer._output)) < len(TEXT))
            pair.pump()
        self.assertEqual([(0x5E, TEXT)] * 4, pair.client.received)
        self.assertEqual([(0x5E, TEXT)] * 4, pair.server.received)

    def test_loginWithinExchange(self) -> None:
        """
        USERAUTH_SUCCESS is held by an exchange: it goes out as it is under
        the new keys, and what is held behind it is compressed.
        """
        pair = pairOf(DELAYED)
        pair.start()
        pair.pump()
        pair.server.layer.sendKexInit(DELAYED)
        pair.server.layer.sendMessage(UserauthSuccess())
        pair.server.layer.authenticated()
        pair.server.layer.send([(b"\x5e", TEXT)])

        def login(number: int) -> None:
            if number == numbers.MSG_USERAUTH_SUCCESS:
                pair.client.layer.authenticated()

        client = pair.client
        client.received = _Watched(login)
        pair.pump()
        self.assertEqual([(52, b""), (0x5E, TEXT)], list(client.received))
        client.layer.send([(b"\x5e", TEXT)])
        self.assertLess(sum(map(len, client.layer._output)), len(TEXT) // 5)
        pair.pump()
        self.assertEqual([(0x5E, TEXT)], pair.server.received)

    def test_loginBehindOurNewKeys(self) -> None:
        """
        The server has sent NEWKEYS and waits for the client's, which is not
        compressed, when the login is over.
        """
        pair = pairOf(DELAYED)
        pair.start()
        pair.pump()
        pair.server.layer.sendKexInit(DELAYED)
        pair.client.deliver(pair.server.take())
        pair.server.deliver(pair.client.take())
        pair.server.layer.sendMessage(UserauthSuccess())
        pair.server.layer.authenticated()
        pair.client.received = _Watched(lambda number: pair.client.layer.authenticated())
        pair.pump()
        pair.client.layer.send([(b"\x5e", TEXT)])
        pair.server.layer.send([(b"\x5e", TEXT)])
        pair.pump()
        self.assertEqual([(0x5E, TEXT)], pair.server.received)
        self.assertEqual([(52, b""), (0x5E, TEXT)], list(pair.client.received))


class _Watched(list):
    """
    Messages, each of which somebody is told about in time.
    """

    def __init__(self, tell: object) -> None:
        super().__init__()
        self.tell = tell

    def append(self, message: tuple[int, bytes]) -> None:
        super().append(message)
        self.tell(message[0])


class HostileTests(SynchronousTestCase):
    def bomb(self, algorithms: AlgorithmSet, limit: int, login: bool) -> None:
        stream = zlib.compressobj(9)
        payload = stream.compress(b"\x02" + bytes(limit)) + stream.flush(zlib.Z_PARTIAL_FLUSH)
        for role in Role:
            pair = pairOf(algorithms)
            pair.start()
            pair.pump()
            sender, receiver = (
                (pair.client, pair.server) if role is Role.SERVER else (pair.server, pair.client)
            )
            if login:
                for end in (pair.client, pair.server):
                    end.layer.authenticated()
            elif role is Role.CLIENT:
                # The server's stream has begun already, with EXT_INFO.
                receiver.layer._compression.setIncoming(receiver.layer.negotiated)
            error = self.assertRaises(BadCompression, receiver.deliver, sendRaw(sender, payload))
            self.assertEqual(6, error.reason)

    def test_bombs(self) -> None:
        """
        Row 8: a packet inflates to no more than a packet may have, and before
        the login to no more than one may have then.
        """
        self.bomb(DELAYED, MAXIMUM_PACKET_LENGTH, True)
        self.bomb(AT_ONCE, MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION, False)

    def test_nothing(self) -> None:
        """
        A packet without a payload is none, compressed or not.
        """
        pair = pairOf(DELAYED)
        pair.establish()
        empty = zlib.compressobj().flush(zlib.Z_SYNC_FLUSH)
        self.assertRaises(BadCompression, pair.server.deliver, sendRaw(pair.client, empty))

    def test_admission(self) -> None:
        """
        What a compressed packet holds has to be allowed like any other.
        """
        pair = pairOf(AT_ONCE)
        pair.start()
        pair.pump()
        pair.client.layer.send([(b"\x5e", b"not yet")])
        self.assertRaises(UnexpectedMessage, pair.server.deliver, pair.client.take())
