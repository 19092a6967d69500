"""
Keys in the form in which they travel: the public key's blob, and the private
key as the agent's protocol has it.
"""

from __future__ import annotations

from typing import Any

from conchlite.algorithms import catalogue
from conchlite.algorithms.keyfiles import reading, refusePassphrase
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
)
from conchlite.error import BadKeyError, MalformedMessage, UsageError
from conchlite.wire.types import Reader, packMPInt, packString


def _names(data: bytes) -> tuple[bytes, int]:
    """
    The type that C{data} begins with, and how many strings follow it.
    """
    reader = Reader(data)
    try:
        name = bytes(reader.stringView())
        count = 0
        while reader.remaining():
            reader.stringView()
            count += 1
    except MalformedMessage:
        return b"", 0
    return name, count


class _Unencrypted:
    """
    What the three have in common: nothing but the key.
    """

    def _prepareDump(self, passphrase: bytes | None) -> None:
        if passphrase:
            raise UsageError("a blob is not encrypted")


class PublicBlob(_Unencrypted):
    """
    RFC 4253 section 6.6.
    """

    holdsPrivate = False

    def recognises(self, data: bytes) -> bool:
        try:
            readPublicKey(data)
        except MalformedMessage:
            return False
        return True

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        refusePassphrase(passphrase)
        with reading("key blob"):
            _, key = readPublicKey(data)
        return LoadedKey(key)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        self._prepareDump(passphrase)
        return packPublicKey(key)


class PrivateBlob(_Unencrypted):
    """
    draft-ietf-sshm-ssh-agent section 3.2, without comment and constraints.
    """

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        return _names(data)[0] in catalogue.keyTypes()

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        refusePassphrase(passphrase)
        with reading("private key blob"):
            reader = Reader(data, "private key")
            _, key = readPrivateKey(reader)
            reader.end()
        return LoadedKey(key)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        self._prepareDump(passphrase)
        return packPrivateKey(key)


class AgentV3(_Unencrypted):
    """
    The same numbers in an order of old: e, d, n, q^-1 mod p, p, q. It has
    been there for RSA alone; that of DSA has not changed.
    """

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        # The other order begins with the modulus, which is never this small.
        return _names(data) == (b"ssh-rsa", 6) and int.from_bytes(data[11:15], "big") < 8

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        refusePassphrase(passphrase)
        with reading("agentv3 key"):
            reader = Reader(data, "agentv3 key")
            name = reader.string()
            if name == b"ssh-dss":
                return PRIVATE.load(data, passphrase)
            if name != b"ssh-rsa":
                raise BadKeyError("agentv3 is for RSA and DSA keys alone")
            e, d, n, u, p, q = [reader.mpint() for _ in range(6)]
            reader.end()
            ordered = packString(b"ssh-rsa") + b"".join(map(packMPInt, (n, e, d, u, p, q)))
            _, key = readPrivateKey(Reader(ordered, "agentv3 key"))
        return LoadedKey(key)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        self._prepareDump(passphrase)
        keyType = keyTypeOf(key)
        if keyType.family != "RSA":
            raise UsageError("agentv3 is for RSA keys alone")
        numbers = keyType.numbers(key)
        return packString(keyType.name) + b"".join(
            packMPInt(int(numbers[name])) for name in ("e", "d", "n", "u", "p", "q")
        )


PUBLIC = PublicBlob()
PRIVATE = PrivateBlob()
AGENT_V3 = AgentV3()
