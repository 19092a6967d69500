"""
What a key file held, and what it may cost to read one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from conchlite import limits


class LoadedKey(NamedTuple):
    """
    What a key file held.

    @ivar key: a public or private key, C{cryptography}'s own object.
    @ivar comment: the text that came with it, or nothing.
    """

    key: Any
    comment: bytes = b""


class Effort(NamedTuple):
    """
    What it may cost at most to make a key of a passphrase. It is a file that
    says how much work that is: one of a stranger's could keep us at it for
    ever.

    @ivar bcryptRounds: rounds of bcrypt, in OpenSSH's format.
    @ivar iterations: iterations of PBKDF2, in PKCS#8.
    @ivar scryptWork: N * r * p of scrypt, in PKCS#8; 1 is 128 bytes of memory.
    @ivar argon2Memory: the memory of Argon2 in KiB, in PuTTY's format.
    @ivar argon2Work: that, times its passes; a lane that is not the first
        counts as 128 KiB.
    """

    bcryptRounds: int = limits.MAXIMUM_BCRYPT_ROUNDS
    iterations: int = limits.MAXIMUM_PBKDF2_ITERATIONS
    scryptWork: int = limits.MAXIMUM_SCRYPT_WORK
    argon2Memory: int = limits.MAXIMUM_ARGON2_MEMORY
    argon2Work: int = limits.MAXIMUM_ARGON2_WORK


#: What a key may cost where nobody says.
USUAL_EFFORT = Effort()
