"""
The host keys of a server: under which types of key it can offer them, with
their certificates and without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from conchlite.algorithms import catalogue
from conchlite.error import UsageError
from conchlite.wire.publickeys import HOST

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key


def byType(keys: Mapping[bytes, Key]) -> dict[bytes, Key]:
    """
    The keys under all types that they can be offered under. A key that carries
    the certificate of a host is there twice: with it, and plain, unless another
    key of that type stands there by itself.

    @param keys: as a factory has them: the type's name to the key, which may
        be the type of the key or that of its certificate.
    """
    found: dict[bytes, Key] = {}
    for name, key in keys.items():
        # Programs have signers of their own, which carry nothing.
        certificate = getattr(key, "certificate", None)
        if certificate is None:
            found[name] = key
            continue
        if certificate.kind == HOST:
            found[certificate.name] = key
        plain = catalogue.plainName(name)
        if plain not in keys or plain == name:
            found[plain] = key.plain()
    return found


def plainKeys(keys: Mapping[bytes, Key]) -> dict[bytes, Key]:
    """
    The keys without their certificates, under their own types.
    """
    return {name: key for name, key in byType(keys).items() if catalogue.plainName(name) == name}


def checkSigners(keys: Mapping[bytes, Key]) -> None:
    """
    @raise UsageError: one of them is a DSA key, which is read and signs nothing.
    """
    for name, key in keys.items():
        # Programs have signers of their own.
        if name == b"ssh-dss" and catalogue.keyType(name).owns(getattr(key, "_keyObject", None)):
            raise UsageError("a DSA host key, which signs nothing here: take one of another type")


def offerable(algorithms: Sequence[bytes], keys: Mapping[bytes, Key]) -> list[bytes]:
    """
    The signature algorithms that a server with these keys can offer: first
    those of certificates, as who can judge one need not know the key.

    @param algorithms: what it would offer, most preferred first; where there
        is a certificate, that is offered with each that it can have.
    """
    there = byType(keys)
    plain = [name for name in algorithms if catalogue.plainName(name) == name]
    certified = [name for name in algorithms if catalogue.plainName(name) != name]
    ordered = dict.fromkeys((*certified, *map(catalogue.certificateName, plain), *plain))
    return [name for name in ordered if catalogue.keyTypeOfSignature(name) in there]


def signers(
    algorithms: Sequence[bytes], publicKeys: Mapping[bytes, Key], privateKeys: Mapping[bytes, Key]
) -> dict[bytes, tuple[bytes, Key]]:
    """
    What a server sends, and what it signs with: signature algorithm to blob and
    private key.
    """
    public, private = byType(publicKeys), byType(privateKeys)
    found = {}
    for algorithm in algorithms:
        name = catalogue.keyTypeOfSignature(algorithm)
        if name not in private or catalogue.plainName(name) not in public:
            continue
        # The certificate may stand with either half.
        found[algorithm] = (public.get(name, private[name]).blob(), private[name])
    return found
