"""
What tests of identities have instead of an agent, and an authority for certificates.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from conchlite.ssh.certificates import signCertificate
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import USER

AUTHORITY = Key.generate("ed25519")


def certified(key: Key, keyID: bytes = b"me") -> Key:
    """
    The public key with a certificate.
    """
    return signCertificate(
        AUTHORITY, key.public(), kind=USER, keyID=keyID, principals=[b"me"], validBefore=2**64 - 1
    )


class FakeAgent:
    """
    @ivar asked: what it was to sign with, and how.
    """

    def __init__(self, *keys: Key, error: Exception | None = None) -> None:
        self.keys = {key.blob(): key for key in keys}
        self.error = error
        self.asked: list[tuple[bytes, int]] = []

    def requestIdentities(self) -> Deferred[list[tuple[bytes, bytes]]]:
        return succeed([(blob, b"comment\x1b") for blob in [*self.keys, b"no key"]])

    def signData(self, blob: bytes, data: bytes, flags: int | None = None) -> Deferred[bytes]:
        self.asked.append((blob, flags))
        if self.error is not None:
            return fail(self.error)
        algorithms = {2: b"rsa-sha2-256", 4: b"rsa-sha2-512"}
        return succeed(self.keys[blob].sign(data, algorithms.get(flags)))
