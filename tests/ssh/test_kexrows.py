"""
Bad public values in a key exchange, against whole transports: what the peer
gets, and that nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.error import KeyExchangeFailed
from conchlite.wire import kex, numbers
from tests.ssh.links import Client, Link, Server, ServerFactory

Change = Callable[[bytes], bytes]


class Interceptor:
    """
    A transport that finds another public value in a message than was sent.
    """

    change: Change

    def dispatchMessage(self: Any, messageNum: int, payload: bytes) -> None:
        groupExchange = b"group-exchange" in self.supportedKeyExchanges[0]
        last = numbers.MSG_KEX_DH_GEX_REPLY if groupExchange else numbers.MSG_KEX_ECDH_REPLY
        # The messages of a group exchange have the same fields as the others.
        if messageNum == last:
            reply = kex.KexReply.unpack(payload)
            payload = kex.KexReply(reply.hostKey, self.change(reply.serverPublic), reply.signature).pack()
        elif messageNum == last - 1:
            payload = kex.KexInitial(self.change(kex.KexInitial.unpack(payload).clientPublic)).pack()
        super().dispatchMessage(messageNum, payload)


class HostileClient(Interceptor, Client):
    pass


class HostileServer(Interceptor, Server):
    pass


def tail(size: int, value: bytes) -> Change:
    return lambda public: public[:-size] + value


def constant(value: bytes) -> Change:
    return lambda public: value


_ZERO_POINT = b"\4" + bytes(64)

#: What each method is sent, by a part of its name, and the row that it is about.
BAD_VALUES: tuple[tuple[bytes, tuple[Change, ...]], ...] = (
    # Row 33: the secret would be zero. Row 34: the wrong length.
    (b"curve25519", (constant(bytes(32)), constant(b"\1" + bytes(31)), constant(bytes(31)), constant(b""))),
    (b"curve448", (constant(bytes(56)), constant(b"\1" + bytes(55)), constant(bytes(32)))),
    (b"x25519", (tail(32, bytes(32)), tail(32, b""), lambda public: public + b"\0", constant(b""))),
    # Row 35: not on the curve; infinity.
    (b"ecdh-sha2", (lambda public: public[:-1] + bytes((public[-1] ^ 1,)), constant(b"\0"))),
    (b"mlkem768nistp256", (tail(65, _ZERO_POINT), tail(65, b"\0"))),
    (b"mlkem1024nistp384", (tail(97, b"\4" + bytes(96)), tail(97, b"\0"))),
    # Row 37: 0, 1, -1, and few bits.
    (b"diffie-hellman", (constant(b""), constant(b"\1"), constant(b"\xff"), constant(b"\7"))),
)


class BadValueTests(SynchronousTestCase):
    """
    Rows 33 to 37: a bad public value, in either direction and in each method,
    is code 3, and leaves no trace.
    """

    def assertFails(self, name: bytes, change: Change, victim: str) -> None:
        factory = ServerFactory()
        factory.protocol = HostileServer if victim == "server" else Server
        client = HostileClient() if victim == "client" else Client()
        link = Link(client, factory)
        for side in (link.client, link.server):
            side.supportedKeyExchanges = (name,)
        target, other = (client, link.server) if victim == "client" else (link.server, client)
        target.change = change
        link.secure()
        self.assertIsInstance(target.closeReason.value, KeyExchangeFailed, name)
        self.assertEqual([code for code, _ in other.errors], [numbers.DISCONNECT_KEY_EXCHANGE_FAILED])
        self.assertEqual((client.secure, client.asked), (0, []))
        self.assertFalse(target.isEncrypted("in") or target.isEncrypted("out"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def check(self, victim: str) -> None:
        tried = set()
        for name in catalogue.available(catalogue.keyExchanges()):
            for part, changes in BAD_VALUES:
                if part in name and name not in tried:
                    tried.add(name)
                    for change in changes:
                        self.assertFails(name, change, victim)
        self.assertEqual(tried, set(catalogue.available(catalogue.keyExchanges())))

    def test_server(self) -> None:
        """
        A client sends it.
        """
        self.check("server")

    def test_client(self) -> None:
        """
        A server sends it.
        """
        self.check("client")

    def test_coefficients(self) -> None:
        """
        Row 36: an ML-KEM key with coefficients of q or more is code 3.
        """
        for name in (b"mlkem768x25519-sha256", b"mlkem768nistp256-sha256", b"mlkem1024nistp384-sha384"):
            if catalogue.available((name,)):
                self.assertFails(name, lambda public: b"\xff\xff\xff" + public[3:], "server")

    def test_unchanged(self) -> None:
        """
        Without a change the same transports come to keys.
        """
        for name in (b"curve25519-sha256", b"diffie-hellman-group-exchange-sha256"):
            factory = ServerFactory()
            factory.protocol = HostileServer
            link = Link(HostileClient(), factory)
            for side in (link.client, link.server):
                side.supportedKeyExchanges = (name,)
                side.change = lambda public: public
            self.assertEqual(link.secure().client.secure, 1)
