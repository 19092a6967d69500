"""
Groups for finite field Diffie-Hellman: those of RFC 3526, and any other that a
server chooses, RFC 4419.

cryptography does RFC 3526's groups, which its OpenSSL knows by heart, in
constant time and five to ten times as fast as Python's C{pow}. Of any other
prime it first wants to be sure that it is one: twice an exchange that blocks
for 0.2 seconds at 2048 bits, for 1.3 at 3072 and for 23 at 8192. Its version 50
announces besides that finite field Diffie-Hellman will be taken out. So C{pow}
does what cryptography does not. It does not take constant time; but an exponent
serves one exchange and is used twice, which leaves nothing to average
measurements over.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from typing import Protocol

from conchlite.error import KeyExchangeFailed


class Half(Protocol):
    """
    One side of an exchange: a private exponent, used once.

    @ivar public: the public value.
    """

    @property
    def public(self) -> int: ...

    def agree(self, peerPublic: int) -> int:
        """
        The shared secret.

        @param peerPublic: the peer's value, judged already.
        """


class Group(Protocol):
    """
    The numbers modulo a prime, and a generator.

    @ivar bits: the size of the prime.
    """

    @property
    def bits(self) -> int: ...

    @property
    def prime(self) -> int: ...

    @property
    def generator(self) -> int: ...

    def half(self) -> Half:
        """
        A new private exponent.
        """


# The constants of RFC 3526: sections 3 to 7, groups 14 to 18.
_CONSTANTS = {2048: 124476, 3072: 1690314, 4096: 240904, 6144: 929484, 8192: 4743158}

# The constant of RFC 2409 section 6.2, the Second Oakley Group, 1024 bits.
_OAKLEY_CONSTANT = 129093

# RFC 3526 section 8, the larger estimate: bits of a private exponent that is
# no weaker than the group. A full-size one would cost many times as much.
_EXPONENT_BITS = {2048: 320, 3072: 420, 4096: 480, 6144: 540, 8192: 620}


class RFC3526Group:
    """
    A group of RFC 3526, whose prime is safe and whose generator is 2.

    The prime is not written out but computed when it is first wanted, by the
    formula that the RFC defines it with.
    """

    generator = 2

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @functools.cached_property
    def prime(self) -> int:
        """
        The prime of this size.
        """
        return _primeByFormula(self.bits, _CONSTANTS[self.bits])

    def half(self) -> Half:
        library = _libraryHalf()
        if library is None:
            return PowHalf(self, newExponent(self.bits))
        return library(self)


class OtherGroup:
    """
    A group that is known by its numbers alone.
    """

    def __init__(self, prime: int, generator: int) -> None:
        self.prime = prime
        self.generator = generator
        self.bits = prime.bit_length()

    def half(self) -> Half:
        return PowHalf(self, newExponent(self.bits))


class PowHalf:
    """
    A half that Python's own C{pow} computes.
    """

    def __init__(self, group: Group, exponent: int) -> None:
        self._prime = group.prime
        self._exponent = exponent
        self.public = pow(group.generator, exponent, group.prime)

    def agree(self, peerPublic: int) -> int:
        return pow(peerPublic, self._exponent, self._prime)


@functools.cache
def _libraryHalf() -> Callable[[Group], Half] | None:
    try:
        from conchlite.algorithms.kex.librarydh import LibraryHalf
    except ImportError:
        return None
    return LibraryHalf


def newExponent(groupBits: int) -> int:
    """
    A private exponent of the size that a group of this size deserves.
    """
    sizes = (exponent for bits, exponent in _EXPONENT_BITS.items() if groupBits <= bits)
    return 2 + secrets.randbits(next(sizes, max(_EXPONENT_BITS.values())))


#: The groups of RFC 3526 by the bits of their primes.
RFC3526 = {bits: RFC3526Group(bits) for bits in _CONSTANTS}


def oakleyGroup() -> Group:
    """
    The Second Oakley Group, RFC 2409 section 6.2: what RFC 4253 section 8.1
    calls group 1. 1024 bits are within reach of who can pay (Logjam,
    CVE-2015-4000), so it is in no table, and no group exchange comes to it:
    it takes its method's name.
    """
    return OtherGroup(_primeByFormula(1024, _OAKLEY_CONSTANT), 2)


def groupOf(prime: int, generator: int) -> Group:
    """
    The group with these numbers.
    """
    known = RFC3526.get(prime.bit_length())
    if known is not None and (known.prime, known.generator) == (prime, generator):
        return known
    return OtherGroup(prime, generator)


def _primeByFormula(bits: int, constant: int) -> int:
    """
    2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c)
    """
    middle = _piTimesPowerOfTwo(bits - 130) + constant
    return (1 << bits) - (1 << (bits - 64)) - 1 + (middle << 64)


def _piTimesPowerOfTwo(power: int) -> int:
    """
    The whole part of pi * 2^C{power}, by Machin's formula.
    """
    # Each of some thousand terms is wrong by less than one, which never
    # reaches beyond 64 bits.
    guard = 64
    one = 1 << (power + guard)
    return (16 * _arctangentOfInverse(5, one) - 4 * _arctangentOfInverse(239, one)) >> guard


def _arctangentOfInverse(x: int, one: int) -> int:
    term = one // x
    total = term
    divisor = 1
    while term:
        term //= -x * x
        divisor += 2
        total += term // divisor
    return total


def judge(public: int, prime: int) -> None:
    """
    Judge a public value, and a secret.

    RFC 4253 section 8 excludes what lies outside 1 to p - 1. The two ends make
    a secret that everybody knows; OpenSSH (C{dh_pub_is_valid}) excludes them,
    and what has fewer than four bits set, as well.

    @raise KeyExchangeFailed: it is none.
    """
    if not 1 < public < prime - 1:
        raise KeyExchangeFailed("a Diffie-Hellman value out of range")
    if public.bit_count() < 4:
        raise KeyExchangeFailed("a Diffie-Hellman value with too few bits set")
