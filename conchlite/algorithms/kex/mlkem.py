"""
C{mlkem768x25519-sha256}: draft-ietf-sshm-mlkem-hybrid-kex, with ML-KEM of FIPS
203 in front of X25519.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from conchlite.algorithms.kex.curve25519 import X25519
from conchlite.algorithms.kex.hybrid import Hybrid
from conchlite.error import KeyExchangeFailed


class MLKEM:
    """
    One of ML-KEM's sizes.
    """

    def __init__(
        self,
        generate: Callable[[], MLKEM768PrivateKey | MLKEM1024PrivateKey],
        fromBytes: Callable[[bytes], MLKEM768PublicKey | MLKEM1024PublicKey],
        publicSize: int,
        ciphertextSize: int,
    ) -> None:
        self.publicSize = publicSize
        self.ciphertextSize = ciphertextSize
        self._generate = generate
        self._fromBytes = fromBytes

    def keypair(self) -> tuple[bytes, MLKEM768PrivateKey | MLKEM1024PrivateKey]:
        private = self._generate()
        return private.public_key().public_bytes_raw(), private

    def read(self, public: bytes) -> MLKEM768PublicKey | MLKEM1024PublicKey:
        try:
            # This is the modulus check of FIPS 203 section 7.2 as well.
            return self._fromBytes(public)
        except ValueError:
            raise KeyExchangeFailed("no ML-KEM encapsulation key") from None

    def encapsulate(self, peer: MLKEM768PublicKey | MLKEM1024PublicKey) -> tuple[bytes, bytes]:
        secret, ciphertext = peer.encapsulate()
        return ciphertext, secret

    def decapsulate(self, private: MLKEM768PrivateKey | MLKEM1024PrivateKey, ciphertext: bytes) -> bytes:
        # A wrong one gives a secret that nobody else has: FIPS 203 section 6.3.
        return private.decapsulate(ciphertext)


MLKEM768 = MLKEM(MLKEM768PrivateKey.generate, MLKEM768PublicKey.from_public_bytes, 1184, 1088)

MLKEM768X25519 = Hybrid(MLKEM768, X25519, "sha256")
