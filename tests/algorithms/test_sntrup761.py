"""
Tests for L{conchlite.algorithms.kex.sntrup761}.
"""

from __future__ import annotations

import hashlib
import random
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.kex import sntrup761
from tests.algorithms.vectors import vectors


class KnownRandomness:
    """
    The generator that NIST's known answer tests draw from: CTR_DRBG with
    AES-256 of SP 800-90A, without derivation function and reseeding.
    """

    def __init__(self, seed: bytes) -> None:
        self._key, self._counter = bytes(32), 0
        self._update(seed)

    def _blocks(self, size: int) -> bytes:
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()
        out = b""
        while len(out) < size:
            self._counter = (self._counter + 1) % 2**128
            out += encryptor.update(self._counter.to_bytes(16, "big"))
        return out[:size]

    def _update(self, data: bytes) -> None:
        mixed = bytes(a ^ b for a, b in zip(self._blocks(48), data, strict=True))
        self._key, self._counter = mixed[:32], int.from_bytes(mixed[32:], "big")

    def __call__(self, size: int) -> bytes:
        out = self._blocks(size)
        self._update(bytes(48))
        return out


class KEMTests(SynchronousTestCase):
    """
    Keys, ciphertexts, secrets.
    """

    def setUp(self) -> None:
        self.randomBytes = random.Random(761).randbytes
        self.key = sntrup761.generate(self.randomBytes)
        self.ciphertext, self.secret = sntrup761.encapsulate(self.key.public, self.randomBytes)

    def test_knownAnswer(self) -> None:
        """
        From the published seed come the published keys, ciphertext and secret,
        of which a hash is published.
        """
        for vector in vectors("sntrup761"):
            seed = bytes.fromhex(vector["seed"])
            randomBytes = KnownRandomness(seed)
            key = sntrup761.generate(randomBytes)
            ciphertext, secret = sntrup761.encapsulate(key.public, randomBytes)
            # The private key as the reference keeps it.
            private = sntrup761.encodeSmall(key.f)
            private += sntrup761.encodeSmall([(value + 1) % 3 - 1 for value in key.inverse])
            private += key.public + key.rejection + hashlib.sha512(b"\4" + key.public).digest()[:32]
            fields = {"seed": seed, "pk": key.public, "sk": private, "ct": ciphertext, "ss": secret}
            record = "count = 0\n" + "".join(f"{n} = {v.hex().upper()}\n" for n, v in fields.items())
            self.assertEqual(hashlib.sha256(record.encode()).hexdigest(), vector["sha256"])
            self.assertEqual(sntrup761.decapsulate(key, ciphertext), secret)

    def test_bothAgree(self) -> None:
        """
        Whoever has the key comes to the secret, with any key and randomness.
        """
        for _ in range(10):
            key = sntrup761.generate(self.randomBytes)
            ciphertext, secret = sntrup761.encapsulate(key.public, self.randomBytes)
            self.assertEqual((len(key.public), len(ciphertext), len(secret)), (1158, 1039, 32))
            self.assertEqual(sntrup761.decapsulate(key, ciphertext), secret)

    def test_changedCiphertext(self) -> None:
        """
        A ciphertext with a bit changed, in what is hidden or in the
        confirmation, has the secret of the rejected: the hash of a 0, of what
        the key keeps for this, and of the ciphertext.
        """
        for index in (0, 500, 1006, 1007, 1038):
            changed = bytearray(self.ciphertext)
            changed[index] ^= 4
            kept = hashlib.sha512(b"\3" + self.key.rejection).digest()[:32]
            expected = hashlib.sha512(b"\0" + kept + changed).digest()[:32]
            self.assertEqual(sntrup761.decapsulate(self.key, bytes(changed)), expected)

    def test_wrongWeight(self) -> None:
        """
        Row 36: a ciphertext of a polynomial with more or fewer coefficients
        than it should have is one of the rejected, even if it was made with
        the key and would decrypt.
        """
        short = [1, -1] * 143 + [0] * 475
        good = sntrup761._hide(short, self.key.public)
        accepted = sntrup761._sessionHash(b"\1", sntrup761.encodeSmall(short), good)
        self.assertEqual(sntrup761.decapsulate(self.key, good), accepted)
        for other in ([0, *short[1:]], [*short[:286], 1, *short[287:]]):
            wrong = sntrup761._hide(other, self.key.public)
            rejected = sntrup761._sessionHash(b"\0", self.key.rejection, wrong)
            self.assertEqual(sntrup761.decapsulate(self.key, wrong), rejected)

    def test_anyBytes(self) -> None:
        """
        All bytes of the right length are a ciphertext and a key.
        """

        @settings(max_examples=20, deadline=None, database=None)
        @given(st.randoms(use_true_random=False) | st.sampled_from([b"\0", b"\xff"]))
        def check(source: random.Random | bytes) -> None:
            def some(size: int) -> bytes:
                return source * size if isinstance(source, bytes) else source.randbytes(size)

            self.assertEqual(len(sntrup761.decapsulate(self.key, some(1039))), 32)
            ciphertext, secret = sntrup761.encapsulate(some(1158), self.randomBytes)
            self.assertEqual((len(ciphertext), len(secret)), (1039, 32))

        check()

    def test_drawsAgain(self) -> None:
        """
        A g that has no inverse modulo 3 is not used: here it is zero at first.
        """
        zero = struct.pack("<I", 0x20000000) * 761
        draws = [zero]

        def randomBytes(size: int) -> bytes:
            return draws.pop() if draws else self.randomBytes(size)

        key = sntrup761.generate(randomBytes)
        ciphertext, secret = sntrup761.encapsulate(key.public, self.randomBytes)
        self.assertEqual(draws, [])
        self.assertEqual(sntrup761.decapsulate(key, ciphertext), secret)

    def test_short(self) -> None:
        """
        A short polynomial has 286 coefficients that are not zero, in places
        that differ from one to the next.
        """
        drawn = [sntrup761._randomShort(self.randomBytes) for _ in range(20)]
        for coefficients in drawn:
            self.assertEqual(len(coefficients), 761)
            self.assertEqual(sorted(map(abs, coefficients)), [0] * 475 + [1] * 286)
        self.assertEqual(len({tuple(coefficients) for coefficients in drawn}), 20)


class RingTests(SynchronousTestCase):
    """
    Arithmetic of polynomials, against the definition.
    """

    def setUp(self) -> None:
        self.random = random.Random(4591)

    def slowProduct(self, a: list[int], b: list[int], modulus: int) -> list[int]:
        product = [0] * (2 * 761)
        for i, x in enumerate(a):
            if x:
                for j, y in enumerate(b):
                    product[i + j] += x * y
        for degree in range(2 * 761 - 1, 760, -1):
            product[degree - 761] += product[degree]
            product[degree - 760] += product[degree]
        return [value % modulus for value in product[:761]]

    def test_multiply(self) -> None:
        """
        A product is what it is by definition, with the largest coefficients too.
        """
        for ring in (sntrup761._RQ, sntrup761._R3):
            m = ring.modulus
            largest = [m - 1] * 761
            some = [self.random.randrange(m) for _ in range(761)]
            sparse = [0] * 700 + [self.random.randrange(m) for _ in range(61)]
            for a, b in ((largest, largest), (sparse, some), (sparse, largest)):
                self.assertEqual(ring.multiply(a, b), self.slowProduct(a, b, m))

    def test_invert(self) -> None:
        """
        A polynomial times its inverse is one: for random ones, those of low
        degree, and those whose quotients have many terms.
        """
        one = [1] + [0] * 760
        for ring in (sntrup761._RQ, sntrup761._R3):
            m = ring.modulus
            polynomials = [
                one,
                [m - 1] + [0] * 760,
                [0, 1] + [0] * 759,
                [0] * 760 + [1],
                [1] * 5 + [0] * 700 + [2] + [0] * 55,
            ]
            for length in (2, 3, 100, 758, 759, 760, 761):
                some = [self.random.randrange(m) for _ in range(length)]
                some[-1] = 1
                polynomials.append(some + [0] * (761 - length))
            inverted = 0
            for polynomial in polynomials:
                inverse = ring.invert(polynomial)
                if inverse is not None:
                    inverted += 1
                    self.assertEqual(ring.multiply(polynomial, inverse), one)
            # Modulo 3, one in 3^19 has none.
            self.assertEqual(inverted, len(polynomials))

    def test_noInverse(self) -> None:
        """
        Zero has none; nor has, modulo 3, a factor of x^p - x - 1: that of
        degree 19.
        """
        factor = [1, 1, 0, 1, 1, 1, 2, 1, 2, 1, 0, 1, 2, 2, 2, 2, 1, 0, 2, 2] + [0] * 741
        self.assertIsNone(sntrup761._RQ.invert([0] * 761))
        self.assertIsNone(sntrup761._R3.invert([0] * 761))
        self.assertIsNone(sntrup761._R3.invert(factor))
        self.assertIsNotNone(sntrup761._RQ.invert(factor))
