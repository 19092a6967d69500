"""
THE table of algorithms: what there is, and what is preferred.

Each family is a tuple of names, most preferred first, and a table from name to
where it is made. A module is imported when a connection has agreed on an
algorithm of it, not before.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from conchlite.error import UsageError, safe

if TYPE_CHECKING:
    from conchlite.algorithms.base import (
        MAC,
        Cipher,
        Compression,
        GroupExchange,
        KeyExchangeMethod,
        KeyFile,
        KeyType,
    )

# To add an algorithm: its file, a line in the table, and, where it is to be
# offered without being asked for, its place in the preferences below.

_KEY_EXCHANGES = {
    b"mlkem768x25519-sha256": "kex.mlkem:MLKEM768X25519",
    b"curve25519-sha256": "kex.curve25519:CURVE25519",
    b"curve25519-sha256@libssh.org": "kex.curve25519:CURVE25519",
    b"ecdh-sha2-nistp256": "kex.ecdh:NISTP256",
    b"ecdh-sha2-nistp384": "kex.ecdh:NISTP384",
    b"ecdh-sha2-nistp521": "kex.ecdh:NISTP521",
    b"mlkem768nistp256-sha256": "kex.mlkemnist:MLKEM768NISTP256",
    b"mlkem1024nistp384-sha384": "kex.mlkemnist:MLKEM1024NISTP384",
    b"curve448-sha512": "kex.curve448:CURVE448",
    b"sntrup761x25519-sha512": "kex.sntrup761x25519:SNTRUP761X25519",
    b"sntrup761x25519-sha512@openssh.com": "kex.sntrup761x25519:SNTRUP761X25519",
    b"diffie-hellman-group-exchange-sha256": "kex.groupexchange:GROUP_EXCHANGE_SHA256",
    b"diffie-hellman-group16-sha512": "kex.finitefield:GROUP16_SHA512",
    b"diffie-hellman-group18-sha512": "kex.finitefield:GROUP18_SHA512",
    b"diffie-hellman-group14-sha256": "kex.finitefield:GROUP14_SHA256",
    b"diffie-hellman-group-exchange-sha1": "kex.groupexchange:GROUP_EXCHANGE_SHA1",
    b"diffie-hellman-group14-sha1": "kex.finitefield:GROUP14_SHA1",
    b"diffie-hellman-group1-sha1": "kex.finitefield:GROUP1_SHA1",
}

# Methods that somebody who records today learns nothing from, when he has a
# quantum computer one day.
_POST_QUANTUM = frozenset(
    (
        b"mlkem768x25519-sha256",
        b"mlkem768nistp256-sha256",
        b"mlkem1024nistp384-sha384",
        b"sntrup761x25519-sha512",
        b"sntrup761x25519-sha512@openssh.com",
    )
)

# What not every cryptography can do, and what says whether it can.
_PROBES = {
    b"mlkem768x25519-sha256": "kex.mlkem:MLKEM768PrivateKey",
    b"mlkem768nistp256-sha256": "kex.mlkem:MLKEM768PrivateKey",
    b"mlkem1024nistp384-sha384": "kex.mlkem:MLKEM1024PrivateKey",
    b"curve448-sha512": "kex.curve448:X448PrivateKey",
    b"ssh-ed448": "publickeys.ed448:Ed448PrivateKey",
}

_CIPHERS = {
    b"aes128-gcm@openssh.com": "ciphers.aesgcm:AES128_GCM",
    b"aes256-gcm@openssh.com": "ciphers.aesgcm:AES256_GCM",
    b"chacha20-poly1305@openssh.com": "ciphers.chacha20poly1305:CHACHA20_POLY1305",
    b"aes256-ctr": "ciphers.aesctr:AES256_CTR",
    b"aes192-ctr": "ciphers.aesctr:AES192_CTR",
    b"aes128-ctr": "ciphers.aesctr:AES128_CTR",
    b"aes256-cbc": "ciphers.cbc:AES256_CBC",
    b"aes192-cbc": "ciphers.cbc:AES192_CBC",
    b"aes128-cbc": "ciphers.cbc:AES128_CBC",
    b"3des-cbc": "ciphers.tripledes:TRIPLE_DES_CBC",
}

_MACS = {
    b"hmac-sha2-256-etm@openssh.com": "macs.hmac:HMAC_SHA2_256_ETM",
    b"hmac-sha2-512-etm@openssh.com": "macs.hmac:HMAC_SHA2_512_ETM",
    b"hmac-sha2-256": "macs.hmac:HMAC_SHA2_256",
    b"hmac-sha2-512": "macs.hmac:HMAC_SHA2_512",
    b"hmac-sha1-etm@openssh.com": "macs.hmac:HMAC_SHA1_ETM",
    b"hmac-sha1": "macs.hmac:HMAC_SHA1",
    b"hmac-sha1-96": "macs.hmac:HMAC_SHA1_96",
    b"hmac-md5": "macs.hmac:HMAC_MD5",
}

_KEY_TYPES = {
    b"ssh-ed25519": "publickeys.ed25519:ED25519",
    b"ecdsa-sha2-nistp256": "publickeys.ecdsa:NISTP256",
    b"ecdsa-sha2-nistp384": "publickeys.ecdsa:NISTP384",
    b"ecdsa-sha2-nistp521": "publickeys.ecdsa:NISTP521",
    b"ssh-rsa": "publickeys.rsa:RSA",
    b"ssh-ed448": "publickeys.ed448:ED448",
    b"sk-ssh-ed25519@openssh.com": "publickeys.securitykeys:ED25519",
    b"sk-ecdsa-sha2-nistp256@openssh.com": "publickeys.securitykeys:NISTP256",
    b"ssh-dss": "publickeys.dsa:DSA",
}

_SECURITY_KEYS = frozenset((b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"))

# The type of key behind a signature algorithm, where the names differ.
_KEY_TYPE_OF_SIGNATURE = {
    b"rsa-sha2-512": b"ssh-rsa",
    b"rsa-sha2-256": b"ssh-rsa",
}

_CERTIFICATE_SUFFIX = b"-cert-v01@openssh.com"


def certificateName(name: bytes) -> bytes:
    """
    What a type of key, or a signature algorithm, is called where it is that of
    a certificate: OpenSSH's PROTOCOL.certkeys.
    """
    return name.removesuffix(b"@openssh.com") + _CERTIFICATE_SUFFIX


_CERTIFICATE_TYPES = tuple(map(certificateName, _KEY_TYPES))

# Every type of key may be certified, and so may what it signs with.
_PLAIN_NAMES = {certificateName(name): name for name in (*_KEY_TYPES, *_KEY_TYPE_OF_SIGNATURE)}

# The transport knows "none" by itself.
_COMPRESSIONS = {
    b"zlib@openssh.com": "compression:ZLIB_OPENSSH",
    b"zlib": "compression:ZLIB",
}

# In this order a key is tried for its format when nobody says which it is.
_KEY_FILES = {
    "public_openssh": "keyfiles.openssh:PUBLIC",
    "private_openssh": "keyfiles.openssh:PRIVATE",
    "private_pem": "keyfiles.pem:TRADITIONAL",
    "private_pkcs8": "keyfiles.pem:PKCS8",
    "private_putty": "keyfiles.putty:PRIVATE",
    "public_rfc4716": "keyfiles.rfc4716:PUBLIC",
    "public_pem": "keyfiles.pem:PUBLIC_PKCS1",
    "public_pkcs8": "keyfiles.pem:PUBLIC_PKCS8",
    "public_lsh": "keyfiles.lsh:PUBLIC",
    "private_lsh": "keyfiles.lsh:PRIVATE",
    "blob": "keyfiles.blobs:PUBLIC",
    "agentv3": "keyfiles.blobs:AGENT_V3",
    "private_blob": "keyfiles.blobs:PRIVATE",
}

#: Pseudo-algorithms in a KEXINIT. RFC 8308 section 2.1, OpenSSH PROTOCOL 1.10.
EXT_INFO_CLIENT = b"ext-info-c"
EXT_INFO_SERVER = b"ext-info-s"
STRICT_KEX_CLIENT = b"kex-strict-c-v00@openssh.com"
STRICT_KEX_SERVER = b"kex-strict-s-v00@openssh.com"


class AlgorithmSet(NamedTuple):
    """
    What one side offers, each family most preferred first.

    @ivar keyExchanges: key exchange methods.
    @ivar signatures: signature algorithms, of host keys and of users' keys.
    @ivar ciphers: ciphers, the same for both directions.
    @ivar macs: MACs, the same for both directions.
    @ivar compressions: compression methods.
    """

    keyExchanges: tuple[bytes, ...]
    signatures: tuple[bytes, ...]
    ciphers: tuple[bytes, ...]
    macs: tuple[bytes, ...]
    compressions: tuple[bytes, ...] = (b"none",)

    def replacing(self, **families: tuple[bytes, ...]) -> AlgorithmSet:
        """
        The same set with other members in the families that are named.
        """
        return self._replace(**families)

    def requiringPostQuantum(self) -> AlgorithmSet:
        """
        The same set without the key exchange methods that a quantum computer
        breaks. A connection with a peer that has nothing else fails.

        @raise UsageError: none is left, or none that the installed
            C{cryptography} can do.
        """
        left = tuple(name for name in self.keyExchanges if isPostQuantum(name))
        if not left:
            raise UsageError(
                "post-quantum key exchange is required, and the set has no method for it: "
                "add one with replacing(keyExchanges=...), such as mlkem768x25519-sha256"
            )
        if not available(left):
            raise UsageError(
                "post-quantum key exchange is required, and the installed cryptography can do none of "
                f"{', '.join(name.decode('ascii', 'replace') for name in left)}: install one with "
                "ML-KEM (OpenSSL 3.5 or later), or add sntrup761x25519-sha512, which needs none"
            )
        return self.replacing(keyExchanges=left)


# What protects less than it once did, most preferred first. Each can be asked
# for by its name, or all at once by LEGACY.
_LEGACY_ONLY = AlgorithmSet(
    keyExchanges=(
        b"diffie-hellman-group-exchange-sha1",
        b"diffie-hellman-group14-sha1",
        b"diffie-hellman-group1-sha1",
    ),
    signatures=(b"ssh-rsa", b"ssh-dss"),
    ciphers=(b"aes256-cbc", b"aes192-cbc", b"aes128-cbc", b"3des-cbc"),
    macs=(b"hmac-sha1-etm@openssh.com", b"hmac-sha1", b"hmac-sha1-96", b"hmac-md5"),
    compressions=(),
)

_SERVER_KEY_EXCHANGES = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
)

#: What a server offers. No finite field Diffie-Hellman: a client could make
#: the server do its expensive half again and again (CVE-2002-20001).
SERVER_DEFAULT = AlgorithmSet(
    keyExchanges=_SERVER_KEY_EXCHANGES,
    signatures=(
        b"ssh-ed25519",
        b"ecdsa-sha2-nistp256",
        b"ecdsa-sha2-nistp384",
        b"ecdsa-sha2-nistp521",
        b"sk-ssh-ed25519@openssh.com",
        b"sk-ecdsa-sha2-nistp256@openssh.com",
        b"ssh-ed448",
        b"rsa-sha2-512",
        b"rsa-sha2-256",
    ),
    ciphers=tuple(name for name in _CIPHERS if name not in _LEGACY_ONLY.ciphers),
    macs=tuple(name for name in _MACS if name not in _LEGACY_ONLY.macs),
)

#: What a client offers.
CLIENT_DEFAULT = SERVER_DEFAULT.replacing(
    keyExchanges=(
        *_SERVER_KEY_EXCHANGES,
        b"diffie-hellman-group-exchange-sha256",
        b"diffie-hellman-group16-sha512",
        b"diffie-hellman-group18-sha512",
        b"diffie-hellman-group14-sha256",
    )
)

#: The names of all legacy algorithms.
LEGACY_NAMES = frozenset(
    _LEGACY_ONLY.keyExchanges + _LEGACY_ONLY.signatures + _LEGACY_ONLY.ciphers + _LEGACY_ONLY.macs
)

#: What old equipment can be talked to with, on either side: what a client
#: offers otherwise, and behind it what is legacy. A server that offers this
#: does finite field Diffie-Hellman, so the most expensive group is left out.
LEGACY = AlgorithmSet(
    keyExchanges=tuple(
        name for name in CLIENT_DEFAULT.keyExchanges if name != b"diffie-hellman-group18-sha512"
    )
    + _LEGACY_ONLY.keyExchanges,
    signatures=CLIENT_DEFAULT.signatures + _LEGACY_ONLY.signatures,
    ciphers=CLIENT_DEFAULT.ciphers + _LEGACY_ONLY.ciphers,
    macs=CLIENT_DEFAULT.macs + _LEGACY_ONLY.macs,
    compressions=CLIENT_DEFAULT.compressions,
)


@functools.cache
def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module("conchlite.algorithms." + module), name)


def _find(table: dict[bytes, str], kind: str, name: bytes) -> Any:
    try:
        where = table[name]
    except KeyError:
        raise UsageError(f"there is no {kind} named {safe(name)}") from None
    return _load(where)


@functools.cache
def _works(probe: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        _load(probe).generate()
    except (ImportError, UnsupportedAlgorithm):
        return False
    return True


def isPostQuantum(name: bytes) -> bool:
    """
    Whether a key exchange method withstands a quantum computer.
    """
    return name in _POST_QUANTUM


def available(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """
    Key exchange methods or signature algorithms without those that the
    installed C{cryptography} cannot do: ML-KEM takes OpenSSL 3.5 or later, and
    its relatives have no curve of 448 bits.

    @param names: what is to be offered; what nobody can lack passes.
    """
    return tuple(name for name in names if (probe := _PROBES.get(plainName(name))) is None or _works(probe))


def keyExchange(name: bytes) -> KeyExchangeMethod | GroupExchange:
    """
    @raise UsageError: there is no such method.
    """
    return cast("KeyExchangeMethod | GroupExchange", _find(_KEY_EXCHANGES, "key exchange", name))


def keyExchanges() -> tuple[bytes, ...]:
    """
    The names of all key exchange methods.
    """
    return tuple(_KEY_EXCHANGES)


def cipher(name: bytes) -> Cipher:
    """
    @raise UsageError: there is no such cipher.
    """
    return cast("Cipher", _find(_CIPHERS, "cipher", name))


def ciphers() -> tuple[bytes, ...]:
    """
    The names of all ciphers.
    """
    return tuple(_CIPHERS)


def mac(name: bytes) -> MAC:
    """
    @raise UsageError: there is no such MAC.
    """
    return cast("MAC", _find(_MACS, "MAC", name))


def macs() -> tuple[bytes, ...]:
    """
    The names of all MACs.
    """
    return tuple(_MACS)


@functools.lru_cache(maxsize=64)
def unknown(family: str, names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """
    Those of C{names} that nothing has, with whichever C{cryptography}.

    @param family: an attribute of L{AlgorithmSet}.
    """
    tables: dict[str, Collection[bytes]] = {
        "keyExchanges": _KEY_EXCHANGES,
        "signatures": _KEY_TYPE_OF_SIGNATURE.keys() | _KEY_TYPES.keys() | _PLAIN_NAMES.keys(),
        "ciphers": _CIPHERS,
        "macs": _MACS,
        "compressions": compressions(),
    }
    return tuple(name for name in names if name not in tables[family])


def known(family: str, names: Sequence[bytes]) -> tuple[bytes, ...]:
    """
    Those of C{names} that could be used here, the most preferred first.

    @param family: an attribute of L{AlgorithmSet}.
    """
    tables = {
        "keyExchanges": available(keyExchanges()),
        "signatures": available((*_KEY_TYPE_OF_SIGNATURE, *_KEY_TYPES, *_PLAIN_NAMES)),
        "ciphers": ciphers(),
        "macs": macs(),
        "compressions": compressions(),
    }
    ordered = dict.fromkeys((*getattr(LEGACY, family), *tables[family]))
    return tuple(name for name in ordered if name in names and name in tables[family])


def compression(name: bytes) -> Compression | None:
    """
    @return: the method; L{None} for C{none}.
    @raise UsageError: there is no such compression.
    """
    if name == b"none":
        return None
    return cast("Compression", _find(_COMPRESSIONS, "compression", name))


def compressions() -> tuple[bytes, ...]:
    """
    The names of all compression methods, C{none} included.
    """
    return (b"none", *_COMPRESSIONS)


def keyType(name: bytes) -> KeyType:
    """
    The type of key, or of certificate, with this name.

    @raise UsageError: there is no such type.
    """
    if name in _CERTIFICATE_TYPES:
        return _certificateType(name)
    return cast("KeyType", _find(_KEY_TYPES, "key type", name))


@functools.cache
def _certificateType(name: bytes) -> KeyType:
    return cast("KeyType", _load("publickeys.certificates:CertificateType")(keyType(plainName(name))))


def keyTypes() -> tuple[bytes, ...]:
    """
    The names of all types of key.
    """
    return tuple(_KEY_TYPES)


def certificateTypes() -> tuple[bytes, ...]:
    """
    The names of all types of certificate: one for each type of key.
    """
    return _CERTIFICATE_TYPES


def isSecurityKey(name: bytes) -> bool:
    """
    Whether a type of key, or a signature algorithm, is that of a security key,
    or of a certificate of one.
    """
    return plainName(name) in _SECURITY_KEYS


def keyTypeOfSignature(algorithm: bytes) -> bytes:
    """
    The name of the key type that makes signatures of C{algorithm}; for one of
    a certificate's algorithms, that of the certificate.
    """
    plain = plainName(algorithm)
    if plain == algorithm:
        return _KEY_TYPE_OF_SIGNATURE.get(algorithm, algorithm)
    return certificateName(_KEY_TYPE_OF_SIGNATURE.get(plain, plain))


def accepts(algorithms: Collection[bytes], algorithm: bytes) -> bool:
    """
    Whether a list of signature algorithms has this one. One of a certificate is
    accepted where the plain one is: it is the same signature.
    """
    return algorithm in algorithms or plainName(algorithm) in algorithms


def plainName(name: bytes) -> bytes:
    """
    A type of key, or a signature algorithm, without the certificate: what a
    signature calls itself that was made by a certified key.
    """
    return _PLAIN_NAMES.get(name, name)


def keyFile(name: str) -> KeyFile:
    """
    The format that keys are kept in under this name.

    @raise UsageError: there is no such format.
    """
    try:
        where = _KEY_FILES[name]
    except KeyError:
        raise UsageError(f"there is no key file format named {safe(name)}") from None
    return cast("KeyFile", _load(where))


def keyFiles() -> tuple[str, ...]:
    """
    The names of all formats, in the order in which a key is tried for them.
    """
    return tuple(_KEY_FILES)
