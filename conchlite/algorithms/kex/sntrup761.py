"""
Streamlined NTRU Prime with p = 761, q = 4591 and w = 286: the key encapsulation
mechanism C{sntrup761}, as the third round of "NTRU Prime" specifies it.

All of it happens among the polynomials of degree less than p, modulo
x^p - x - 1, with coefficients modulo q ("R/q") or modulo 3 ("R/3"). What makes
it quick enough for Python is L{_Ring}.

None of this takes constant time: the time of a big integer's operations depends
a little on the numbers, and that of an inversion or of a wrong ciphertext
depends more. Whoever can measure it finely, many times for one key, may learn
about the key. So a key is for one use: an SSH exchange makes a key, decapsulates
one ciphertext with it and forgets it. X25519, which does take constant time,
stands beside it in the exchange.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes


P = 761
Q = 4591
WEIGHT = 286

PUBLIC_SIZE = 1158
CIPHERTEXT_SIZE = 1039
_CONFIRMATION_SIZE = 32
_SMALL_SIZE = 191

_HALF = (Q - 1) // 2
_ROUNDED = (Q + 2) // 3

# What is hashed says first what it is.
_REJECTED = b"\0"
_ACCEPTED = b"\1"
_CONFIRMATION = b"\2"
_INPUT = b"\3"
_PUBLIC = b"\4"


class _Ring:
    """
    The polynomials of degree less than p, modulo x^p - x - 1.

    They come and go as sequences of coefficients from 0 to the modulus, the
    constant one first. Within, the coefficients stand side by side in the slots
    of one big integer: a product is then one product, and a step of Euclid's
    algorithm a handful of operations.

    @ivar modulus: what the coefficients are reduced by.
    """

    def __init__(self, modulus: int, slot: str) -> None:
        """
        @param slot: the letter that L{struct} has for a slot. Three times p
            products of two coefficients must fit.
        """
        self.modulus = modulus
        self._bits = bits = 8 * struct.calcsize("<" + slot)
        self._slots = struct.Struct(f"<{P}{slot}")
        self._mask = (1 << (bits * P)) - 1
        self._slotMask = (1 << bits) - 1

        # To reduce all slots at once: for v of at most n bits, v // m is
        # v * ceil(2^k / m) >> k if 2^k is at least m * 2^n. The factor has then
        # one bit more than n, and what a slot's product shifts into its
        # neighbour is masked away. A step's coefficients are below 2 * m^2.
        self._shift = (2 * modulus * modulus).bit_length() + modulus.bit_length()
        self._factor = -(-(1 << self._shift) // modulus)
        ones = ((1 << (bits * (P + 2))) - 1) // self._slotMask
        self._quotients = ones * ((1 << (bits - self._shift)) - 1)

    def multiply(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """
        The product.
        """
        product = self._pack(a) * self._pack(b)
        # x^p is x + 1.
        high = product >> (self._bits * P)
        product = (product & self._mask) + high + (high << self._bits)
        return [value % self.modulus for value in self._unpack(product)]

    def invert(self, a: Sequence[int]) -> list[int] | None:
        """
        The inverse; L{None} if there is none.

        Euclid's algorithm on x^p - x - 1 and C{a}: each remainder is, modulo
        x^p - x - 1, a multiple of C{a}, and the factors are remembered. In the
        end the remainder is a number.
        """
        bits, modulus = self._bits, self.modulus
        upper = (1 << (bits * P)) + (modulus - 1) * ((1 << bits) + 1)
        lower = self._pack(a)
        upperFactor, lowerFactor = 0, 1
        while lower.bit_length() > bits:
            degree = (lower.bit_length() - 1) // bits
            leading, next_ = self._topTwo(lower, degree)
            inverse = pow(leading, -1, modulus)
            while upper >> (bits * degree):
                excess = (upper.bit_length() - 1) // bits - degree
                # Two terms of the quotient at once, since most have two;
                # negative, so that nothing has to be subtracted.
                first, second = self._topTwo(upper, degree + excess)
                quotient = -first * inverse % modulus
                if excess:
                    second += quotient * next_
                    quotient = (quotient << bits) | (-second * inverse % modulus)
                    excess -= 1
                upper = self._reduce(upper + (quotient * lower << (bits * excess)))
                upperFactor = self._reduce(upperFactor + (quotient * lowerFactor << (bits * excess)))
            upper, lower = lower, upper
            upperFactor, lowerFactor = lowerFactor, upperFactor
        if not lower:
            return None
        number = pow(lower, -1, modulus)
        return [value * number % modulus for value in self._unpack(lowerFactor)]

    def _topTwo(self, polynomial: int, degree: int) -> tuple[int, int]:
        top = polynomial >> (self._bits * (degree - 1))
        return top >> self._bits, top & self._slotMask

    def _reduce(self, polynomial: int) -> int:
        quotients = ((polynomial * self._factor) >> self._shift) & self._quotients
        return polynomial - quotients * self.modulus

    def _pack(self, coefficients: Sequence[int]) -> int:
        return int.from_bytes(self._slots.pack(*coefficients), "little")

    def _unpack(self, polynomial: int) -> tuple[int, ...]:
        return self._slots.unpack(polynomial.to_bytes(self._slots.size, "little"))


_RQ = _Ring(Q, "Q")
_R3 = _Ring(3, "H")


class PrivateKey(NamedTuple):
    """
    A private key, for one use.

    @ivar f: f; its coefficients are -1, 0 or 1.
    @ivar inverse: 1/g modulo 3.
    @ivar public: the encapsulation key.
    @ivar rejection: what the secret of a wrong ciphertext is made of.
    """

    f: Sequence[int]
    inverse: Sequence[int]
    public: bytes
    rejection: bytes


def generate(randomBytes: RandomBytes = secrets.token_bytes) -> PrivateKey:
    """
    A new key.
    """
    g, inverse = _invertible(_R3, 1, _randomSmall, randomBytes)
    f, reciprocal = _invertible(_RQ, 3, _randomShort, randomBytes)
    h = _RQ.multiply([value % Q for value in g], reciprocal)
    return PrivateKey(f, inverse, _encodeRq(h), randomBytes(_SMALL_SIZE))


def _invertible(
    ring: _Ring, multiple: int, draw: Callable[[RandomBytes], list[int]], randomBytes: RandomBytes
) -> tuple[list[int], list[int]]:
    """
    A random polynomial of which a multiple has an inverse, and the inverse.
    R/q is a field, R/3 is none.
    """
    while True:
        polynomial = draw(randomBytes)
        inverse = ring.invert([multiple * value % ring.modulus for value in polynomial])
        if inverse is not None:
            return polynomial, inverse


def encapsulate(public: bytes, randomBytes: RandomBytes = secrets.token_bytes) -> tuple[bytes, bytes]:
    """
    A ciphertext and its secret.

    @param public: the encapsulation key: C{PUBLIC_SIZE} bytes, and any will do,
        since what they say is read modulo q.
    """
    r = _randomShort(randomBytes)
    ciphertext = _hide(r, public)
    return ciphertext, _sessionHash(_ACCEPTED, encodeSmall(r), ciphertext)


def decapsulate(key: PrivateKey, ciphertext: bytes) -> bytes:
    """
    The secret. A wrong ciphertext has one that nobody else can know.

    @param ciphertext: C{CIPHERTEXT_SIZE} bytes.
    """
    c = _decodeRounded(ciphertext[:-_CONFIRMATION_SIZE])
    e = _RQ.multiply([3 * value % Q for value in key.f], c)
    remainders = _R3.multiply([_centred(value) % 3 for value in e], key.inverse)
    r = [(value + 1) % 3 - 1 for value in remainders]
    if sum(map(abs, r)) != WEIGHT:
        r = [1] * WEIGHT + [0] * (P - WEIGHT)
    if hmac.compare_digest(_hide(r, key.public), ciphertext):
        return _sessionHash(_ACCEPTED, encodeSmall(r), ciphertext)
    return _sessionHash(_REJECTED, key.rejection, ciphertext)


def _hide(r: Sequence[int], public: bytes) -> bytes:
    """
    The ciphertext of a short polynomial: its product with h, rounded to
    multiples of three, and the confirmation.
    """
    product = _RQ.multiply(_decodeRq(public), [value % Q for value in r])
    confirmation = hashOf(_CONFIRMATION, hashOf(_INPUT, encodeSmall(r)) + hashOf(_PUBLIC, public))
    return _encodeRounded(product) + confirmation


def _sessionHash(kind: bytes, secret: bytes, ciphertext: bytes) -> bytes:
    return hashOf(kind, hashOf(_INPUT, secret) + ciphertext)


def hashOf(kind: bytes, data: bytes) -> bytes:
    """
    The hash that the mechanism uses throughout.
    """
    return hashlib.sha512(kind + data).digest()[:32]


# Random polynomials, whose coefficients are -1, 0 or 1.


def _randomNumbers(randomBytes: RandomBytes) -> tuple[int, ...]:
    return struct.unpack(f"<{P}I", randomBytes(4 * P))


def _randomSmall(randomBytes: RandomBytes) -> list[int]:
    return [((number & 0x3FFFFFFF) * 3 >> 30) - 1 for number in _randomNumbers(randomBytes)]


def _randomShort(randomBytes: RandomBytes) -> list[int]:
    """
    One of which C{WEIGHT} coefficients are not zero: sorting shuffles them.
    """
    numbers = _randomNumbers(randomBytes)
    marked = [number & ~1 for number in numbers[:WEIGHT]]
    marked += [number & ~3 | 1 for number in numbers[WEIGHT:]]
    return [(number & 3) - 1 for number in sorted(marked)]


def _centred(value: int) -> int:
    """
    The same modulo q, next to zero.
    """
    return value - Q if value > _HALF else value


# Polynomials as bytes.

# A number is reduced to bytes once it could be this large.
_LIMIT = 1 << 14


def encodeSmall(coefficients: Sequence[int]) -> bytes:
    """
    Coefficients from -1 to 1, four to a byte.
    """
    digits = [value + 1 for value in coefficients] + [0] * (-P % 4)
    quarters = (digits[start::4] for start in range(4))
    return bytes(a | b << 2 | c << 4 | d << 6 for a, b, c, d in zip(*quarters, strict=True))


def _encodeRq(coefficients: Sequence[int]) -> bytes:
    return _encode([(value + _HALF) % Q for value in coefficients], [Q] * P)


def _decodeRq(data: bytes) -> list[int]:
    return [(value - _HALF) % Q for value in _decode(data, [Q] * P)]


def _encodeRounded(coefficients: Sequence[int]) -> bytes:
    """
    As L{_encodeRq}, of what is nearest among the multiples of three.
    """
    return _encode([((value + _HALF) % Q + 1) // 3 for value in coefficients], [_ROUNDED] * P)


def _decodeRounded(data: bytes) -> list[int]:
    return [(3 * value - _HALF) % Q for value in _decode(data, [_ROUNDED] * P)]


def _encode(numbers: Sequence[int], limits: Sequence[int]) -> bytes:
    """
    Numbers, each below its limit, in little more room than they need.

    Two neighbours make one number, whose lowest bytes are written at once
    while it is large; what is left of them is the next row.
    """
    out = bytearray()
    while len(numbers) > 1:
        nextNumbers, nextLimits = [], []
        for index in range(0, len(numbers) - 1, 2):
            number = numbers[index] + limits[index] * numbers[index + 1]
            limit = limits[index] * limits[index + 1]
            while limit >= _LIMIT:
                out.append(number & 0xFF)
                number >>= 8
                limit = (limit + 255) >> 8
            nextNumbers.append(number)
            nextLimits.append(limit)
        odd = len(numbers) // 2 * 2
        numbers, limits = [*nextNumbers, *numbers[odd:]], [*nextLimits, *limits[odd:]]
    number, limit = numbers[0], limits[0]
    while limit > 1:
        out.append(number & 0xFF)
        number >>= 8
        limit = (limit + 255) >> 8
    return bytes(out)


def _decode(data: bytes, limits: Sequence[int]) -> list[int]:
    """
    The reverse of L{_encode}. What an encoder would not have written is read
    modulo the limits.

    @param data: as many bytes as the limits make.
    """
    if len(limits) == 1:
        return [int.from_bytes(data, "little") % limits[0]]
    position = 0
    lowest, nextLimits = [], []
    for index in range(0, len(limits) - 1, 2):
        limit = limits[index] * limits[index + 1]
        start = position
        while limit >= _LIMIT:
            position += 1
            limit = (limit + 255) >> 8
        lowest.append((int.from_bytes(data[start:position], "little"), 8 * (position - start)))
        nextLimits.append(limit)
    odd = len(limits) // 2 * 2
    upper = _decode(data[position:], [*nextLimits, *limits[odd:]])
    numbers: list[int] = []
    for index, ((low, shift), high) in enumerate(zip(lowest, upper, strict=False)):
        number = low | high << shift
        numbers += (number % limits[2 * index], number // limits[2 * index] % limits[2 * index + 1])
    return numbers + upper[len(lowest) :]
