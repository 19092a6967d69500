"""
Ed25519 keys: RFC 8709, and RFC 8032 for the signatures.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from conchlite.algorithms.publickeys.eddsa import EdDSA

ED25519 = EdDSA(
    b"ssh-ed25519",
    "Ed25519",
    256,
    32,
    (Ed25519PrivateKey, Ed25519PublicKey),
    Ed25519PrivateKey.generate,
    Ed25519PrivateKey.from_private_bytes,
    Ed25519PublicKey.from_public_bytes,
)
