"""
The transport as a machine: the handshake, re-exchanges, and all that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite import limits
from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.error import (
    BadMAC,
    BadPacketLength,
    BadSignature,
    HostKeyReplaced,
    KeyExchangeFailed,
    MalformedMessage,
    PeerError,
    StrictKexViolation,
    UnexpectedMessage,
    UsageError,
)
from conchlite.sansio import events
from conchlite.sansio.phases import Phase
from conchlite.sansio.role import Role
from conchlite.wire import numbers, transport
from conchlite.wire.types import packString
from tests.sansio.pairs import CLIENT_VERSION, FAST, SERVER_VERSION, End, HostKey, Pair

DATA = numbers.MSG_CHANNEL_DATA


def message(text: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes((DATA,)), text)]


class HandshakeTests(SynchronousTestCase):
    def test_versionsAndKexInitComeAtOnce(self) -> None:
        """
        Neither side waits for the other's version.
        """
        for role, version in ((Role.CLIENT, CLIENT_VERSION), (Role.SERVER, SERVER_VERSION)):
            end = End(role)
            end.start()
            output = end.take()
            self.assertTrue(output.startswith(version + b"\r\n"))
            self.assertEqual(numbers.MSG_KEXINIT, output[len(version) + 2 + 5])

    def test_handshake(self) -> None:
        pair = Pair()
        pair.establish()
        client, server = pair.client.layer, pair.server.layer
        self.assertEqual(32, len(client.sessionID))
        self.assertEqual(client.sessionID, server.sessionID)
        self.assertEqual(client.negotiated, server.negotiated)
        self.assertTrue(client.negotiated.strict)
        self.assertEqual((SERVER_VERSION, CLIENT_VERSION), (client.peerVersion, server.peerVersion))
        self.assertEqual(
            [
                events.VersionReceived,
                events.ExchangeStarted,
                events.HostKeyOffered,
                events.NewKeysUsed,
                events.ExtensionsReceived,
            ],
            [type(event) for event in pair.client.happened],
        )
        self.assertEqual(
            [events.VersionReceived, events.ExchangeStarted, events.SignatureWanted, events.NewKeysUsed],
            [type(event) for event in pair.server.happened],
        )

    def test_sequenceNumbersRestart(self) -> None:
        """
        Row 20: with strict key exchange both counters are 0 behind
        every NEWKEYS; the server's first packet under the keys is EXT_INFO.
        """
        pair = Pair()
        pair.establish()
        self.assertEqual((0, 1), (pair.client.layer.outgoingSequence, pair.client.layer.incomingSequence))
        pair.client.layer.sendKexInit(FAST)
        pair.pump()
        self.assertEqual((0, 0), (pair.client.layer.outgoingSequence, pair.client.layer.incomingSequence))

    def test_dataBothWays(self) -> None:
        pair = Pair()
        pair.establish()
        pair.client.layer.send(message(b"to the server"))
        pair.server.layer.send(message(b"to the client") + message(b"again"))
        pair.pump()
        self.assertEqual([(DATA, b"to the server")], pair.server.received)
        self.assertEqual([(DATA, b"to the client"), (DATA, b"again")], pair.client.received)

    def test_heldBeforeKeys(self) -> None:
        """
        What is sent before there are keys goes out right behind NEWKEYS.
        """
        pair = Pair()
        pair.start()
        pair.client.layer.sendMessage(transport.ServiceRequest(b"ssh-userauth"))
        self.assertNotIn(b"ssh-userauth", pair.client.layer.takeOutput()[-1])
        pair = Pair()
        pair.start()
        pair.client.layer.sendMessage(transport.ServiceRequest(b"ssh-userauth"))
        pair.pump()
        self.assertIn(events.ServiceRequested(b"ssh-userauth"), pair.server.happened)

    def test_everyAlgorithm(self) -> None:
        """
        Each cipher with each MAC, and each method.
        """
        combinations = [
            FAST.replacing(ciphers=(cipher,), macs=(mac,))
            for cipher in CLIENT_DEFAULT.ciphers
            for mac in CLIENT_DEFAULT.macs
        ]
        combinations += [FAST.replacing(keyExchanges=(name,)) for name in CLIENT_DEFAULT.keyExchanges]
        for algorithms in combinations:
            pair = Pair(End(Role.CLIENT, algorithms), End(Role.SERVER, algorithms))
            pair.establish()
            for end in (pair.client, pair.server):
                end.layer.send(message(b"x" * 5000))
            pair.pump()
            self.assertEqual([(DATA, b"x" * 5000)], pair.server.received, algorithms)
            self.assertEqual([(DATA, b"x" * 5000)], pair.client.received, algorithms)
            self.assertEqual(algorithms.ciphers[0], pair.client.layer.negotiated.cipherClientToServer)

    def test_badSignature(self) -> None:
        """
        A host key whose owner has proved nothing is never offered.
        """
        for flip in range(0, 80, 7):
            pair = Pair()
            pair.server.automatic = False
            pair.start()
            pair.pump()
            [wanted] = [e for e in pair.server.happened if isinstance(e, events.SignatureWanted)]
            signature = bytearray(pair.server.hostKey.sign(wanted.data))
            signature[flip] ^= 4
            pair.server.layer.provideSignature(bytes(signature))
            self.assertRaises((BadSignature, MalformedMessage), pair.pump)
            self.assertEqual(0, pair.client.count(events.HostKeyOffered))

    def test_wrongGuess(self) -> None:
        """
        Row 26: exactly one packet is dropped when the peer guessed
        wrong, none when it guessed right.
        """
        other = FAST.replacing(keyExchanges=(b"ecdh-sha2-nistp256", b"curve25519-sha256"))
        for ours, wrong in ((other, True), (FAST, False)):
            server = End(Role.SERVER, ours)
            server.start()
            client = End(Role.CLIENT)
            client.layer.start()
            offered = transport.KexInit.unpackPayload(kexInitOf(End(Role.CLIENT))).__dict__
            client.layer.send(
                [(transport.KexInit(**{**offered, "firstKexPacketFollows": True}).packPayload(),)]
            )
            server.deliver(client.take())
            self.assertEqual(Phase.FIRST_GUESS if wrong else Phase.FIRST_EXCHANGE, server.layer.phase)
            client.layer.send([(b"\x1e" + packString(b"a guess of another method"),)])
            if wrong:
                server.deliver(client.take())
                self.assertEqual(Phase.FIRST_EXCHANGE, server.layer.phase)
                client.layer.send([(b"\x1e" + packString(b"no guess any more"),)])
            self.assertRaises(KeyExchangeFailed, server.deliver, client.take())


def kexInitOf(end: End) -> bytes:
    end.layer.sendKexInit(end.algorithms)
    return end.layer.ourKexInit


class SizeTests(SynchronousTestCase):
    def test_small(self) -> None:
        """
        Two connections have their tables of messages in common, and each has
        so few attributes that Python keeps their names once for all.
        """
        pairs = [Pair(), Pair()]
        for pair in pairs:
            pair.establish()
        for one, other in ((pair.client.layer, pair.server.layer) for pair in pairs):
            self.assertLessEqual(len(vars(one)), 30)
            self.assertLessEqual(len(vars(other)), 30)
        self.assertIs(pairs[0].client.layer._admitted, pairs[1].client.layer._admitted)


class PausedTests(SynchronousTestCase):
    """
    Law 6: while a verdict is awaited nothing is read.
    """

    def test_hostKey(self) -> None:
        """
        The server's NEWKEYS and its encrypted EXT_INFO come while the user
        thinks; they wait as they are. (Conch reads on: "bad packet length".)
        """
        pair = Pair()
        pair.client.automatic = False
        pair.start()
        pair.pump()
        self.assertEqual(Phase.FIRST_VERDICT, pair.client.layer.phase)
        self.assertTrue(pair.client.layer.paused)
        self.assertGreater(pair.client.layer.waiting, 16)
        self.assertEqual(0, pair.client.count(events.NewKeysUsed))
        pair.client.handleAll()
        self.assertEqual(Phase.FIRST_VERDICT, pair.client.layer.phase)
        pair.client.layer.acceptHostKey()
        pair.client.handleAll()
        pair.pump()
        self.assertEqual(1, pair.client.count(events.NewKeysUsed))
        self.assertEqual(1, pair.client.count(events.ExtensionsReceived))
        self.assertEqual(1, pair.server.count(events.NewKeysUsed))

    def test_signature(self) -> None:
        """
        The server signs in its own time, in every exchange.
        """
        pair = Pair()
        pair.server.automatic = False
        pair.start()
        pair.pump()
        for phase, received in ((Phase.FIRST_VERDICT, 1), (Phase.VERDICT, 2)):
            self.assertEqual(phase, pair.server.layer.phase)
            wanted = pair.server.happened[-1]
            pair.server.layer.provideSignature(pair.server.hostKey.sign(wanted.data))
            pair.pump()
            self.assertEqual(received, pair.client.count(events.NewKeysUsed))
            pair.client.layer.sendKexInit(FAST)
            pair.pump()


class ReexchangeTests(SynchronousTestCase):
    def check(self, start: Callable[[Pair], None]) -> Pair:
        pair = Pair()
        pair.establish()
        sessionID = pair.client.layer.sessionID
        for number in range(3):
            for end in (pair.client, pair.server):
                end.layer.send(message(b"before"))
            start(pair)
            for end in (pair.client, pair.server):
                end.layer.send(message(b"during"))
            pair.pump()
            for end in (pair.client, pair.server):
                end.layer.send(message(b"behind"))
            pair.pump()
            self.assertEqual(2 + number, pair.client.count(events.NewKeysUsed))
        for end in (pair.client, pair.server):
            self.assertEqual([b"before", b"during", b"behind"] * 3, [body for _, body in end.received])
            self.assertEqual(1, end.happened.count(events.NewKeysUsed(True)))
            self.assertEqual(sessionID, end.layer.sessionID)
            self.assertEqual(0, end.layer.heldBytes)
            self.assertFalse(end.layer.exchanging)
        self.assertEqual(1, pair.client.count(events.HostKeyOffered))
        return pair

    def test_byTheClient(self) -> None:
        self.check(lambda pair: pair.client.layer.sendKexInit(FAST))

    def test_byTheServer(self) -> None:
        self.check(lambda pair: pair.server.layer.sendKexInit(FAST))

    def test_byBothAtOnce(self) -> None:
        def both(pair: Pair) -> None:
            pair.client.layer.sendKexInit(FAST)
            pair.server.layer.sendKexInit(FAST)

        self.check(both)

    def test_otherAlgorithms(self) -> None:
        """
        A re-exchange may agree on something else; markers stand only in the
        first KEXINIT, and strictness stays as it was.
        """
        pair = Pair()
        pair.establish()
        pair.client.algorithms = pair.server.algorithms = FAST.replacing(
            ciphers=(b"chacha20-poly1305@openssh.com",)
        )
        pair.server.layer.sendKexInit(pair.server.algorithms)
        pair.pump()
        pair.client.layer.send(message(b"x"))
        pair.pump()
        self.assertEqual([(DATA, b"x")], pair.server.received)
        self.assertEqual(b"chacha20-poly1305@openssh.com", pair.client.layer.negotiated.cipherServerToClient)
        self.assertTrue(pair.client.layer.negotiated.strict)
        self.assertNotIn(b"kex-strict", pair.client.layer.ourKexInit)

    def test_duringLogin(self) -> None:
        """
        A re-exchange before the user has logged in leads back to the login.
        """
        pair = Pair()
        pair.start()
        pair.pump()
        pair.client.layer.sendKexInit(FAST)
        pair.pump()
        self.assertEqual((Phase.LOGIN, Phase.LOGIN), (pair.client.layer.phase, pair.server.layer.phase))

    def test_twice(self) -> None:
        pair = Pair()
        pair.establish()
        pair.client.layer.sendKexInit(FAST)
        self.assertRaises(UsageError, pair.client.layer.sendKexInit, FAST)

    def test_anotherHostKey(self) -> None:
        """
        Row 30: the user is not asked again, and another key ends
        the connection with reason 9.
        """
        pair = Pair()
        other = HostKey(b"\x42" * 32)
        pair.establish()
        pair.server.hostKey = other
        pair.server.layer._configuration.hostKeys[b"ssh-ed25519"] = other.blob
        pair.client.layer.sendKexInit(FAST)
        error = self.assertRaises(HostKeyReplaced, pair.pump)
        self.assertEqual(9, error.reason)

    def test_noiseIsBounded(self) -> None:
        """
        Row 28: between a peer's KEXINIT and its NEWKEYS it may
        send IGNORE and the like, but not for ever.
        """
        pair = Pair()
        pair.establish()
        pair.client.layer.sendKexInit(FAST)
        pair.server.deliver(pair.client.take())
        limit = limits.MAXIMUM_NOISE_IN_EXCHANGE
        for _ in range(limit):
            pair.client.layer.sendMessage(transport.Ignore(b""))
        pair.server.deliver(pair.client.take())
        pair.client.layer.sendMessage(transport.Ignore(b""))
        self.assertRaises(UnexpectedMessage, pair.server.deliver, pair.client.take())


class CuttingTests(SynchronousTestCase):
    """
    A recorded handshake, cut anywhere, gives the same.
    """

    def record(self) -> tuple[Pair, bytes, bytes]:
        pair = Pair()
        pair.establish()
        for end in (pair.client, pair.server):
            end.layer.send(message(b"some data") + message(b"y" * 100))
            end.layer.sendMessage(transport.Debug(False, b"debug", b""))
        pair.pump()
        return pair, b"".join(pair.recorded[Role.SERVER]), b"".join(pair.recorded[Role.CLIENT])

    def replay(self, role: Role, pieces: list[bytes]) -> tuple[list[events.Event], list[tuple[int, bytes]]]:
        """
        Deliver to one end, in pieces, what its peer said; the peer's part that
        depends on us is made anew, so a live peer answers.
        """
        pair = Pair()
        pair.start()
        target, peer = (pair.client, pair.server) if role is Role.CLIENT else (pair.server, pair.client)
        authenticated = False
        while True:
            peer.deliver(target.take())
            if peer.layer.sessionID and not peer.layer.exchanging and not authenticated:
                authenticated = True
                for end in (target, peer):
                    end.layer.authenticated()
                peer.layer.send(message(b"some data") + message(b"y" * 100))
                peer.layer.sendMessage(transport.Debug(False, b"debug", b""))
            data = peer.take()
            if not data:
                return target.happened, target.received
            size = len(pieces)
            offsets = sorted({0, len(data), *(len(piece) % (len(data) + 1) for piece in pieces[:size])})
            for start, stop in pairwise(offsets):
                target.deliver(data[start:stop])

    def test_byteByByte(self) -> None:
        for role in Role:
            whole = self.replay(role, [])
            self.assertIn((DATA, b"some data"), whole[1])
            bytewise = self.replay(role, [bytes(n) for n in range(4000)])
            self.assertEqual(kinds(whole), kinds(bytewise))

    def test_everyCut(self) -> None:
        """
        Cut in two at every position.
        """
        longest = 1400
        for role in Role:
            whole = kinds(self.replay(role, []))
            for position in range(1, longest):
                self.assertEqual(whole, kinds(self.replay(role, [bytes(position)])))

    def test_truncation(self) -> None:
        """
        A handshake that ends anywhere leaves the machine waiting, never with an
        exception of its own.
        """
        _, fromServer, _ = self.record()
        for size in range(0, len(fromServer), 3):
            client = End(Role.CLIENT)
            client.start()
            try:
                client.deliver(fromServer[:size])
            except PeerError as error:
                # Recorded for another key exchange, so the signature is wrong.
                self.assertIsInstance(error, (BadSignature, MalformedMessage))


def kinds(outcome: tuple[list[events.Event], list[tuple[int, bytes]]]) -> object:
    return [type(event) for event in outcome[0]], outcome[1]


class FlipTests(SynchronousTestCase):
    def test_everyByteBehindNewKeys(self) -> None:
        """
        Row 12: one bit flipped in any byte behind NEWKEYS, in five
        modes and both directions, delivers nothing and is an error of the MAC
        or of the length.
        """
        modes = (
            (b"aes128-gcm@openssh.com", b"hmac-sha2-256"),
            (b"chacha20-poly1305@openssh.com", b"hmac-sha2-256"),
            (b"aes128-ctr", b"hmac-sha2-256"),
            (b"aes128-ctr", b"hmac-sha2-256-etm@openssh.com"),
            (b"aes256-ctr", b"hmac-sha2-512"),
        )
        for cipher, mac in modes:
            algorithms = FAST.replacing(ciphers=(cipher,), macs=(mac,))
            for position in range(0, 100, 3):
                pair = Pair(End(Role.CLIENT, algorithms), End(Role.SERVER, algorithms))
                pair.establish()
                for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
                    sender.layer.send(message(b"first" * 5))
                    data = bytearray(sender.take())
                    data[position % len(data)] ^= 1 << (position % 8)
                    self.assertRaises(
                        (BadMAC, BadPacketLength), receiver.deliver, bytes(data) + bytes(300_000)
                    )
                    self.assertEqual([], receiver.received)

    def test_everyByteOfTheHandshake(self) -> None:
        """
        One bit flipped in any byte that the server sends before NEWKEYS: the
        client refuses, or waits for bytes that never come. It is secure only
        where both ends saw the same handshake.
        """
        secured = 0
        for position in range(0, 1000, 3):
            pair = Pair()
            pair.start()
            first = True
            sent = 0
            try:
                for _ in range(6):
                    pair.server.deliver(pair.client.take())
                    data = bytearray(pair.server.take())
                    if first and sent <= position < sent + len(data):
                        data[position - sent] ^= 1 << (position % 8)
                        first = False
                    sent += len(data)
                    pair.client.deliver(bytes(data))
            except PeerError:
                continue
            if not first and pair.client.count(events.NewKeysUsed):
                # Only the padding of a packet in clear is covered by nothing.
                self.assertEqual(pair.client.layer.sessionID, pair.server.layer.sessionID)
                self.assertEqual(pair.client.received, [])
                secured += 1
        self.assertLess(secured, 15)


#: A cipher whose packets depend on their sequence number alone, so that one
#: can be made for any place.
STATELESS = FAST.replacing(ciphers=(b"chacha20-poly1305@openssh.com",))


class StrictTests(SynchronousTestCase):
    def test_strictWantsKexInitFirst(self) -> None:
        """
        Row 20: with strict key exchange nothing comes before
        KEXINIT.
        """
        for role in Role:
            target, peer = End(role), End(Role.SERVER if role is Role.CLIENT else Role.CLIENT)
            target.start()
            peer.layer.start()
            peer.layer.sendMessage(transport.Ignore(b"shifts the sequence numbers"))
            peer.layer.sendKexInit(FAST)
            self.assertRaises(StrictKexViolation, target.deliver, peer.take())

    def test_extInfoInClear(self) -> None:
        """
        Row 21, CVE-2023-46445: EXT_INFO before NEWKEYS.
        """
        client, server = End(Role.CLIENT), End(Role.SERVER)
        client.start()
        server.layer.start()
        server.layer._output.append(server.layer._writer.seal([(transport.ExtInfo({}).packPayload(),)]))
        self.assertRaises(UnexpectedMessage, client.deliver, server.take())

    def test_wrongRole(self) -> None:
        """
        SERVICE_REQUEST comes from clients, SERVICE_ACCEPT from servers.
        """
        pair = Pair()
        pair.establish()
        pair.server.layer.sendMessage(transport.ServiceRequest(b"x"))
        self.assertRaises(UnexpectedMessage, pair.pump)
        pair = Pair()
        pair.establish()
        pair.client.layer.sendMessage(transport.ServiceAccept(b"x"))
        self.assertRaises(UnexpectedMessage, pair.pump)


def rewriteKexInit(end: End, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """
    Make an end whose KEXINIT says something else.
    """
    original = end.layer.sendKexInit

    def sendKexInit(algorithms: object) -> None:
        writer = end.layer._writer
        real = writer.seal

        def seal(packets: object) -> bytes:
            payload = b"".join(packets[0])
            if payload[0] == numbers.MSG_KEXINIT:
                fields = transport.KexInit.unpackPayload(payload).__dict__
                # What the machine hashes is what went out.
                end.layer.ourKexInit = transport.KexInit(**change(fields)).packPayload()
                packets = [(end.layer.ourKexInit,)]
            return real(packets)

        writer.seal = seal
        original(algorithms)
        writer.seal = real

    end.layer.sendKexInit = sendKexInit


def loosen(end: End) -> None:
    """
    Make a peer that knows nothing of strict key exchange.
    """

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        names = tuple(n for n in fields["kexAlgorithms"] if not n.startswith(b"kex-strict"))
        return {**fields, "kexAlgorithms": names}

    rewriteKexInit(end, change)
