"""
Diffie-Hellman in a group of RFC 3526, done by C{cryptography}.

Apart from L{conchlite.algorithms.kex.groups}, since a C{cryptography} that no
longer has it cannot import this module.
"""

from __future__ import annotations

import warnings

from conchlite.algorithms.kex.groups import Group
from conchlite.error import KeyExchangeFailed

with warnings.catch_warnings():
    # Version 50 warns everybody who touches these names that they will go.
    # Whoever runs a program that speaks SSH can do nothing about it.
    warnings.simplefilter("ignore")
    from cryptography.hazmat.primitives.asymmetric.dh import DHParameterNumbers, DHPublicNumbers


class LibraryHalf:
    """
    One side of an exchange. OpenSSL chooses the exponent, of the size that
    NIST SP 800-56A gives for the group.
    """

    def __init__(self, group: Group) -> None:
        self._numbers = DHParameterNumbers(group.prime, group.generator)
        self._private = self._numbers.parameters().generate_private_key()
        self.public = self._private.public_key().public_numbers().y

    def agree(self, peerPublic: int) -> int:
        try:
            secret = self._private.exchange(DHPublicNumbers(peerPublic, self._numbers).public_key())
        except ValueError:
            raise KeyExchangeFailed("a Diffie-Hellman value that OpenSSL refuses") from None
        return int.from_bytes(secret, "big")
