"""
C{diffie-hellman-group-exchange-sha256}: RFC 4419, with the floor of RFC 8270.
Legacy is C{diffie-hellman-group-exchange-sha1}, with the same floor.

The client says how large a group it wants; the server chooses one. What it
chose is judged, but not whether its prime is one, which would take seconds: a
server that wants a weak secret can have it by giving the secret away.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from conchlite.algorithms.kex.finitefield import FiniteField
from conchlite.algorithms.kex.groups import RFC3526, groupOf
from conchlite.error import KeyExchangeFailed

#: No group is smaller, RFC 8270 section 3: a program may raise this, not lower
#: it.
FLOOR_BITS = 2048


class GroupExchangeMethod:
    """
    Diffie-Hellman in a group of the server's choice, for both roles.

    @ivar minimumBits: no group smaller is asked for, offered or accepted.
    @ivar preferredBits: the size that a client asks for.
    @ivar maximumBits: no group larger is asked for or accepted.
    @ivar maximumServedBits: a server chooses no group larger, whatever is
        asked for: it costs a client nothing to ask (CVE-2002-20001).
    """

    choosesGroup: Literal[True] = True

    def __init__(
        self,
        hashName: str,
        minimumBits: int = FLOOR_BITS,
        preferredBits: int = 3072,
        maximumBits: int = 8192,
        maximumServedBits: int = 4096,
    ) -> None:
        self.hashName = hashName
        self.minimumBits = max(FLOOR_BITS, minimumBits)
        self.preferredBits = preferredBits
        self.maximumBits = maximumBits
        self.maximumServedBits = min(maximumServedBits, maximumBits)
        # Bits to generators and primes; those of RFC 3526 if there are none.
        self._groups: Mapping[int, Sequence[tuple[int, int]]] = {}

    def choosingFrom(self, groups: Mapping[int, Sequence[tuple[int, int]]]) -> GroupExchangeMethod:
        """
        The same exchange for a server that has groups of its own.

        @param groups: the bits of the prime to pairs of generator and prime,
            such as L{conchlite.ssh.moduli.readModuli} gives. If there are
            none, the groups are those of RFC 3526.
        """
        other = copy.copy(self)
        other._groups = groups
        return other

    def choose(self, minimumBits: int, preferredBits: int, maximumBits: int) -> tuple[int, int]:
        """
        The smallest group that is as large as the client prefers, or else the
        largest that it allows; if there are several of this size, any.
        """
        low = max(minimumBits, self.minimumBits)
        high = min(maximumBits, self.maximumServedBits)
        # A client that prefers more or less than we do gets our limit, if it
        # is within its own: OpenSSH's server does the same.
        wanted = min(max(preferredBits, self.minimumBits), self.maximumServedBits)
        sizes = [bits for bits in self._groups or RFC3526 if low <= bits <= high]
        if not sizes or not low <= wanted <= high:
            raise KeyExchangeFailed(
                f"no group of {minimumBits}, rather {preferredBits}, to {maximumBits} bits"
            )
        size = min((bits for bits in sizes if bits >= wanted), default=max(sizes))
        if not self._groups:
            return RFC3526[size].prime, RFC3526[size].generator
        generator, prime = secrets.choice(self._groups[size])
        return prime, generator

    def method(self, prime: int, generator: int) -> FiniteField:
        bits = prime.bit_length()
        if not self.minimumBits <= bits <= self.maximumBits:
            raise KeyExchangeFailed(
                f"a group of {bits} bits; {self.minimumBits} to {self.maximumBits} were asked for"
            )
        # Nothing lies between 1 and a negative prime.
        if prime % 2 == 0 or not 1 < generator < prime - 1:
            raise KeyExchangeFailed("a group that is none")
        return FiniteField(self.hashName, groupOf(prime, generator))


GROUP_EXCHANGE_SHA256 = GroupExchangeMethod("sha256")
GROUP_EXCHANGE_SHA1 = GroupExchangeMethod("sha1")
