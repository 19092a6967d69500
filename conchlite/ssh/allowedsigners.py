"""
Who may sign what: the allowed signers of ssh-keygen(1), as C{ssh-keygen -Y
verify} and C{git} read them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from conchlite.algorithms.keyfiles import decodeBase64
from conchlite.algorithms.keyfiles.openssh import splitLine
from conchlite.algorithms.publickeys.certificates import Certificate
from conchlite.error import BadKeyError, CertificateRejected, InvalidEntry, SignerRejected, safe
from conchlite.files import readRegularFile
from conchlite.ssh.certificates import judgeUserCertificate
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.keys import Key
from conchlite.ssh.patterns import matchesList, parseTime

#: No file of allowed signers is larger than this, in bytes.
MAXIMUM_FILE_SIZE = 4 * 1024 * 1024

#: No more of the lines that cannot be read are remembered.
MAXIMUM_UNREADABLE = 16

_PRINCIPALS = re.compile(rb'[ \t]*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^ \t"]+))[ \t]+')
_OPTION = re.compile(rb'(?P<name>[A-Za-z0-9-]+)(?:="(?P<value>(?:\\"|[^"])*)")?(?P<comma>,?)')
_VALUED = frozenset((b"namespaces", b"valid-after", b"valid-before"))


@dataclass(frozen=True)
class Signer:
    """
    A line of the file.

    @ivar principals: patterns for the names that the key may sign as.
    @ivar key: the key, or the authority's.
    @ivar certAuthority: whether it is that of an authority, whose certificates
        say who signs.
    @ivar namespaces: patterns for what it may sign for; L{None} for anything.
    @ivar validAfter: the time from which on it may, in seconds since 1970.
    @ivar validBefore: the last moment at which it may.
    """

    principals: bytes
    key: Key
    certAuthority: bool = False
    namespaces: bytes | None = None
    validAfter: float | None = None
    validBefore: float | None = None

    def isAbout(self, key: Key) -> bool:
        """
        Whether the line is the key's, or that of its certificate's authority.
        """
        if not self.certAuthority:
            return self.key == key
        certificate = key.certificate
        return certificate is not None and certificate.signatureKey == self.key.blob()

    def judge(self, namespace: bytes | None, now: float) -> None:
        """
        @raise SignerRejected: the key may not sign this, or not now.
        """
        if (
            namespace is not None
            and self.namespaces is not None
            and not matchesList(namespace, self.namespaces)
        ):
            raise SignerRejected(f"the key may not sign for {safe(namespace)}")
        if self.validAfter is not None and now < self.validAfter:
            raise SignerRejected("the key is not valid yet")
        if self.validBefore is not None and now > self.validBefore:
            raise SignerRejected("the key has expired")


class AllowedSigners:
    """
    A file of allowed signers.

    Every line allows, and none forbids: as C{ssh-keygen} does, a line that
    cannot be read is left out. The errors name it, as it may have been meant.

    @ivar unreadable: what is wrong with such lines, after a search; with the
        first ones, where there are many.
    """

    def __init__(self, text: bytes) -> None:
        """
        @param text: what is in the file.
        """
        self._lines = text.split(b"\n")
        self.unreadable: list[InvalidEntry] = []

    @classmethod
    def fromFile(cls, path: str | os.PathLike[str]) -> AllowedSigners:
        """
        @raise OSError: the file cannot be read.
        """
        return cls(readRegularFile(path, MAXIMUM_FILE_SIZE))

    def check(self, key: Key, principal: Text, namespace: Text, now: float) -> None:
        """
        Whether a key may sign: returns if it may. The signature itself is not
        looked at: C{check(verify(signature, data, namespace), ...)}.

        @param key: what L{conchlite.ssh.sshsig.verify} returned.
        @param principal: who is to have signed.
        @param namespace: what the signature is for.
        @param now: the time at which it has to be valid, in seconds since 1970.
        @raise SignerRejected: it may not; the text says why.
        """
        name, wanted = asBytes(principal), asBytes(namespace)
        reason: SignerRejected | None = None
        for signer in self._signers(name):
            if not signer.isAbout(key):
                continue
            try:
                signer.judge(wanted, now)
                if signer.certAuthority and key.certificate is not None:
                    _judgeCertificate(key.certificate, name, now)
            except SignerRejected as error:
                reason = error
            else:
                return
        raise reason or self._rejected(f"no line lets this key sign as {safe(name)}")

    def findPrincipals(self, key: Key, now: float) -> tuple[bytes, ...]:
        """
        As whom a key may sign: the patterns of the first line that is about
        it; of an authority's line, those that are names in the certificate.

        @param now: the time at which it has to be valid, in seconds since 1970.
        @raise SignerRejected: as nobody.
        """
        for signer in self._signers(None):
            if not signer.isAbout(key):
                continue
            try:
                signer.judge(None, now)
            except SignerRejected:
                continue
            names = signer.principals.split(b",")
            if signer.certAuthority and key.certificate is not None:
                names = [name for name in names if _isCertified(key.certificate, name, now)]
            if names:
                return tuple(names)
        raise self._rejected("no line has this key")

    def _rejected(self, why: str) -> SignerRejected:
        return SignerRejected("; ".join([why, *map(str, self.unreadable)]))

    def _signers(self, principal: bytes | None) -> Iterator[Signer]:
        """
        The lines that are about C{principal}; L{None} for all.
        """
        self.unreadable = []
        for number, line in enumerate(self._lines, 1):
            try:
                signer = _signer(line.strip(), principal)
            except (BadKeyError, InvalidEntry) as error:
                # The file may be two million of them, and its reader is told in one text.
                if len(self.unreadable) < MAXIMUM_UNREADABLE:
                    self.unreadable.append(InvalidEntry(f"line {number} cannot be read: {error}"))
            else:
                if signer is not None:
                    yield signer


def _signer(line: bytes, principal: bytes | None) -> Signer | None:
    """
    What a line says; L{None} if that is nothing, or is not about C{principal}.
    """
    if not line or line.startswith(b"#"):
        return None
    match = _PRINCIPALS.match(line)
    if match is None:
        raise InvalidEntry("no principals, or nothing behind them")
    principals = match["plain"] if match["quoted"] is None else match["quoted"]
    if principal is not None and not matchesList(principal, principals):
        return None
    options, name, encoded, _ = splitLine(line[match.end() :])
    if not encoded:
        raise InvalidEntry("no key")
    key = Key.fromString(decodeBase64(encoded, "key"), "blob")
    if key.sshType() != name:
        raise InvalidEntry(f"the line says {safe(name)}, the key {safe(key.sshType())}")
    values = _options(options)
    after, before = values.get(b"valid-after"), values.get(b"valid-before")
    signer = Signer(
        principals,
        key,
        b"cert-authority" in values,
        values.get(b"namespaces"),
        None if after is None else parseTime(after),
        None if before is None else parseTime(before),
    )
    if None not in (after, before) and (signer.validBefore or 0) <= (signer.validAfter or 0):
        raise InvalidEntry("valid-before is before valid-after")
    return signer


def _options(text: bytes) -> dict[bytes, bytes]:
    """
    The options of a line: name to value, which a flag has none of.
    """
    values: dict[bytes, bytes] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        if match is None or bool(match["comma"]) != (match.end() < len(text)):
            raise InvalidEntry(f"no option: {safe(text[at:])}")
        option, value, at = match["name"].lower(), match["value"], match.end()
        if option not in (*_VALUED, b"cert-authority"):
            raise InvalidEntry(f"the unknown option {safe(option)}")
        if option in values or (option in _VALUED) != (value is not None):
            raise InvalidEntry(f"the option {safe(option)} twice, or with no value that belongs to it")
        values[option] = (value or b"").replace(b'\\"', b'"')
    return values


def _judgeCertificate(certificate: Certificate, principal: bytes, now: float) -> None:
    try:
        judgeUserCertificate(certificate, (principal,), now)
    except CertificateRejected as error:
        raise SignerRejected(str(error)) from error


def _isCertified(certificate: Certificate, name: bytes, now: float) -> bool:
    if any(byte in b"!?*" for byte in name):
        return False
    try:
        judgeUserCertificate(certificate, (name,), now)
    except CertificateRejected:
        return False
    return True
