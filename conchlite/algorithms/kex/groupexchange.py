"""
C{diffie-hellman-group-exchange-sha256}: RFC 4419, with the floor of RFC 8270.
Legacy is C{diffie-hellman-group-exchange-sha1}, with the same floor.

The client says how large a group it wants; the server chooses one. What it
chose is judged, but not whether its prime is one, which would take seconds: a
server that wants a weak secret can have it by giving the secret away.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal

from conchlite.algorithms.kex.finitefield import FiniteField
from conchlite.algorithms.kex.groups import RFC3526, Group, OtherGroup, groupOf
from conchlite.error import KeyExchangeFailed

# RFC 8270 section 3, which the program may raise but not lower.
_FLOOR = 2048


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
        minimumBits: int = _FLOOR,
        preferredBits: int = 3072,
        maximumBits: int = 8192,
        maximumServedBits: int = 4096,
        groups: Iterable[tuple[int, int]] = (),
    ) -> None:
        """
        @param groups: prime and generator of each group that a server chooses
            from, such as L{readModuli} gives; those of RFC 3526 if there are
            none.
        """
        self.hashName = hashName
        self.minimumBits = max(_FLOOR, minimumBits)
        self.preferredBits = preferredBits
        self.maximumBits = maximumBits
        self.maximumServedBits = min(maximumServedBits, maximumBits)
        self._groups: list[Group] = [OtherGroup(prime, generator) for prime, generator in groups]
        self._groups = self._groups or list(RFC3526.values())

    def choose(self, minimumBits: int, preferredBits: int, maximumBits: int) -> tuple[int, int]:
        """
        The smallest group that is as large as the client prefers, or else the
        largest that it allows.
        """
        low = max(minimumBits, self.minimumBits)
        high = min(maximumBits, self.maximumServedBits)
        # A client that prefers more or less than we do gets our limit, if it
        # is within its own: OpenSSH's server does the same.
        wanted = min(max(preferredBits, self.minimumBits), self.maximumServedBits)
        sizes = {group.bits for group in self._groups if low <= group.bits <= high}
        if not sizes or not low <= wanted <= high:
            raise KeyExchangeFailed(
                f"no group of {minimumBits}, rather {preferredBits}, to {maximumBits} bits"
            )
        size = min((bits for bits in sizes if bits >= wanted), default=max(sizes))
        group = secrets.choice([group for group in self._groups if group.bits == size])
        return group.prime, group.generator

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


# What OpenSSH's sshd demands of a line, moduli(5): a safe prime, by tests that
# do not include "known to be composite", tried at least once.
_SAFE_PRIME = 2
_COMPOSITE = 1


def readModuli(text: bytes) -> list[tuple[int, int]]:
    """
    Prime and generator of each group in a moduli file, moduli(5).

    Lines that sshd would not use are left out.

    @param text: the contents of the file.
    """
    groups = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 7 or line.startswith(b"#"):
            continue
        try:
            kind, tests, trials, size, generator = map(int, fields[1:6])
            prime = int(fields[6], 16)
        except ValueError:
            continue
        # The size in a line is one less than the number of bits.
        tested = tests > 0 and not tests & _COMPOSITE and trials > 0
        if kind == _SAFE_PRIME and tested and prime.bit_length() == size + 1:
            groups.append((prime, generator))
    return groups


GROUP_EXCHANGE_SHA256 = GroupExchangeMethod("sha256")
GROUP_EXCHANGE_SHA1 = GroupExchangeMethod("sha1")
