"""
What tests of certificates begin with: an authority, keys of each type, and
security keys that are none.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conchlite.algorithms.publickeys import ecdsa, ed25519
from conchlite.algorithms.publickeys.securitykeys import SecurityPublicKey
from conchlite.ssh.certificates import USER, signCertificate
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import SecurityKeySigned
from conchlite.wire.types import packString

CA = Key.generate("ed25519")
KEY = Key.generate("ed25519")

#: In the middle of the validity of what L{certified} makes.
NOW = 1_800_000_000

#: Types and sizes of keys that we can make.
KINDS = (("ed25519", None), ("ed448", None), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 2048))


@functools.cache
def keyOf(kind: str, bits: int | None) -> Key:
    return Key.generate(kind, bits)


def certified(key: Key = KEY, ca: Key = CA, **changes: Any) -> Key:
    """
    A key with a certificate for the user alice.
    """
    wanted = {
        "kind": USER,
        "keyID": b"a test",
        "principals": [b"alice"],
        "validAfter": NOW - 1000,
        "validBefore": NOW + 1000,
        **changes,
    }
    return signCertificate(ca, key, **wanted)


class Device:
    """
    A security key in memory.

    @ivar public: its public key.
    @ivar flags: what it says about who touched it.
    """

    application = b"ssh:"

    def __init__(self, curve: bool = False) -> None:
        self._type = ecdsa.NISTP256 if curve else ed25519.ED25519
        self._key: Any = ec.generate_private_key(ec.SECP256R1()) if curve else Ed25519PrivateKey.generate()
        self.public = Key(SecurityPublicKey(self._key.public_key(), self.application))
        self.flags = 1
        self.counter = 7

    def sign(self, data: bytes) -> bytes:
        said = SecurityKeySigned(self.flags, self.counter).pack()
        covered = hashlib.sha256(self.application).digest() + said + hashlib.sha256(data).digest()
        made = self._type.sign(self._key, self._type.name, covered)
        return packString(self.public.plain().sshType()) + packString(made) + said
