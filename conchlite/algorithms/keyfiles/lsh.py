"""
The key files of lsh: S-expressions.

C{(public-key (rsa-pkcs1-sha1 (n ...) (e ...)))}, in transport form, and
C{(private-key (rsa-pkcs1 (n ...) (e ...) (d ...) (p ...) (q ...) (a ...) (b
...) (c ...)))}, in canonical form. The name of a hash in the algorithm's name
is of the past: the key signs with what SSH agrees on. A DSA key is C{(dsa (p ...)
(q ...) (g ...) (y ...) (x ...))}; it is read, and not written. Others lsh has not.
"""

from __future__ import annotations

import binascii
from typing import Any

from conchlite.algorithms.keyfiles import reading, refusePassphrase
from conchlite.algorithms.keyfiles.sexpressions import Expression, pack, parse
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.dsa import DSA
from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.error import BadKeyError, DamagedKey, UsageError, safe
from conchlite.wire.types import mpintBytes

_WHAT = "lsh key"
_RSA_NAMES = (b"rsa-pkcs1-sha1", b"rsa-pkcs1", b"rsa")
_DSA_NAME = b"dsa"


def _beginning(data: bytes) -> bytes:
    """
    Enough of an S-expression to see what it is about.
    """
    text = data.lstrip()[:64]
    if not text.startswith(b"{"):
        return text if text.startswith(b"(") else b""
    try:
        return binascii.a2b_base64(text[1:41])
    except binascii.Error:
        return b""


def _numbers(data: bytes, wanted: bytes) -> tuple[bool, dict[bytes, int]]:
    """
    Whether it is a DSA key, and the key's numbers by their names.

    @param wanted: C{public-key} or C{private-key}.
    """
    match parse(data):
        case [bytes(kind), [bytes(algorithm), *parameters]] if kind == wanted:
            pass
        case [b"password-encrypted", *_]:
            raise BadKeyError(f"{_WHAT}: encrypted by lsh-writekey; lsh-decrypt-key puts it into the clear")
        case _:
            raise DamagedKey(f"{_WHAT}: no {wanted.decode('ascii')}")
    if algorithm not in (*_RSA_NAMES, _DSA_NAME):
        raise BadKeyError(f"{_WHAT}: {safe(algorithm)} where only RSA and DSA are supported")
    numbers = {}
    for parameter in parameters:
        match parameter:
            case [bytes(name), bytes(value)]:
                numbers[name] = int.from_bytes(value, "big", signed=True)
            case _:
                raise DamagedKey(f"{_WHAT}: a parameter that is no number")
    if len(numbers) != len(parameters):
        raise DamagedKey(f"{_WHAT}: a parameter comes twice")
    return algorithm == _DSA_NAME, numbers


def _taken(numbers: dict[bytes, int], *names: bytes) -> list[int]:
    try:
        return [numbers[name] for name in names]
    except KeyError as missing:
        raise DamagedKey(f"{_WHAT}: the number {safe(missing.args[0])} is missing") from None


def _rsa(key: Any) -> dict[str, int]:
    if not RSA.owns(key):
        raise UsageError("the format of lsh is written for RSA keys alone")
    return {name: int(value) for name, value in RSA.numbers(key).items()}


def _parameters(**numbers: int) -> list[Expression]:
    return [[name.encode("ascii"), mpintBytes(number)] for name, number in numbers.items()]


class PublicKeyFile:
    """
    C{identity.pub}, as lsh-writekey makes it.
    """

    holdsPrivate = False

    def recognises(self, data: bytes) -> bool:
        return b"public-key" in _beginning(data)

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        refusePassphrase(passphrase)
        isDSA, numbers = _numbers(data, b"public-key")
        with reading(_WHAT):
            if isDSA:
                return LoadedKey(DSA.fromPublicNumbers(*_taken(numbers, b"p", b"q", b"g", b"y")))
            return LoadedKey(RSA.fromPublicNumbers(*_taken(numbers, b"n", b"e")))

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        if passphrase:
            raise UsageError("a public key is not encrypted")
        rsa = _rsa(key)
        parameters = _parameters(n=rsa["n"], e=rsa["e"])
        text = pack([b"public-key", [b"rsa-pkcs1-sha1", *parameters]])
        return b"{" + binascii.b2a_base64(text, newline=False) + b"}"


class PrivateKeyFile:
    """
    C{identity}, as lsh-writekey makes it without encryption.
    """

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        beginning = _beginning(data)
        return b"private-key" in beginning or b"password-encrypted" in beginning

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        isDSA, numbers = _numbers(data, b"private-key")
        refusePassphrase(passphrase)
        with reading(_WHAT):
            if isDSA:
                return LoadedKey(DSA.fromPrivateNumbers(*_taken(numbers, b"p", b"q", b"g", b"x", b"y")))
            # a, b and c follow from the others, and programs differ in which
            # is which: they are not asked.
            return LoadedKey(RSA.fromPrivateNumbers(*_taken(numbers, b"n", b"e", b"d", b"p", b"q")))

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        if passphrase:
            raise UsageError("lsh's encryption is not supported: use the OpenSSH format")
        rsa = _rsa(key)
        d, p, q = rsa["d"], rsa["p"], rsa["q"]
        # As nettle has them: d mod p - 1, d mod q - 1, 1/q mod p.
        parameters = _parameters(
            n=rsa["n"], e=rsa["e"], d=d, p=p, q=q, a=d % (p - 1), b=d % (q - 1), c=rsa["u"]
        )
        return pack([b"private-key", [b"rsa-pkcs1", *parameters]])


PUBLIC = PublicKeyFile()
PRIVATE = PrivateKeyFile()
