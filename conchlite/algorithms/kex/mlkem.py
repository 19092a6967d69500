"""
C{mlkem768x25519-sha256}: ML-KEM-768, FIPS 203, and X25519 at once, so that
the secret holds as long as one of them does.

draft-ietf-sshm-mlkem-hybrid-kex: the client sends its ML-KEM encapsulation key
and its X25519 public value, one behind the other; the server answers with an
ML-KEM ciphertext and its X25519 public value. The secret is the SHA-256 of
both secrets, ML-KEM's first, and goes into the exchange hash and the key
derivation as a C{string}.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from conchlite.algorithms.kex import curve25519
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import packString

_ENCAPSULATION_KEY_SIZE = 1184
_CIPHERTEXT_SIZE = 1088


def isSupported() -> bool:
    """
    Whether the installed C{cryptography} can do ML-KEM: it is a matter of the
    OpenSSL that it was built with.
    """
    try:
        MLKEM768PrivateKey.generate()
    except UnsupportedAlgorithm:
        return False
    return True


class MLKEMHybrid:
    """
    The hybrid. Its private half is a pair, ML-KEM's and X25519's.
    """

    hashName = "sha256"
    choosesGroup: Literal[False] = False

    def keypair(self) -> tuple[bytes, tuple[MLKEM768PrivateKey, X25519PrivateKey]]:
        decapsulationKey = MLKEM768PrivateKey.generate()
        private = X25519PrivateKey.generate()
        public = decapsulationKey.public_key().public_bytes_raw() + private.public_key().public_bytes_raw()
        return public, (decapsulationKey, private)

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        head, tail = _split(clientPublic, _ENCAPSULATION_KEY_SIZE)
        try:
            # This is the modulus check of FIPS 203 section 7.2 as well.
            encapsulationKey = MLKEM768PublicKey.from_public_bytes(head)
        except ValueError:
            raise KeyExchangeFailed("no ML-KEM-768 encapsulation key") from None
        private = X25519PrivateKey.generate()
        classical = curve25519.agree(private, tail)
        postQuantum, ciphertext = encapsulationKey.encapsulate()
        return ciphertext + private.public_key().public_bytes_raw(), _combine(postQuantum, classical)

    def decapsulate(self, private: tuple[MLKEM768PrivateKey, X25519PrivateKey], serverPublic: bytes) -> bytes:
        decapsulationKey, x25519Private = private
        ciphertext, tail = _split(serverPublic, _CIPHERTEXT_SIZE)
        classical = curve25519.agree(x25519Private, tail)
        # Any ciphertext of this size gives a secret: a wrong one gives one
        # that nobody else has, FIPS 203 section 6.3, and the server's
        # signature over the exchange hash does not verify.
        return _combine(decapsulationKey.decapsulate(ciphertext), classical)


def _split(public: bytes, headSize: int) -> tuple[bytes, bytes]:
    if len(public) != headSize + curve25519.PUBLIC_SIZE:
        raise KeyExchangeFailed(f"a hybrid public value of {len(public)} bytes")
    return public[:headSize], public[headSize:]


def _combine(postQuantum: bytes, classical: bytes) -> bytes:
    return packString(hashlib.sha256(postQuantum + classical).digest())


MLKEM768X25519 = MLKEMHybrid()
