"""
Ciphers and MACs as the two directions of a connection: rows 5, 12, 19.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.ciphers.plain import PlainOpener, PlainSealer
from conchlite.error import BadMAC, UsageError
from tests.algorithms.vectors import vectors

_SEQUENCES = (0, 1, 255, 2**31, 2**32 - 2, 2**32 - 1)


def randomBytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def packetFor(sealer: Any, blocks: int) -> bytes:
    """
    A whole packet in clear that is aligned as C{sealer} wants it.
    """
    size = blocks * sealer.alignment + sealer.clearSize
    return (size - 4).to_bytes(4, "big") + randomBytes(size - 4)


def openPacket(opener: Any, sequence: int, sealed: bytes) -> bytes:
    """
    What the packet reader does: the length first, then the packet.
    """
    view = memoryview(sealed)
    opener.packetLength(sequence, view[: opener.headSize])
    return opener.open(sequence, view)


class DirectionTests:
    """
    What holds for every pair of a sealer and an opener.

    @cvar cipherName: the cipher.
    @cvar macNames: the MACs to try it with; L{None} for none.
    @cvar block: its alignment.
    """

    cipherName: bytes
    macNames: tuple[bytes | None, ...] = (None,)
    block = 16

    def pairs(self) -> Any:
        """
        For each MAC, two callables that make a sealer and its opener anew.
        """
        cipher = catalogue.cipher(self.cipherName)
        for name in self.macNames:
            mac = None if name is None else catalogue.mac(name)
            macKey = randomBytes(mac.keySize if mac else 0)
            secrets = (randomBytes(cipher.keySize), randomBytes(cipher.ivSize), mac, macKey)
            yield name, lambda s=secrets: cipher.sealer(*s), lambda s=secrets: cipher.opener(*s)

    def test_sizes(self) -> None:
        """
        Both directions tell the packet layer the same.
        """
        for name, newSealer, newOpener in self.pairs():
            sealer, opener = newSealer(), newOpener()
            clear = name is None or name.endswith(b"-etm@openssh.com")
            tagSize = 16 if name is None else catalogue.mac(name).tagSize
            for direction in (sealer, opener):
                self.assertEqual(direction.alignment, self.block)
                self.assertEqual(direction.clearSize, 4 if clear else 0)
                self.assertEqual(direction.tagSize, tagSize)
            self.assertEqual(opener.headSize, 4 if clear else self.block)

    def test_roundTrip(self) -> None:
        """
        What is sealed opens, one packet after the other, at any sequence
        number, and its length is told before.
        """
        for name, newSealer, newOpener in self.pairs():
            sealer, opener = newSealer(), newOpener()
            for sequence in _SEQUENCES:
                for blocks in (1, 2, 3, 63, 2049):
                    packet = packetFor(sealer, blocks)
                    sealed = memoryview(sealer.seal(sequence, packet))
                    self.assertEqual(len(sealed), len(packet) + sealer.tagSize)
                    length = opener.packetLength(sequence, sealed[: opener.headSize])
                    self.assertEqual(length, len(packet) - 4, name)
                    opened = opener.open(sequence, sealed)
                    self.assertIsInstance(opened, bytes)
                    self.assertEqual(opened, packet[4:], name)

    def test_sealInto(self) -> None:
        """
        Sealing into the middle of a buffer writes what L{seal} returns, and
        not a byte beyond.
        """
        for _, newSealer, _ in self.pairs():
            one, other = newSealer(), newSealer()
            for sequence in _SEQUENCES:
                for blocks in (1, 2, 2049):
                    packet = packetFor(one, blocks)
                    sealed = one.seal(sequence, packet)
                    buffer = bytearray(b"\xaa" * (len(sealed) + 80))
                    other.sealInto(sequence, packet, memoryview(buffer)[40:-40])
                    self.assertEqual(buffer, b"\xaa" * 40 + sealed + b"\xaa" * 40)

    def test_opensAnywhere(self) -> None:
        """
        A packet is opened out of the middle of what came.
        """
        for _, newSealer, newOpener in self.pairs():
            sealer, opener = newSealer(), newOpener()
            packet = packetFor(sealer, 2)
            view = memoryview(b"before" + sealer.seal(9, packet) + b"behind")[6:-6]
            opener.packetLength(9, view[: opener.headSize])
            self.assertEqual(opener.open(9, view), packet[4:])

    def test_hidesThePayload(self) -> None:
        """
        What is sealed has nothing of the packet in it but, at most, its length.
        """
        for _, newSealer, _ in self.pairs():
            sealer = newSealer()
            packet = packetFor(sealer, 4)
            sealed = sealer.seal(0, packet)
            for start in range(4, len(packet) - 8):
                self.assertNotIn(packet[start : start + 8], sealed)
            self.assertNotEqual(sealer.seal(1, packet), sealed)

    def test_everyBit(self) -> None:
        """
        Any bit that flips is noticed.
        """
        for name, newSealer, newOpener in self.pairs():
            sealer = newSealer()
            sealed = sealer.seal(3, packetFor(sealer, 1))
            self.assertTrue(openPacket(newOpener(), 3, sealed))
            for bit in range(8 * len(sealed)):
                flipped = bytearray(sealed)
                flipped[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(BadMAC, msg=(name, bit)) as caught:
                    openPacket(newOpener(), 3, bytes(flipped))
                self.assertEqual(caught.exception.reason, 5)

    def test_order(self) -> None:
        """
        A packet opens at its place alone: not twice, and not when one is missing.
        """
        for _, newSealer, newOpener in self.pairs():
            sealer, opener = newSealer(), newOpener()
            first = sealer.seal(0, packetFor(sealer, 2))
            second = sealer.seal(1, packetFor(sealer, 2))
            self.assertRaises(BadMAC, openPacket, newOpener(), 0, second)
            openPacket(opener, 0, first)
            self.assertRaises(BadMAC, openPacket, opener, 1, first)

    def test_otherLength(self) -> None:
        """
        A packet that was cut, or has something behind its tag, is refused.
        """
        for _, newSealer, newOpener in self.pairs():
            sealer = newSealer()
            sealed = sealer.seal(0, packetFor(sealer, 4))
            for other in (sealed[: -self.block], sealed[:-1], sealed + b"\0", sealed + sealed):
                self.assertRaises(BadMAC, openPacket, newOpener(), 0, other)


_ALL_MACS = catalogue.SERVER_DEFAULT.macs


class AES128GCMTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes128-gcm@openssh.com"


class AES256GCMTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes256-gcm@openssh.com"


class ChaCha20Poly1305Tests(DirectionTests, SynchronousTestCase):
    cipherName = b"chacha20-poly1305@openssh.com"
    block = 8

    def test_boundToTheSequenceNumber(self) -> None:
        """
        The sequence number is the nonce, all 32 bits of it.
        """
        for _, newSealer, newOpener in self.pairs():
            sealer = newSealer()
            packet = packetFor(sealer, 4)
            for bit in range(32):
                sealed = sealer.seal(1 << bit, packet)
                self.assertRaises(BadMAC, openPacket, newOpener(), 0, sealed)
                self.assertEqual(openPacket(newOpener(), 1 << bit, sealed), packet[4:])


class AES128CTRTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes128-ctr"
    macNames = _ALL_MACS


class AES192CTRTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes192-ctr"
    macNames = _ALL_MACS[::2]


class AES256CTRTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes256-ctr"
    macNames = _ALL_MACS[1::2]


_LEGACY_MACS = catalogue.LEGACY.macs[-4:]


class LegacyMACTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes128-ctr"
    macNames = _LEGACY_MACS


class AES128CBCTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes128-cbc"
    macNames = _ALL_MACS + _LEGACY_MACS


class AES192CBCTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes192-cbc"
    macNames = _LEGACY_MACS[::2]


class AES256CBCTests(DirectionTests, SynchronousTestCase):
    cipherName = b"aes256-cbc"
    macNames = _LEGACY_MACS[1::2]


class TripleDESTests(DirectionTests, SynchronousTestCase):
    cipherName = b"3des-cbc"
    macNames = _LEGACY_MACS
    block = 8


class PlainTests(SynchronousTestCase):
    """
    Before the first NEWKEYS.
    """

    def test_packets(self) -> None:
        """
        They go as they are, and the opener takes off the length alone.
        """
        sealer, opener = PlainSealer(), PlainOpener()
        packet = packetFor(sealer, 5)
        self.assertEqual(sealer.seal(0, packet), packet)
        buffer = bytearray(len(packet))
        sealer.sealInto(0, packet, memoryview(buffer))
        self.assertEqual(buffer, packet)
        self.assertEqual(opener.packetLength(0, memoryview(packet)[: opener.headSize]), 36)
        opened = opener.open(0, memoryview(packet))
        self.assertEqual(opened, packet[4:])
        self.assertIsInstance(opened, bytes)

    def test_sizes(self) -> None:
        """
        RFC 4253 section 6: a multiple of 8, the length included.
        """
        for direction in (PlainSealer, PlainOpener):
            self.assertEqual((direction.alignment, direction.clearSize, direction.tagSize), (8, 0, 0))


def referenceGCM(key: bytes, iv: bytes, plaintext: bytes, associated: bytes) -> tuple[bytes, bytes]:
    """
    AES-GCM once more, NIST SP 800-38D by the letter: ciphertext and tag.
    """

    def block(data: bytes) -> bytes:
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)

    def multiply(x: int, y: int) -> int:
        product = 0
        for bit in range(127, -1, -1):
            product ^= y if x >> bit & 1 else 0
            y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
        return product

    def pad(data: bytes) -> bytes:
        return data + bytes(-len(data) % 16)

    stream = b"".join(block(iv + n.to_bytes(4, "big")) for n in range(2, 3 + len(plaintext) // 16))
    ciphertext = bytes(p ^ s for p, s in zip(plaintext, stream, strict=False))
    sizes = (8 * len(associated)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    hashed = pad(associated) + pad(ciphertext) + sizes
    hashKey = int.from_bytes(block(bytes(16)), "big")
    total = 0
    for start in range(0, len(hashed), 16):
        total = multiply(total ^ int.from_bytes(hashed[start : start + 16], "big"), hashKey)
    mask = int.from_bytes(block(iv + b"\0\0\0\1"), "big")
    return ciphertext, (total ^ mask).to_bytes(16, "big")


class AESGCMVectorTests(SynchronousTestCase):
    """
    RFC 5647. No published vector has 4 bytes of associated data, so a
    reference that the published ones prove right stands between.
    """

    def test_reference(self) -> None:
        """
        The reference computes the published vectors.
        """
        for vector in vectors("aesgcm"):
            given = [bytes.fromhex(vector[n]) for n in ("key", "iv", "plaintext", "associatedData")]
            expected = tuple(bytes.fromhex(vector[n]) for n in ("ciphertext", "tag"))
            self.assertEqual(referenceGCM(*given), expected)

    def test_packets(self) -> None:
        """
        The length is associated data, and the last eight bytes of the IV count
        packets, round the end too, whatever the sequence number.
        """
        for vector in vectors("aesgcm"):
            key = bytes.fromhex(vector["key"])
            iv = bytes.fromhex("cafebabe" + "fffffffffffffffe")
            cipher = catalogue.cipher(b"aes%d-gcm@openssh.com" % (8 * len(key)))
            sealer, opener = cipher.sealer(key, iv, None, b""), cipher.opener(key, iv, None, b"")
            counters = ("fffffffffffffffe", "ffffffffffffffff", "0000000000000000", "0000000000000001")
            for counter in counters:
                packet = packetFor(sealer, 5)
                nonce = bytes.fromhex("cafebabe" + counter)
                sealed = sealer.seal(77, packet)
                self.assertEqual(
                    sealed, packet[:4] + b"".join(referenceGCM(key, nonce, packet[4:], packet[:4]))
                )
                self.assertEqual(openPacket(opener, 77, sealed), packet[4:])

    def test_ivInTheMiddle(self) -> None:
        """
        A carry out of the low four bytes goes into the high four of the counter.
        """
        key = bytes(16)
        cipher = catalogue.cipher(b"aes128-gcm@openssh.com")
        sealer = cipher.sealer(key, bytes.fromhex("0102030400000000ffffffff"), None, b"")
        packet = packetFor(sealer, 1)
        sealer.seal(0, packet)
        expected = referenceGCM(key, bytes.fromhex("010203040000000100000000"), packet[4:], packet[:4])
        self.assertEqual(sealer.seal(1, packet), packet[:4] + b"".join(expected))


class ChaCha20Poly1305VectorTests(SynchronousTestCase):
    """
    OpenSSH PROTOCOL.chacha20poly1305.
    """

    def test_draft(self) -> None:
        """
        The worked example of the Internet-Draft.
        """
        (vector,) = vectors("chacha20poly1305")
        key, packet, sealed = (bytes.fromhex(vector[n]) for n in ("key", "packet", "sealed"))
        cipher = catalogue.cipher(b"chacha20-poly1305@openssh.com")
        sealer, opener = cipher.sealer(key, b"", None, b""), cipher.opener(key, b"", None, b"")
        self.assertEqual(sealer.seal(vector["sequence"], packet), sealed)
        self.assertEqual(opener.packetLength(vector["sequence"], memoryview(sealed)[:4]), 72)
        self.assertEqual(opener.open(vector["sequence"], memoryview(sealed)), packet[4:])

    def test_keyStream(self) -> None:
        """
        The payload is hidden from block 1 on, by the first half of the key.
        """
        (vector,) = vectors("chacha20")
        key, plaintext, ciphertext = (bytes.fromhex(vector[n]) for n in ("key", "plaintext", "ciphertext"))
        cipher = catalogue.cipher(b"chacha20-poly1305@openssh.com")
        sealer = cipher.sealer(key + bytes(32), b"", None, b"")
        sealed = sealer.seal(int(vector["nonce"], 16), bytes(4) + plaintext)
        self.assertEqual(sealed[4:-16], ciphertext)


class AESCTRVectorTests(SynchronousTestCase):
    """
    RFC 4344, and the MACs round it: RFC 4253 section 6.4, OpenSSH PROTOCOL 1.5.
    """

    def sealers(self, macName: bytes) -> Any:
        for vector in vectors("aesctr"):
            key, counter = bytes.fromhex(vector["key"]), bytes.fromhex(vector["counter"])
            texts = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["ciphertext"])
            cipher = catalogue.cipher(b"aes%d-ctr" % (8 * len(key)))
            yield cipher.sealer(key, counter, catalogue.mac(macName), b"k" * 64), *texts

    def test_encryptAndMAC(self) -> None:
        """
        All of the packet is encrypted, and the tag is of what it was before.
        """
        for sealer, plaintext, ciphertext in self.sealers(b"hmac-sha2-512"):
            tag = hmac.digest(b"k" * 64, b"\0\0\1\0" + plaintext, hashlib.sha512)
            self.assertEqual(sealer.seal(256, plaintext), ciphertext + tag)

    def test_encryptThenMAC(self) -> None:
        """
        The length is not encrypted, and the tag is of what is sent.
        """
        for sealer, plaintext, ciphertext in self.sealers(b"hmac-sha2-256-etm@openssh.com"):
            sent = b"\0\0\0\x40" + ciphertext
            tag = hmac.digest(b"k" * 64, b"\xff\xff\xff\xff" + sent, hashlib.sha256)
            self.assertEqual(sealer.seal(2**32 - 1, b"\0\0\0\x40" + plaintext), sent + tag)

    def test_counterRunsOn(self) -> None:
        """
        The key stream goes on where the packet before ended.
        """
        for sealer, plaintext, ciphertext in self.sealers(b"hmac-sha2-256"):
            parts = [sealer.seal(n, plaintext[16 * n : 16 * n + 16])[:16] for n in range(4)]
            self.assertEqual(b"".join(parts), ciphertext)

    def test_needsMAC(self) -> None:
        """
        A cipher that does not authenticate is not to be had alone.
        """
        cipher = catalogue.cipher(b"aes128-ctr")
        self.assertRaises(UsageError, cipher.sealer, bytes(16), bytes(16), None, b"")
        self.assertRaises(UsageError, cipher.opener, bytes(16), bytes(16), None, b"")


class NothingBeforeTheTagTests(SynchronousTestCase):
    """
    Encrypt-then-MAC tells nothing of what is not authentic.
    """

    def test_sameErrorForEveryFailure(self) -> None:
        """
        Which byte is wrong makes no difference to the error.
        """
        cipher, mac = catalogue.cipher(b"aes128-ctr"), catalogue.mac(b"hmac-sha2-256-etm@openssh.com")
        secrets = (bytes(16), bytes(16), mac, bytes(32))
        sealed = cipher.sealer(*secrets).seal(0, packetFor(cipher.sealer(*secrets), 4))
        errors = set()
        for index in range(4, len(sealed)):
            flipped = bytearray(sealed)
            flipped[index] ^= 1
            with self.assertRaises(BadMAC) as caught:
                openPacket(cipher.opener(*secrets), 0, bytes(flipped))
            errors.add((str(caught.exception), caught.exception.answer))
        self.assertEqual(len(errors), 1)


class CBCVectorTests(SynchronousTestCase):
    """
    Ciphers in CBC mode: RFC 4253 section 6.3.
    """

    def test_vectors(self) -> None:
        """
        The published vectors, in one packet and in as many as there are
        blocks: the last block of each is the initial vector of the next.
        """
        for vector in vectors("cbc"):
            key, iv, plaintext, ciphertext = (
                bytes.fromhex(vector[name]) for name in ("key", "iv", "plaintext", "ciphertext")
            )
            cipher = catalogue.cipher(vector["cipher"].encode())
            for size in (len(plaintext), cipher.ivSize):
                sealer = cipher.sealer(key, iv, catalogue.mac(b"hmac-sha1"), b"k" * 20)
                opener = cipher.opener(key, iv, catalogue.mac(b"hmac-sha1"), b"k" * 20)
                for sequence, start in enumerate(range(0, len(plaintext), size)):
                    packet = plaintext[start : start + size]
                    sealed = sealer.seal(sequence, packet)
                    tag = hmac.digest(b"k" * 20, sequence.to_bytes(4, "big") + packet, hashlib.sha1)
                    self.assertEqual(sealed, ciphertext[start : start + size] + tag)
                    self.assertEqual(openPacket(opener, sequence, sealed), packet[4:])

    def test_encryptThenMAC(self) -> None:
        """
        The length is in clear and outside of the chain.
        """
        for vector in vectors("cbc"):
            key, iv, plaintext, ciphertext = (
                bytes.fromhex(vector[name]) for name in ("key", "iv", "plaintext", "ciphertext")
            )
            length = len(plaintext).to_bytes(4, "big")
            cipher = catalogue.cipher(vector["cipher"].encode())
            secrets = (key, iv, catalogue.mac(b"hmac-sha1-etm@openssh.com"), b"k" * 20)
            sealed = cipher.sealer(*secrets).seal(7, length + plaintext)
            tag = hmac.digest(b"k" * 20, b"\0\0\0\7" + length + ciphertext, hashlib.sha1)
            self.assertEqual(sealed, length + ciphertext + tag)
            self.assertEqual(openPacket(cipher.opener(*secrets), 7, sealed), plaintext)

    def test_withoutMAC(self) -> None:
        """
        Row 27: without a MAC there are no packets.
        """
        for name in catalogue.LEGACY.ciphers[-4:]:
            cipher = catalogue.cipher(name)
            for make in (cipher.sealer, cipher.opener):
                self.assertRaises(UsageError, make, bytes(cipher.keySize), bytes(cipher.ivSize), None, b"")
