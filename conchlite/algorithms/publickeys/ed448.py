"""
Ed448 keys: RFC 8709, and RFC 8032 for the signatures.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey

from conchlite.algorithms.publickeys.eddsa import EdDSA


def isSupported() -> bool:
    """
    Whether the installed C{cryptography} can do Ed448: not if it was built with
    one of OpenSSL's relatives, which have no such curve.
    """
    try:
        Ed448PrivateKey.generate()
    except UnsupportedAlgorithm:
        return False
    return True


ED448 = EdDSA(
    b"ssh-ed448",
    "Ed448",
    448,
    57,
    (Ed448PrivateKey, Ed448PublicKey),
    Ed448PrivateKey.generate,
    Ed448PrivateKey.from_private_bytes,
    Ed448PublicKey.from_public_bytes,
)
