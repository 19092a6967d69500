"""
Making certificates, and judging them: OpenSSH's PROTOCOL.certkeys.

A certificate is judged in two parts. Whether its authority is trusted, and for
whom, is a question of what somebody configured: C{@cert-authority} in known
hosts, C{cert-authority} in authorized keys. Everything else stands in the
certificate, and is judged here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_network
from typing import TYPE_CHECKING, Required, TypeAlias, TypedDict, cast

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.certificates import (
    FLAGS,
    FOREVER,
    HOST,
    USER,
    Certificate,
    CertificateType,
    packOptions,
)
from conchlite.algorithms.publickeys.signatures import MINIMUM_RSA_BITS
from conchlite.error import (
    BadSignature,
    CertificateRejected,
    MalformedMessage,
    UsageError,
    WeakKey,
    safe,
)
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.patterns import matchesPattern, parseAddress
from conchlite.wire.publickeys import CertificateFields, Principals
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes
    from conchlite.ssh.keys import Key

__all__ = [
    "FOREVER",
    "HOST",
    "USER",
    "Certificate",
    "isInNetworks",
    "judgeHostCertificate",
    "judgeUserCertificate",
    "signCertificate",
]

#: What an authority may have signed with, as C{CASignatureAlgorithms} of
#: sshd_config(5).
CA_SIGNATURES = catalogue.CLIENT_DEFAULT.signatures

#: The critical options that a user's certificate may have.
UNDERSTOOD = frozenset((b"force-command", b"source-address", b"verify-required"))

# What ssh-keygen permits when nobody says otherwise.
_PERMITTED = tuple(sorted(name for name in FLAGS if name.startswith(b"permit-")))

_NONCE_SIZE = 32
_KINDS = {USER: "a user", HOST: "a host"}


def judgeUserCertificate(
    certificate: Certificate,
    principals: Collection[Text],
    now: float,
    address: str | None = None,
    signatures: Collection[bytes] = CA_SIGNATURES,
    minimumRSABits: int = MINIMUM_RSA_BITS,
) -> None:
    """
    Whether the certificate's holder may log in: returns when he may, as far as
    the certificate goes, and raises when not.

    What C{force-command}, C{verify-required} and the extensions say is for the
    caller to enforce, who finds it in C{certificate.criticalOptions} and
    C{certificate.extensions}; there are no critical options beside these and
    C{source-address} when this returns.

    @param principals: who may log in: the user's name, or the names that he
        has in a list of principals. One of them has to be in the certificate.
    @param now: the time, in seconds since 1970.
    @param address: where the user comes from; with L{None} a certificate that
        restricts this is refused.
    @param signatures: the algorithms that the authority may have signed with.
    @param minimumRSABits: the smallest RSA key that an authority may have.
    @raise CertificateRejected: he may not; the text says why.
    """
    _judge(certificate, USER, now, signatures, minimumRSABits)
    names = set(map(asBytes, principals))
    # A name that is empty is nobody's.
    if not (set(certificate.principals) & names) - {b""}:
        raise CertificateRejected(
            f"the certificate is for {_shown(certificate.principals)}, not for {_shown(names)}"
        )
    for name in certificate.criticalOptions:
        if name not in UNDERSTOOD:
            raise CertificateRejected(f"the certificate has the unknown critical option {safe(name)}")
    allowed = certificate.criticalOptions.get(b"source-address")
    if allowed is not None and not isInNetworks(address, allowed):
        came = safe(address or "nobody knows where")
        raise CertificateRejected(f"the certificate is for logins from {safe(allowed)}, not from {came}")


def judgeHostCertificate(
    certificate: Certificate,
    host: bytes | str,
    now: float,
    signatures: Collection[bytes] = CA_SIGNATURES,
    minimumRSABits: int = MINIMUM_RSA_BITS,
) -> None:
    """
    Whether the certificate says that its holder is C{host}: returns when it
    does, and raises when not.

    @param host: the name that the user gave, or the alias that he gave it,
        without a port; not what it was resolved to.
    @param now: the time, in seconds since 1970.
    @param signatures: the algorithms that the authority may have signed with.
    @param minimumRSABits: the smallest RSA key that an authority may have.
    @raise CertificateRejected: it does not; the text says why.
    """
    _judge(certificate, HOST, now, signatures, minimumRSABits)
    name = asBytes(host).lower()
    # Only here are there patterns: a user called "*" would be everybody.
    if not any(matchesPattern(name, principal) for principal in certificate.principals):
        raise CertificateRejected(
            f"the certificate is for {_shown(certificate.principals)}, not for {safe(name)}"
        )
    # PROTOCOL.certkeys defines none for hosts.
    for option in certificate.criticalOptions:
        raise CertificateRejected(f"the certificate has the unknown critical option {safe(option)}")


def _judge(
    certificate: Certificate,
    kind: int,
    now: float,
    signatures: Collection[bytes],
    minimumRSABits: int,
) -> None:
    if certificate.kind != kind:
        said = _KINDS.get(certificate.kind, f"kind {certificate.kind}")
        raise CertificateRejected(f"the certificate is for {said}, not for {_KINDS[kind]}")
    if now < certificate.validAfter:
        raise CertificateRejected("the certificate is not valid yet: is the clock right?")
    if now >= certificate.validBefore:
        raise CertificateRejected("the certificate has expired")
    _judgeSignature(certificate, signatures, minimumRSABits)


def _judgeSignature(certificate: Certificate, signatures: Collection[bytes], minimumRSABits: int) -> None:
    try:
        name = Reader(certificate.signatureKey, "authority's key").string()
        algorithm = Reader(certificate.signature, "authority's signature").string()
        if catalogue.plainName(name) != name:
            raise CertificateRejected("the certificate is signed by a certificate, not by a key")
        if algorithm not in signatures:
            raise CertificateRejected(
                f"the certificate is signed with {safe(algorithm)}, which is not accepted from authorities"
            )
        certificate.verifySignature(algorithm, minimumRSABits)
    except (BadSignature, MalformedMessage) as error:
        raise CertificateRejected(f"the certificate's signature is not good: {error}") from None
    except WeakKey as error:
        raise CertificateRejected(f"the certificate's authority has too small a key: {error}") from None


def _shown(principals: Collection[bytes]) -> str:
    return ", ".join(safe(name) for name in sorted(principals)[:10]) or "nobody"


def isInNetworks(address: str | None, allowed: bytes) -> bool:
    """
    Whether an address is in a list of addresses and networks, as
    C{source-address} has it: C{192.0.2.0/24,2001:db8::1}.

    @param address: where somebody comes from; L{None} is in no list.
    @raise CertificateRejected: it is no such list.
    """
    try:
        networks = [ip_network(item) for item in allowed.decode("ascii").split(",")]
    except ValueError:
        raise CertificateRejected(f"the certificate's source-address is no list: {safe(allowed)}") from None
    found = parseAddress(address)
    return found is not None and any(found in network for network in networks)


#: Names of options, and their values.
Options: TypeAlias = Mapping[bytes, bytes] | Mapping[str, str]


class CertificateTerms(TypedDict, total=False):
    """
    What L{signCertificate} takes beside the keys.
    """

    kind: Required[int]
    keyID: Required[Text]
    principals: Required[Iterable[Text]]
    validBefore: Required[float]
    validAfter: float
    serial: int
    criticalOptions: Options | None
    extensions: Options | None
    signatureType: bytes | str | None
    randomBytes: RandomBytes


def signCertificate(
    caKey: Key,
    publicKey: Key,
    *,
    kind: int,
    keyID: Text,
    principals: Iterable[Text],
    validBefore: float,
    validAfter: float = 0,
    serial: int = 0,
    criticalOptions: Options | None = None,
    extensions: Options | None = None,
    signatureType: bytes | str | None = None,
    randomBytes: RandomBytes = os.urandom,
) -> Key:
    """
    Certify a key.

    @param caKey: the authority's private key.
    @param publicKey: the key to certify, or its private half.
    @param kind: L{USER} or L{HOST}.
    @param keyID: a name for the certificate, which servers log.
    @param principals: the users, or the hosts, that it is for.
    @param validBefore: from when on it is not good any more, in whole seconds
        since 1970; L{FOREVER} for never.
    @param validAfter: from when on it is good, likewise.
    @param serial: a number to revoke it by.
    @param criticalOptions: C{force-command}, C{source-address} and
        C{verify-required}: name to value, C{b""} where there is none.
    @param extensions: what it permits, likewise; L{None} for what ssh-keygen
        puts there: for a user all of C{permit-*}, for a host nothing.
    @param signatureType: the authority's signature algorithm; L{None} for its
        key's preferred one.
    @param randomBytes: where the nonce comes from.
    @return: the key with its certificate: C{toString("openssh")} of its public
        half is what C{id_ed25519-cert.pub} holds.
    @raise UsageError: no certificate can say this, or nobody would accept it.
    @raise WeakKey: the authority's key is too small to be one.
    @raise BadSignatureAlgorithmError: it makes no such signatures.
    """
    names = _checkedPrincipals(principals)
    validAfter, validBefore = int(validAfter), int(validBefore)
    if kind not in _KINDS:
        raise UsageError(f"a certificate is for a USER or a HOST, not {kind!r}")
    if not 0 <= serial <= FOREVER:
        raise UsageError(f"a serial number has 64 bits, and {serial} does not fit")
    if not 0 <= validAfter < validBefore <= FOREVER:
        raise UsageError(f"a certificate that is valid from {validAfter} to {validBefore} is never valid")
    if caKey.isCertificate():
        raise UsageError("a certified key signs no certificates: use its plain one")
    if kind == HOST and criticalOptions:
        raise UsageError("the certificate of a host has no critical options")
    caKey.checkSize()
    if extensions is None:
        extensions = dict.fromkeys(_PERMITTED, b"") if kind == USER else {}
    fields = CertificateFields(
        serial,
        kind,
        asBytes(keyID),
        Principals(names).pack(),
        validAfter,
        validBefore,
        packOptions(_asBytes(criticalOptions or {})),
        packOptions(_asBytes(extensions)),
        b"",
        caKey.blob(),
        b"",
    )
    plain = publicKey.plain()
    certificateType = catalogue.keyType(catalogue.certificateName(plain.sshType()))
    try:
        made = cast(CertificateType, certificateType).make(
            randomBytes(_NONCE_SIZE), plain.blob(), fields, lambda data: caKey.sign(data, signatureType)
        )
    except MalformedMessage as malformed:
        raise UsageError(f"no certificate can say this: {malformed}") from None
    return plain.withCertificate(made)


def _asBytes(options: Options) -> dict[bytes, bytes]:
    return {asBytes(name): asBytes(value) for name, value in options.items()}


def _checkedPrincipals(principals: Iterable[Text]) -> tuple[bytes, ...]:
    if isinstance(principals, str | bytes):
        raise UsageError("principals are a list of names, not one name")
    names = tuple(map(asBytes, principals))
    if not names or not all(names):
        # To some it is for nobody, and to others it was for everybody.
        raise UsageError("a certificate has to name who it is for")
    return names
