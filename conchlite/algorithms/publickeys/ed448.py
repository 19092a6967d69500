"""
Ed448 keys: RFC 8709, and RFC 8032 for the signatures.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey

from conchlite.algorithms.publickeys.eddsa import EdDSA

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
