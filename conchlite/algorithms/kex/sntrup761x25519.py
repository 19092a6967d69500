"""
C{sntrup761x25519-sha512}, RFC 9941, and the name it had before it was one:
Streamlined NTRU Prime in front of X25519.

OpenSSH prefers it from 9.0 to 9.9, and up to 9.8 has nothing else of the kind.
A client's half takes Python some 15 ms, a server's 2 ms.
"""

from __future__ import annotations

from conchlite.algorithms.kex import sntrup761
from conchlite.algorithms.kex.curve25519 import X25519
from conchlite.algorithms.kex.hybrid import Hybrid


class Sntrup761:
    """
    L{sntrup761} as a hybrid wants it. A private key leaves with C{keypair} and
    comes back once, which is all it may be used.
    """

    publicSize = sntrup761.PUBLIC_SIZE
    ciphertextSize = sntrup761.CIPHERTEXT_SIZE

    def keypair(self) -> tuple[bytes, sntrup761.PrivateKey]:
        private = sntrup761.generate()
        return private.public, private

    def read(self, public: bytes) -> bytes:
        # There is nothing more to judge: all bytes are a key.
        return public

    def encapsulate(self, peer: bytes) -> tuple[bytes, bytes]:
        return sntrup761.encapsulate(peer)

    def decapsulate(self, private: sntrup761.PrivateKey, ciphertext: bytes) -> bytes:
        return sntrup761.decapsulate(private, ciphertext)


SNTRUP761X25519 = Hybrid(Sntrup761(), X25519, "sha512")
