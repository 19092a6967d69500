"""
The file that a server's groups for C{diffie-hellman-group-exchange-sha256} stand
in: moduli(5), as C{ssh-keygen -M} writes it and OpenSSH keeps it in
C{/etc/ssh/moduli}.

A line has a time, a type, the tests that were made, how often, the size, the
generator and the prime, the last two in hexadecimal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from conchlite.algorithms.kex.groupexchange import FLOOR_BITS, GROUP_EXCHANGE_SHA256
from conchlite.error import UsageError, safe
from conchlite.files import readRegularFile

#: No moduli file is larger than this, in bytes. OpenSSH's has 0.6 MB.
MAXIMUM_FILE_SIZE = 4 * 1024 * 1024

_FIELDS = 7

# What sshd demands of a line: a safe prime, by at least one test other than
# "known to be composite", and by at least one try.
_SAFE_PRIME = 2
_COMPOSITE = 1

_CURE = "write the file anew with ssh-keygen -M, or take OpenSSH's"

Groups = Mapping[int, list[tuple[int, int]]]


def readModuli(path: str | os.PathLike[str]) -> Groups:
    """
    The groups of a moduli file: the bits of the prime to pairs of generator
    and prime.

    Lines that sshd passes over are passed over here: other types than safe
    primes, untested ones, and sizes that no group exchange uses. Whether a
    prime is one is not tested: that would take minutes.

    @raise UsageError: the file cannot be read, has a line that is none, or
        has no group that can be used.
    """
    name = safe(os.fspath(path))
    try:
        content = readRegularFile(path, MAXIMUM_FILE_SIZE)
    except OSError as error:
        raise UsageError(f"moduli file {name}: {error.strerror}") from error
    groups: dict[int, list[tuple[int, int]]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            group = _parse(text)
        except ValueError as error:
            raise UsageError(f"{name}, line {number}: {error}; {_CURE}") from None
        if group is not None:
            groups.setdefault(group[1].bit_length(), []).append(group)
    if not groups:
        raise UsageError(f"{name} has no safe prime of {FLOOR_BITS} bits or more; {_CURE}")
    return groups


def _parse(line: bytes) -> tuple[int, int] | None:
    """
    The generator and the prime of a line; L{None} if it is to be passed over.

    @raise ValueError: it is no line of a moduli file.
    """
    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"{len(fields)} fields, not {_FIELDS}")
    try:
        kind, tests, tries, size = map(int, fields[1:5])
        generator, prime = (int(field, 16) for field in fields[5:])
    except ValueError:
        raise ValueError("a field that is no number") from None
    if kind != _SAFE_PRIME or not tests & ~_COMPOSITE or tests & _COMPOSITE or tries < 1:
        return None
    # The size in a line is one less than the number of bits.
    if prime.bit_length() != size + 1:
        raise ValueError(f"a prime of {prime.bit_length()} bits, where {size + 1} were announced")
    if prime < 0 or prime % 2 == 0 or not 1 < generator < prime - 1:
        raise ValueError("numbers that make no group")
    if not FLOOR_BITS <= size + 1 <= GROUP_EXCHANGE_SHA256.maximumBits:
        return None
    return generator, prime
