"""
Agreeing on algorithms: RFC 4253 section 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.error import NoCommonAlgorithm, StrictKexRequired
from conchlite.sansio.role import Role
from conchlite.wire.transport import KexInit

# OpenSSH's names for the markers, and the plain ones that Erlang 29 adds.
PSEUDO_ALGORITHMS = frozenset(
    (
        catalogue.EXT_INFO_CLIENT,
        catalogue.EXT_INFO_SERVER,
        catalogue.STRICT_KEX_CLIENT,
        catalogue.STRICT_KEX_SERVER,
        b"kex-strict-c",
        b"kex-strict-s",
    )
)

# Of each kind, what AlgorithmSet and what the transports call its list.
_LISTS = {
    "key exchange": ("keyExchanges", "supportedKeyExchanges"),
    "host key": ("signatures", "supportedPublicKeys"),
    "encryption": ("ciphers", "supportedCiphers"),
    "MAC": ("macs", "supportedMACs"),
    "compression": ("compressions", "supportedCompressions"),
}


class NegotiatedAlgorithms(NamedTuple):
    """
    What a connection runs on.

    @ivar keyExchange: the key exchange method.
    @ivar hostKey: the signature algorithm of the server's host key.
    @ivar cipherClientToServer: the cipher of what the client sends.
    @ivar cipherServerToClient: the cipher of what the server sends.
    @ivar macClientToServer: the MAC of what the client sends, L{None} where
        the cipher authenticates by itself.
    @ivar macServerToClient: the same of what the server sends.
    @ivar compressionClientToServer: the compression of what the client sends.
    @ivar compressionServerToClient: the compression of what the server sends.
    @ivar strict: whether the exchange is strict (OpenSSH PROTOCOL 1.10).
    """

    keyExchange: bytes
    hostKey: bytes
    cipherClientToServer: bytes
    cipherServerToClient: bytes
    macClientToServer: bytes | None
    macServerToClient: bytes | None
    compressionClientToServer: bytes
    compressionServerToClient: bytes
    strict: bool

    def __str__(self) -> str:
        """
        The names, for the log: each once, and nothing for what is not there.
        """
        names = (
            self.keyExchange,
            self.hostKey,
            self.cipherClientToServer,
            self.macClientToServer,
            self.cipherServerToClient,
            self.macServerToClient,
            self.compressionClientToServer,
            self.compressionServerToClient,
        )
        shown = dict.fromkeys(name.decode("ascii") for name in names if name not in (None, b"none"))
        return ", ".join(shown) + (", strict" if self.strict else "")

    @property
    def isPostQuantum(self) -> bool:
        """
        Whether the key exchange withstands somebody who records it today and
        has a quantum computer one day.
        """
        return catalogue.isPostQuantum(self.keyExchange)


def offer(role: Role, algorithms: AlgorithmSet, cookie: bytes, first: bool) -> KexInit:
    """
    Our KEXINIT.

    @param first: whether it opens the connection's first exchange: only there
        do the markers for extensions and strictness stand.
    """
    markers: tuple[bytes, ...] = ()
    if first and role is Role.CLIENT:
        markers = (catalogue.EXT_INFO_CLIENT, catalogue.STRICT_KEX_CLIENT)
    elif first:
        markers = (catalogue.EXT_INFO_SERVER, catalogue.STRICT_KEX_SERVER)
    return KexInit(
        cookie,
        algorithms.keyExchanges + markers,
        algorithms.signatures,
        algorithms.ciphers,
        algorithms.ciphers,
        algorithms.macs,
        algorithms.macs,
        algorithms.compressions,
        algorithms.compressions,
        (),
        (),
        False,
        0,
    )


def isStrict(client: KexInit, server: KexInit) -> bool:
    """
    Whether both sides announced strict key exchange in their first KEXINIT.
    """
    return (
        catalogue.STRICT_KEX_CLIENT in client.kexAlgorithms
        and catalogue.STRICT_KEX_SERVER in server.kexAlgorithms
    )


def guessedWrong(client: KexInit, server: KexInit) -> bool:
    """
    Whether a packet sent on the strength of a guess has to be dropped: RFC 4253
    section 7.1, the preferred method or the preferred host key differs.
    """
    return (
        _real(client.kexAlgorithms)[:1] != _real(server.kexAlgorithms)[:1]
        or client.serverHostKeyAlgorithms[:1] != server.serverHostKeyAlgorithms[:1]
    )


def negotiate(role: Role, client: KexInit, server: KexInit, strict: bool) -> NegotiatedAlgorithms:
    """
    The first of the client's algorithms that the server has too, for each kind.

    @param strict: whether the connection's exchanges are strict.
    @raise NoCommonAlgorithm: there is none of a kind.
    """

    def common(kind: str, ofClient: Sequence[bytes], ofServer: Sequence[bytes]) -> bytes:
        for name in ofClient:
            if name in ofServer:
                return name
        ours, theirs = (ofClient, ofServer) if role is Role.CLIENT else (ofServer, ofClient)
        raise NoCommonAlgorithm(kind, ours, theirs, _advice(role, kind, ours, theirs))

    def mac(cipherName: bytes, ofClient: Sequence[bytes], ofServer: Sequence[bytes]) -> bytes | None:
        if catalogue.cipher(cipherName).hasOwnMAC:
            return None
        return common("MAC", ofClient, ofServer)

    keyExchange = common("key exchange", _real(client.kexAlgorithms), _real(server.kexAlgorithms))
    hostKey = common("host key", client.serverHostKeyAlgorithms, server.serverHostKeyAlgorithms)
    toServer = common(
        "encryption", client.encryptionAlgorithmsClientToServer, server.encryptionAlgorithmsClientToServer
    )
    toClient = common(
        "encryption", client.encryptionAlgorithmsServerToClient, server.encryptionAlgorithmsServerToClient
    )
    return NegotiatedAlgorithms(
        keyExchange,
        hostKey,
        toServer,
        toClient,
        mac(toServer, client.macAlgorithmsClientToServer, server.macAlgorithmsClientToServer),
        mac(toClient, client.macAlgorithmsServerToClient, server.macAlgorithmsServerToClient),
        common(
            "compression",
            client.compressionAlgorithmsClientToServer,
            server.compressionAlgorithmsClientToServer,
        ),
        common(
            "compression",
            client.compressionAlgorithmsServerToClient,
            server.compressionAlgorithmsServerToClient,
        ),
        strict,
    )


def checkStrictness(negotiated: NegotiatedAlgorithms) -> None:
    """
    Refuse what must not be used with a peer that does no strict key exchange.

    @raise StrictKexRequired: a cipher is open to CVE-2023-48795.
    """
    if negotiated.strict:
        return
    for name, mac in (
        (negotiated.cipherClientToServer, negotiated.macClientToServer),
        (negotiated.cipherServerToClient, negotiated.macServerToClient),
    ):
        if _isOpenToTerrapin(name, mac):
            together = name if mac is None else name + b" with " + mac
            raise StrictKexRequired(
                f"{together.decode('ascii')} with a peer that does no strict key exchange is open to "
                "CVE-2023-48795; set allowTerrapin to use it all the same"
            )


def _isOpenToTerrapin(cipher: bytes, mac: bytes | None) -> bool:
    """
    Whether packets can be cut off the beginning unnoticed where sequence
    numbers are not reset (CVE-2023-48795): the state of chacha20-poly1305 does
    not depend on what came before; CBC loses but a block, which is noticed
    only where the MAC is that of the clear text.
    """
    if cipher.endswith(b"-cbc"):
        return mac is not None and catalogue.mac(mac).encryptThenMAC
    return cipher == b"chacha20-poly1305@openssh.com"


def _advice(role: Role, kind: str, ours: Sequence[bytes], theirs: Sequence[bytes]) -> str:
    """
    What a person can do who wants to talk to this peer all the same; nothing
    if there is nothing.
    """
    family, attribute = _LISTS[kind]
    names = catalogue.known(family, theirs)
    if kind == "key exchange" and all(map(catalogue.isPostQuantum, ours)):
        # That is demanded, and not to be given up.
        names = tuple(filter(catalogue.isPostQuantum, names))
    if kind == "host key" and role is Role.SERVER:
        # Adding a name gives us no key.
        types = {catalogue.keyTypeOfSignature(name) for name in ours}
        names = tuple(name for name in names if catalogue.keyTypeOfSignature(name) in types)
    if not names:
        return ""
    name = names[0].decode("ascii")
    if catalogue.plainName(names[0]) in catalogue.LEGACY_NAMES:
        return (
            f"{name} is legacy, and off here: to use it all the same, add it to {attribute}, or "
            "set algorithms = conchlite.algorithms.catalogue.LEGACY"
        )
    return f"{name} is known, but not offered here: to use it, add it to {attribute}"


def _real(names: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(name for name in names if name not in PSEUDO_ALGORITHMS)
