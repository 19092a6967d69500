"""
The keys and signatures of tests/vectors.
"""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors"

PASSPHRASE = b"vector-passphrase"

#: The types: name of the vector, Key.type(), sshType(), size.
TYPES = [
    ("ed25519", "Ed25519", b"ssh-ed25519", 256),
    ("ecdsa256", "EC", b"ecdsa-sha2-nistp256", 256),
    ("ecdsa384", "EC", b"ecdsa-sha2-nistp384", 384),
    ("ecdsa521", "EC", b"ecdsa-sha2-nistp521", 521),
    ("rsa", "RSA", b"ssh-rsa", 2048),
]


def keyText(name: str) -> bytes:
    return (VECTORS / "keys" / name).read_bytes()


def signatureVectors() -> dict:
    return json.loads((VECTORS / "signatures.json").read_text())
