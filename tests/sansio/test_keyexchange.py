"""
One key exchange: RFC 4253 section 8, RFC 4419, RFC 5656, RFC 8731.
"""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.algorithms.kex.groupexchange import GROUP_EXCHANGE_SHA256
from conchlite.error import ConchError, KeyExchangeFailed, MalformedMessage, UnexpectedMessage
from conchlite.sansio.keyderivation import KeyDerivation, exchangeHash
from conchlite.sansio.keyexchange import ExchangeState, KeyExchange, Transcript
from conchlite.sansio.role import Role
from conchlite.wire import kex
from conchlite.wire.types import packMPInt, packString

SCRIPT = Transcript(b"SSH-2.0-c", b"SSH-2.0-s", b"\x14client", b"\x14server")
PLAIN = b"curve25519-sha256"
GROUP = b"diffie-hellman-group-exchange-sha256"


def exchanges(name: bytes) -> tuple[KeyExchange, KeyExchange]:
    return (
        KeyExchange(Role.CLIENT, catalogue.keyExchange(name), SCRIPT),
        KeyExchange(Role.SERVER, catalogue.keyExchange(name), SCRIPT, b"host key"),
    )


def run(client: KeyExchange, server: KeyExchange, target: KeyExchange, until: ExchangeState) -> bool:
    """
    Carry messages between the two until C{target} is in a state; whether it
    ever was.
    """
    waiting = [(server, message) for message in client.start()]
    while target.state is not until:
        if not waiting:
            return False
        receiver, message = waiting.pop(0)
        other = client if receiver is server else server
        waiting += [(other, answer) for answer in receiver.receive(message.number, message.pack())]
        if receiver.state is ExchangeState.SIGNING and target.state is not until:
            waiting.append((client, server.reply(b"signature")))
    return True


class KeyExchangeTests(SynchronousTestCase):
    def test_bothAgree(self) -> None:
        for name in CLIENT_DEFAULT.keyExchanges:
            client, server = exchanges(name)
            self.assertTrue(run(client, server, client, ExchangeState.COMPLETE))
            self.assertEqual(ExchangeState.COMPLETE, server.state)
            self.assertEqual(client.exchangeHash, server.exchangeHash)
            self.assertEqual(client.sharedSecret, server.sharedSecret)
            self.assertEqual((b"host key", b"signature"), (client.hostKey, client.signature))

    def test_everyStateAndMessage(self) -> None:
        """
        The whole product of states and numbers: what is not in the table is
        refused, what is there is not.
        """
        admitted = {
            (Role.SERVER, ExchangeState.AWAIT_INIT): {30},
            (Role.CLIENT, ExchangeState.AWAIT_REPLY): {31},
            (Role.SERVER, ExchangeState.AWAIT_GROUP_REQUEST): {34},
            (Role.CLIENT, ExchangeState.AWAIT_GROUP): {31},
            (Role.SERVER, ExchangeState.AWAIT_GROUP_INIT): {32},
            (Role.CLIENT, ExchangeState.AWAIT_GROUP_REPLY): {33},
            (Role.SERVER, ExchangeState.SIGNING): set(),
            (Role.SERVER, ExchangeState.COMPLETE): set(),
            (Role.CLIENT, ExchangeState.COMPLETE): set(),
        }
        seen = set()
        for name in (PLAIN, GROUP):
            for state in ExchangeState:
                for role in Role:
                    client, server = exchanges(name)
                    exchange = client if role is Role.CLIENT else server
                    if not run(client, server, exchange, state):
                        continue
                    seen.add((role, state))
                    for number in range(30, 50):
                        if number in admitted[role, state]:
                            # Truncated, so that the state stays as it is.
                            self.assertRaises(MalformedMessage, exchange.receive, number, b"\x00")
                        else:
                            self.assertRaises(UnexpectedMessage, exchange.receive, number, b"")
        self.assertEqual(set(admitted), seen)

    def test_badValues(self) -> None:
        """
        A public value that is none ends in L{KeyExchangeFailed}, both roles.
        """
        for name in CLIENT_DEFAULT.keyExchanges:
            if name == GROUP:
                continue
            for value in (b"", b"\x00", b"\x01", bytes(32), bytes(1216), b"\xff" * 40):
                client, server = exchanges(name)
                client.start()
                self.assertRaises(KeyExchangeFailed, server.receive, 30, kex.KexInitial(value).pack())
                reply = kex.KexReply(b"k", value, b"s").pack()
                self.assertRaises(KeyExchangeFailed, client.receive, 31, reply)

    def test_badGroups(self) -> None:
        """
        Rows 38 and 39: a client enforces what it asked for, with code 3; and
        nothing is left half done: a good group is then taken as if it were the
        first.
        """
        for prime, generator in ((23, 5), (2**1024 - 1, 2), (2**2048, 2), (-5, 2), (2**9000 + 1, 2)):
            client, server = exchanges(GROUP)
            (request,) = client.start()
            with self.assertRaises(ConchError) as raised:
                client.receive(31, kex.KexDHGexGroup(prime, generator).pack())
            self.assertIsInstance(raised.exception, KeyExchangeFailed)
            self.assertEqual(raised.exception.reason, 3)
            self.assertIs(ExchangeState.AWAIT_GROUP, client.state)
            self.assertEqual((b"", b""), (client.sharedSecret, client.exchangeHash))
        (group,) = server.receive(34, request.pack())
        (init,) = client.receive(31, group.pack())
        server.receive(32, init.pack())
        client.receive(33, server.reply(b"signature").pack())
        self.assertEqual(server.exchangeHash, client.exchangeHash)

    def test_badGroupsOfAServer(self) -> None:
        """
        Row 39: a server that has no group for a client, or a bad one, does not
        go on either.
        """
        bad = GROUP_EXCHANGE_SHA256.choosingFrom({2048: [(2, 2**2047)]})
        for method, request in (
            (GROUP_EXCHANGE_SHA256, kex.KexDHGexRequest(1024, 1024, 1024)),
            (bad, kex.KexDHGexRequest(2048, 2048, 2048)),
        ):
            server = KeyExchange(Role.SERVER, method, Transcript(b"c", b"s", b"\x14c", b"\x14s"), b"key")
            with self.assertRaises(KeyExchangeFailed) as raised:
                server.receive(34, request.pack())
            self.assertEqual(raised.exception.reason, 3)
            self.assertIs(ExchangeState.AWAIT_GROUP_REQUEST, server.state)
            self.assertEqual((b"", b""), (server.sharedSecret, server.exchangeHash))


class DerivationTests(SynchronousTestCase):
    def test_exchangeHash(self) -> None:
        """
        RFC 4253 section 8, put together by hand.
        """
        parts = [b"SSH-2.0-c", b"SSH-2.0-s", b"\x14client", b"\x14server", b"host key"]
        whole = b"".join(map(packString, parts)) + packMPInt(5) + packMPInt(7) + packMPInt(9)
        found = exchangeHash("sha256", *parts, [packMPInt(5), packMPInt(7), packMPInt(9)])
        self.assertEqual(hashlib.sha256(whole).digest(), found)

    def test_published(self) -> None:
        """
        NIST's vector for the SSH key derivation (CAVS 14.1, SHA-1 with triple
        DES, count 0): initial vectors, cipher keys, which are longer than the
        hash, and MAC keys.
        """
        secret = bytes.fromhex(
            "0000008055bae931c07fd824bf10add1902b6fbc7c665347383498a686929ff5a25f8e40cb6645ea814fb1a5e0a1"
            "1f852f86255641e5ed986e83a78bc8269480eac0b0dfd770cab92e7a28dd87ff452466d6ae867cead63b366b1c28"
            "6e6c4811a9f14c27aea14c5171d49b78c06e3735d36e6a3be321dd5fc82308f34ee1cb17fba94a59"
        )
        sessionID = bytes.fromhex("a4ebd45934f56792b5112dcd75a1075fdc889245")
        keys = KeyDerivation("sha1", secret, sessionID, sessionID)
        for letter, published in (
            (b"A", "e2f627c0b43f1ac1"),
            (b"B", "58471445f342b181"),
            (b"C", "1ca9d310f86d51f6cb8e7007cb2b220d55c5281ce680b533"),
            (b"D", "2c60df8603d34cc1dbb03c11f725a44b44008851c73d6844"),
            (b"E", "472eb8a26166ae6aa8e06868e45c3b26e6eeed06"),
            (b"F", "e3e2fdb9d7bc21165a3dbe47e1eceb7764390bab"),
        ):
            expected = bytes.fromhex(published)
            self.assertEqual(expected, keys.key(letter, len(expected)))

    def test_longKeys(self) -> None:
        """
        RFC 4253 section 7.2: a key longer than the hash goes on with the hash
        of all that there is.
        """
        keys = KeyDerivation("sha256", packMPInt(1), b"H" * 32, b"S" * 32)
        first = hashlib.sha256(packMPInt(1) + b"H" * 32 + b"C" + b"S" * 32).digest()
        second = hashlib.sha256(packMPInt(1) + b"H" * 32 + first).digest()
        self.assertEqual(first + second, keys.key(b"C", 64))
        self.assertEqual(first[:16], keys.key(b"C", 16))
        self.assertEqual(b"", keys.key(b"C", 0))
