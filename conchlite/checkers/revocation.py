"""
Keys that nobody logs in with any more, as C{RevokedKeys} of sshd_config(5) has
them: a list of public keys, or a key revocation list of ssh-keygen's
(OpenSSH's PROTOCOL.krl).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.cred.error import UnauthorizedLogin

from conchlite.error import ConchError, InvalidEntry, MalformedMessage, safe
from conchlite.files import readRegularFile
from conchlite.limits import MAXIMUM_AUTHORIZED_KEYS_SIZE
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from conchlite.ssh.certificates import Certificate
    from conchlite.ssh.keys import Key

_MAGIC = b"SSHKRL\n\0"
_VERSION = 1

# The sections of a list, and those within the one about certificates.
_CERTIFICATES, _EXPLICIT_KEYS, _SHA1, _SIGNED_BY, _SHA256 = range(1, 6)
_SERIALS, _RANGE, _BITMAP, _KEY_IDS = range(0x20, 0x24)


class RevokedKeys:
    """
    Keys that are refused: by themselves, in a certificate, and as the
    authority that has signed one.
    """

    def __init__(self, keys: Iterable[Key] = (), path: str | os.PathLike[str] | None = None) -> None:
        """
        @param keys: the keys.
        @param path: a file with more of them, one in each line, or a key
            revocation list. It is read again for each login; while it cannot
            be read nobody logs in with a key.
        """
        self._keys = frozenset(key.plain().blob() for key in keys)
        self._path = path

    def check(self, key: Key) -> None:
        """
        Return if the key is not revoked.

        @raise UnauthorizedLogin: it is, or its authority, or nobody can say.
        """
        found = _List()
        found.keys |= self._keys
        if self._path is not None:
            try:
                content = readRegularFile(self._path, MAXIMUM_AUTHORIZED_KEYS_SIZE)
                found.read(content)
            except OSError as error:
                raise self._unreadable(error.strerror) from None
            except ConchError as error:
                raise self._unreadable(error) from None
        if found.has(key):
            raise UnauthorizedLogin("the key is revoked")

    def _unreadable(self, why: object) -> UnauthorizedLogin:
        return UnauthorizedLogin(
            f"no key is accepted, as the list of revoked keys, {safe(os.fspath(self._path or ''))}, "
            f"cannot be read: {why}"
        )


class _List:
    """
    What a file revokes.
    """

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self._sha1: set[bytes] = set()
        self._sha256: set[bytes] = set()
        # By authority; an empty one stands for all.
        self._ranges: list[tuple[bytes, int, int]] = []
        self._bitmaps: list[tuple[bytes, int, int]] = []
        self._keyIDs: set[tuple[bytes, bytes]] = set()

    def has(self, key: Key) -> bool:
        if self._hasBlob(key.plain().blob()) or self._hasBlob(key.blob()):
            return True
        certificate = key.certificate
        return certificate is not None and (
            self._hasBlob(certificate.signatureKey) or self._hasCertificate(certificate)
        )

    def _hasBlob(self, blob: bytes) -> bool:
        return (
            blob in self.keys
            or hashlib.sha1(blob, usedforsecurity=False).digest() in self._sha1
            or hashlib.sha256(blob).digest() in self._sha256
        )

    def _hasCertificate(self, certificate: Certificate) -> bool:
        serial = certificate.serial
        authorities = (b"", certificate.signatureKey)
        return (
            any((authority, certificate.keyID) in self._keyIDs for authority in authorities)
            # OpenSSH counts serial 0 as none.
            or (
                serial != 0
                and (
                    any(one in authorities and low <= serial <= high for one, low, high in self._ranges)
                    or any(
                        one in authorities and serial >= base and bits >> (serial - base) & 1
                        for one, base, bits in self._bitmaps
                        if serial - base < bits.bit_length()
                    )
                )
            )
        )

    def read(self, content: bytes) -> None:
        """
        @raise ConchError: it is no list.
        """
        if content.startswith(_MAGIC):
            self._readKRL(Reader(content, "key revocation list"))
            return
        from conchlite.ssh.keys import Key

        for number, line in enumerate(content.split(b"\n"), 1):
            stripped = line.strip()
            if stripped and not stripped.startswith(b"#"):
                try:
                    self.keys.add(Key.fromString(stripped, type="public_openssh").plain().blob())
                except ConchError as error:
                    # A key that is left out here would be let in.
                    raise InvalidEntry(f"line {number}: {error}") from None

    def _readKRL(self, reader: Reader) -> None:
        reader.fixed(len(_MAGIC))
        version = reader.uint32()
        if version != _VERSION:
            raise MalformedMessage(f"a key revocation list of version {version}")
        reader.uint64(), reader.uint64(), reader.uint64()  # Its number, its date, its flags.
        reader.string(), reader.string()  # Reserved, and a comment.
        while reader.remaining():
            kind = reader.byte()
            section = Reader(reader.string(), "section of a key revocation list")
            if kind == _SIGNED_BY:
                # Of who made the list, behind his key; OpenSSH has given them up.
                reader.string()
                continue
            if kind == _CERTIFICATES:
                self._readCertificates(section)
                continue
            found = {_EXPLICIT_KEYS: self.keys, _SHA1: self._sha1, _SHA256: self._sha256}.get(kind)
            if found is None:
                raise MalformedMessage(f"a key revocation list with a section {kind}")
            while section.remaining():
                found.add(section.string())

    def _readCertificates(self, section: Reader) -> None:
        authority = section.string()
        section.string()
        while section.remaining():
            kind = section.byte()
            part = Reader(section.string(), "section of a key revocation list")
            if kind == _RANGE:
                self._ranges.append((authority, part.uint64(), part.uint64()))
            elif kind == _BITMAP:
                base = part.uint64()
                self._bitmaps.append((authority, base, int.from_bytes(part.string(), "big")))
            elif kind in (_SERIALS, _KEY_IDS):
                while part.remaining():
                    if kind == _SERIALS:
                        serial = part.uint64()
                        self._ranges.append((authority, serial, serial))
                    else:
                        self._keyIDs.add((authority, part.string()))
            else:
                raise MalformedMessage(f"a key revocation list with a section {kind:#x}")
            part.end()
