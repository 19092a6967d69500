"""
Faults on the wire: what comes is not what was sent.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.ciphers.plain import PlainOpener, PlainSealer
from conchlite.error import BadMAC, BadPacketLength, PeerError, StrictKexRequired
from conchlite.limits import MAXIMUM_PACKET_LENGTH
from conchlite.sansio.packets import PacketReader, PacketWriter
from conchlite.sansio.role import Role
from conchlite.wire.transport import Ignore
from tests.fuzz.flips import flip, positions
from tests.fuzz.recording import FILLER, MESSAGES, MODES, RecordedEnd, Recording, fixedSecrets
from tests.sansio.pairs import End, seeded
from tests.sansio.test_transportlayer import loosen

_OTHER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}


@functools.cache
def recordings() -> dict[str, Recording]:
    """
    One session for each way to protect packets.
    """
    return {mode: Recording(algorithms) for mode, algorithms in MODES.items()}


class FlipTests(SynchronousTestCase):
    """
    Row 12: one bit flipped anywhere, in every mode and both directions, is an
    error, that of the MAC (code 5) behind NEWKEYS; nothing from there on is
    delivered. Only the padding of packets in clear means nothing to anybody.
    """

    def test_sample(self) -> None:
        """
        Two thousand bytes of all; C{python -m tests.fuzz.flips} does the rest.
        """
        everything = list(positions(recordings()))
        self.assertGreater(len(everything), 40_000)
        outcomes = {
            flip(mode, recordings()[mode], sender, offset)
            for mode, sender, offset in random.Random(12).sample(everything, 2000)
        }
        self.assertLessEqual({"BadMAC", "BadPacketLength", "BadSignature", "covered by nothing"}, outcomes)

    def test_everyByteOfPackets(self) -> None:
        """
        Every byte of the first two packets behind NEWKEYS, length and tag
        included.
        """
        for mode, recording in recordings().items():
            for sender in Role:
                starts = recording.starts(sender)
                first = recording.behindNewKeys[sender]
                for offset in range(starts[first], starts[first + 2]):
                    flip(mode, recording, sender, offset)

    def test_clearPadding(self) -> None:
        """
        The bytes that nothing covers are the padding of three packets on
        either side: KEXINIT, the exchange's one message, NEWKEYS.
        """
        for mode, recording in recordings().items():
            for sender in Role:
                padding = recording.clearPadding(sender)
                self.assertLessEqual(3 * 4, len(padding))
                self.assertLess(len(padding), 3 * 16)
                for offset in sorted(padding)[::5]:
                    self.assertEqual(
                        "covered by nothing", flip(mode, recording, sender, offset), (sender, offset)
                    )


Packets = list[bytes]


def clear(payload: bytes) -> bytes:
    """
    A packet as it is before NEWKEYS.
    """
    return PacketWriter(PlainSealer(), seeded("clear")).seal([(payload,)])


NEWKEYS = clear(b"\x15")


def commonPackets(one: Packets, other: Packets) -> int:
    """
    With how many packets both begin.
    """
    differing = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, len(one))


def operations(packets: Packets, reflected: Packets, n: int) -> Iterator[tuple[str, Packets]]:
    """
    What somebody without the keys can do to packet C{n}, with packets that he
    has seen and with what he makes.

    @param reflected: what went in the other direction.
    """
    before, packet, behind = packets[:n], packets[n], packets[n + 1 :]
    yield "deleted", [*before, *behind]
    yield "duplicated", [*before, packet, packet, *behind]
    if behind:
        yield "swapped", [*before, behind[0], packet, *behind[1:]]
        yield "moved back", [*before, *behind[:3], packet, *behind[3:]]
    for name, inserted in (
        ("IGNORE", clear(Ignore(b"x").packPayload())),
        ("DEBUG", clear(b"\x04\x00" + bytes(8))),
        ("UNIMPLEMENTED", clear(b"\x03" + bytes(4))),
        ("EXT_INFO", clear(b"\x07" + bytes(4))),
        ("NEWKEYS", NEWKEYS),
        ("SERVICE_ACCEPT", clear(b"\x06" + bytes(4))),
        ("data", clear(b"\x32injected")),
        ("what came before", packets[max(0, n - 1)]),
        ("what came long before", packets[max(1, n // 2)]),
        ("what came from the other side", reflected[min(n, len(reflected) - 1)]),
        ("random bytes", random.Random(n).randbytes(len(packet))),
    ):
        yield f"{name} inserted", [*before, inserted, packet, *behind]
        if n % 4 == 0:
            yield f"{name} instead", [*before, inserted, *behind]


class PacketTests(SynchronousTestCase):
    """
    Row 20: somebody on the wire, without keys, deletes, duplicates, moves and
    inserts packets, around each of the first thirty: that is always an error,
    and what was delivered before is what was sent.
    """

    def check(self, name: str, recording: Recording, sender: Role) -> int:
        packets = recording.packets[sender]
        reflected = recording.packets[_OTHER[sender]]
        self.assertGreaterEqual(len(packets), 30)
        count = 0
        # The version line is packet 0 here.
        for n in range(31):
            for operation, changed in operations(packets, reflected, n):
                same = commonPackets(packets, changed)
                if same == len(packets):
                    continue
                newKeys = same == recording.behindNewKeys[sender] - 1 and changed[same][:6] == NEWKEYS[:6]
                if newKeys and len(changed) == len(packets):
                    # It has another padding only, which nothing covers.
                    continue
                end, error = recording.replay(_OTHER[sender], b"".join(changed))
                where = (name, sender, n, operation, error)
                self.assertIsInstance(error, PeerError, str(where))
                self.assertEqual(MESSAGES[: len(end.received)], end.received, str(where))
                intact = max(0, same - recording.firstMessage[sender])
                self.assertLessEqual(len(end.received), intact, str(where))
                count += 1
        return count

    def test_everyOperation(self) -> None:
        for name, recording in recordings().items():
            for sender in Role:
                self.assertGreater(self.check(name, recording, sender), 500)


class LoosePacketTests(SynchronousTestCase):
    """
    Row 20: the same with a peer that knows nothing of strict key exchange:
    CVE-2023-48795 is to insert packets in clear and to delete as many of the
    first ones behind NEWKEYS.
    """

    def attack(self, mode: str, receiver: Role, inserted: int, deleted: int) -> tuple[End, PeerError | None]:
        """
        @return: the attacked end, and what it raised.
        """
        recording = recordings()[mode]
        target = End(receiver, recording.algorithms)
        peer = RecordedEnd(_OTHER[receiver], recording.algorithms)
        loosen(peer)
        target.start()
        peer.start()
        noise = clear(Ignore(b"").packPayload())
        passed = 0
        try:
            for _ in range(6):
                peer.flush()
                if target.layer.sessionID and peer.behindNewKeys and not target.received and passed:
                    for number, body in MESSAGES:
                        peer.layer.send(((bytes((number,)), body),))
                    peer.flush()
                while passed < len(peer.sent):
                    first = peer.behindNewKeys
                    packet = peer.sent[passed]
                    if first and first <= passed < first + deleted:
                        packet = b""
                    elif packet[5:6] == b"\x15" and len(packet) == 16:
                        packet = noise * inserted + packet
                    target.deliver(packet)
                    passed += 1
                peer.deliver(target.take())
            if len(target.received) < len(MESSAGES):
                target.deliver(FILLER)
        except PeerError as error:
            return target, error
        return target, None

    def test_refused(self) -> None:
        """
        Ciphers that lose packets unnoticed are not used.
        """
        for mode in ("chacha20-poly1305", "aes-cbc, etm"):
            for receiver in Role:
                target, error = self.attack(mode, receiver, 1, 1)
                self.assertIsInstance(error, StrictKexRequired, f"{mode} {receiver}")
                self.assertEqual(([], 3), (target.received, error.reason))

    def test_undisturbed(self) -> None:
        """
        The other ciphers are used with such a peer.
        """
        for mode in ("aes-gcm", "aes-ctr, etm", "aes-ctr, mac", "aes-cbc, mac"):
            for receiver in Role:
                target, error = self.attack(mode, receiver, 0, 0)
                self.assertEqual((None, MESSAGES), (error, target.received))

    def test_shifted(self) -> None:
        """
        As many inserted as deleted, so that the sequence numbers are right
        again: what remembers the packets before it still fails.
        """
        for mode in ("aes-gcm", "aes-ctr, mac", "aes-cbc, mac"):
            for receiver in Role:
                for count in (1, 2, 3):
                    target, error = self.attack(mode, receiver, count, count)
                    self.assertIsInstance(error, (BadMAC, BadPacketLength), f"{mode} {receiver} {count}")
                    self.assertEqual([], target.received)


class FragmentationTests(SynchronousTestCase):
    """
    A stream in pieces of any size gives the same packets.
    """

    def pieces(self, size: int, low: int, high: int) -> Iterator[tuple[int, int]]:
        chance = random.Random(size)
        start = 0
        while start < size:
            stop = start + chance.randint(low, high)
            yield start, stop
            start = stop

    def test_sessions(self) -> None:
        """
        One byte at a time, one to sixteen, and all at once, in every mode and
        both directions.
        """
        for mode, recording in recordings().items():
            for sender in Role:
                stream = recording.stream(sender)
                for low, high in ((1, 1), (1, 16), (65536, 65536)):
                    end = End(_OTHER[sender], recording.algorithms)
                    with fixedSecrets():
                        end.start()
                        for start, stop in self.pieces(len(stream), low, high):
                            end.deliver(stream[start:stop])
                    self.assertEqual(MESSAGES, end.received, (mode, sender, high))

    def test_copies(self) -> None:
        """
        A mebibyte in pieces of one byte, in packets small and large: bytes are
        copied when a packet begins and when it is whole, and else once in a
        thousand pieces, and not with each piece that comes.
        """
        for packetSize in (1000, 32768, MAXIMUM_PACKET_LENGTH - 100):
            writer = PacketWriter(PlainSealer(), seeded("copies"))
            count = 2**20 // packetSize
            stream = b"".join(writer.seal([(bytes(packetSize),)]) for _ in range(count))
            reader = CountingReader(PlainOpener())
            reader.maximumLength = MAXIMUM_PACKET_LENGTH
            found = 0
            for n in range(len(stream)):
                reader.feed(stream[n : n + 1])
                found += reader.next() is not None
            self.assertEqual((count, 0), (found, reader.waiting))
            self.assertLess(reader.copied, len(stream) * (3 + packetSize / 1024), packetSize)


class CountingReader(PacketReader):
    """
    @ivar copied: how many bytes were joined.
    """

    copied = 0

    def feed(self, data: bytes) -> None:
        before = len(self._chunks)
        super().feed(data)
        if len(self._chunks) <= before:
            self.copied += len(self._chunks[0])

    def _join(self) -> None:
        super()._join()
        self.copied += len(self._view)
