"""
When keys are worn, and how often a peer may renew them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import KeysWornOut, TooManyRenewals
from conchlite.limits import (
    MAXIMUM_FREE_RENEWALS,
    MAXIMUM_PACKETS_PER_KEY,
    MAXIMUM_RENEWALS_PER_MINUTE,
    RENEWAL_DISTANCE,
)
from conchlite.sansio.rekeying import RenewalCount, volumeLimit
from conchlite.sansio.role import Role
from tests.sansio.pairs import FAST, End, Pair
from tests.sansio.test_transportlayer import DATA, loosen, message

#: Whatever a program says.
NEVER = 2**63
CTR = FAST.replacing(ciphers=(b"aes128-ctr",), macs=(b"hmac-sha2-256-etm@openssh.com",))
CHACHA = FAST.replacing(ciphers=(b"chacha20-poly1305@openssh.com",))


def count(pair: Pair, packets: int) -> None:
    """
    As if each side had sent so many packets under the running keys.
    """
    for end in (pair.client, pair.server):
        for side in (end.layer._reader, end.layer._writer):
            side.sequence = side.packets = packets & 0xFFFFFFFF


class VolumeTests(SynchronousTestCase):
    def test_perCipher(self) -> None:
        """
        Row 19, RFC 4344 section 3.2: 2^(L/4) blocks of at least 128 bits, and a
        gigabyte for what has smaller ones or none.
        """
        self.assertEqual(2**32 * 16, volumeLimit(16))
        self.assertEqual(2**64 * 32, volumeLimit(32))
        self.assertEqual(2**30, volumeLimit(8))
        for cipher, limit in (
            (b"aes128-gcm@openssh.com", 2**36),
            (b"aes256-ctr", 2**36),
            (b"chacha20-poly1305@openssh.com", 2**30),
        ):
            algorithms = FAST.replacing(ciphers=(cipher,))
            pair = Pair(End(Role.CLIENT, algorithms), End(Role.SERVER, algorithms))
            pair.establish()
            for end in (pair.client, pair.server):
                for side in (end.layer._reader, end.layer._writer):
                    side.volume = limit - 1
                    self.assertFalse(end.layer.areKeysWorn(NEVER, NEVER))
                    side.volume = limit
                    self.assertTrue(end.layer.areKeysWorn(NEVER, NEVER))
                    side.volume = 0

    def test_programsLimits(self) -> None:
        """
        A program may want new keys earlier.
        """
        pair = Pair()
        pair.establish()
        layer = pair.client.layer
        layer.send(message(bytes(1000)))
        self.assertFalse(layer.areKeysWorn(2000, 3))
        self.assertTrue(layer.areKeysWorn(1000, 3))
        self.assertTrue(layer.areKeysWorn(2000, 1))

    def test_newKeysAreFresh(self) -> None:
        pair = Pair()
        pair.establish()
        pair.client.layer.send(message(bytes(5000)))
        pair.pump()
        for end in (pair.client, pair.server):
            self.assertTrue(end.layer.areKeysWorn(5000, NEVER))
        pair.server.layer.sendKexInit(FAST)
        pair.pump()
        for end in (pair.client, pair.server):
            self.assertFalse(end.layer.areKeysWorn(5000, NEVER))


class SequenceTests(SynchronousTestCase):
    def test_packets(self) -> None:
        """
        Rows 18 and 19: new keys are due in time, and at 2^31 packets under one
        key there is an end, whether they were sent or received.
        """
        pair = Pair()
        pair.establish()
        layer = pair.client.layer
        for side in (layer._reader, layer._writer):
            for packets, worn in ((2**30 - 1, False), (2**30, True), (2**31 - 1, True)):
                side.packets = packets
                self.assertEqual(worn, layer.areKeysWorn(NEVER, NEVER))
            for packets in (2**31, 2**32 - 2):
                side.packets = packets
                error = self.assertRaises(KeysWornOut, layer.areKeysWorn, NEVER, NEVER)
                self.assertEqual(2, error.reason)
            side.packets = 0
        self.assertEqual(2**31, MAXIMUM_PACKETS_PER_KEY)

    def test_wrap(self) -> None:
        """
        Row 18: no sequence number comes again under the same keys, those of
        the beginning included, for every cipher.
        """
        for algorithms in (FAST, CTR, CHACHA):
            for login in (False, True):
                pair = Pair(End(Role.CLIENT, algorithms), End(Role.SERVER, algorithms))
                if login:
                    pair.establish()
                else:
                    pair.start()
                count(pair, 2**32 - 2)
                for end in (pair.client, pair.server):
                    self.assertRaises(KeysWornOut, end.layer.areKeysWorn, NEVER, NEVER)

    def test_lawfulWrap(self) -> None:
        """
        Row 18: where the exchange is not strict the numbers run on over new
        keys, and wrap as RFC 4253 section 6.4 says.
        """
        for algorithms in (FAST, CTR, CHACHA):
            pair = Pair(
                End(Role.CLIENT, algorithms, allowTerrapin=True),
                End(Role.SERVER, algorithms, allowTerrapin=True),
            )
            loosen(pair.client)
            pair.establish()
            self.assertFalse(pair.client.layer.negotiated.strict)
            for end in (pair.client, pair.server):
                end.layer._reader.sequence = end.layer._writer.sequence = 2**32 - 2
            for number in range(4):
                for end in (pair.client, pair.server):
                    end.layer.send(message(b"%d" % number))
                pair.pump()
            for end in (pair.client, pair.server):
                self.assertEqual((2, 2), (end.layer.outgoingSequence, end.layer.incomingSequence))
                self.assertFalse(end.layer.areKeysWorn(NEVER, NEVER))
                end.layer._reader.sequence = end.layer._writer.sequence = 2**32 - 2
            pair.client.layer.sendKexInit(algorithms)
            pair.pump()
            for end in (pair.client, pair.server):
                # KEXINIT, the method's message, NEWKEYS.
                self.assertEqual((1, 1), (end.layer.outgoingSequence, end.layer.incomingSequence))
                end.layer.send(message(b"behind"))
            pair.pump()
            for end in (pair.client, pair.server):
                self.assertEqual([(DATA, body) for body in (b"0", b"1", b"2", b"3", b"behind")], end.received)


class RenewalTests(SynchronousTestCase):
    def test_perMinute(self) -> None:
        """
        Row 31: three are free, then ten in any minute.
        """
        renewals = RenewalCount()
        for _ in range(MAXIMUM_FREE_RENEWALS):
            renewals.begun(0.0, MAXIMUM_RENEWALS_PER_MINUTE)
        for number in range(100):
            renewals.begun(6.0 * number, MAXIMUM_RENEWALS_PER_MINUTE)
        error = self.assertRaises(
            TooManyRenewals, renewals.begun, 6.0 * 99 + 5.9, MAXIMUM_RENEWALS_PER_MINUTE
        )
        self.assertEqual(2, error.reason)

    def test_withoutClock(self) -> None:
        """
        Row 31: where no time passes it is the number alone.
        """
        renewals = RenewalCount()
        for _ in range(MAXIMUM_FREE_RENEWALS + MAXIMUM_RENEWALS_PER_MINUTE):
            renewals.begun(None, MAXIMUM_RENEWALS_PER_MINUTE)
        self.assertRaises(TooManyRenewals, renewals.begun, None, MAXIMUM_RENEWALS_PER_MINUTE)

    def test_distance(self) -> None:
        """
        Row 31: what has cost the peer enough bytes, in either direction, is
        not counted.
        """
        for sender in ("client", "server"):
            pair = Pair()
            pair.establish()
            for _ in range(30):
                getattr(pair, sender).layer.send(message(bytes(30_000)) * (RENEWAL_DISTANCE // 30_000 + 1))
                pair.pump()
                for end in (pair.client, pair.server):
                    end.layer.peerRenewsKeys(None, RENEWAL_DISTANCE, 0)
                pair.client.layer.sendKexInit(FAST)
                pair.pump()
            for _ in range(MAXIMUM_FREE_RENEWALS):
                pair.server.layer.peerRenewsKeys(None, RENEWAL_DISTANCE, 0)
            self.assertRaises(TooManyRenewals, pair.server.layer.peerRenewsKeys, None, RENEWAL_DISTANCE, 0)
