"""
The lines of a known hosts file.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: a line holds an
optional marker, the host's names in clear or as one hash, the key's type, the
key in base64 and a comment.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from conchlite.algorithms import catalogue
from conchlite.error import BadKeyError, InvalidEntry, MalformedMessage, safe
from conchlite.ssh.patterns import matchesPattern
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

REVOKED = b"@revoked"
CERT_AUTHORITY = b"@cert-authority"

_BLANKS = re.compile(rb"[ \t]+")
_SALT_SIZE = hashlib.sha1(usedforsecurity=False).digest_size


def hostPattern(host: str | bytes, port: int = 22) -> bytes:
    """
    A host as known hosts files name it: alone for port 22, else C{[host]:port}.
    """
    name = host.encode("utf-8") if isinstance(host, str) else host
    return name.lower() if port == 22 else b"[%s]:%d" % (name.lower(), port)


def keyBlob(key: Key | bytes) -> bytes:
    """
    A key's blob: what RFC 4253 section 6.6 sends.
    """
    return key if isinstance(key, bytes) else key.blob()


def keyTypeOf(blob: bytes) -> bytes:
    """
    The name of the type that a blob begins with.

    @raise MalformedMessage: the blob has none.
    """
    return Reader(blob, "public key").string()


def picture(blob: bytes) -> str:
    """
    A key's fingerprint as a picture, which is easier to compare than to read:
    several lines, or nothing for a type of key that is not known here.
    """
    from conchlite.ssh.randomart import randomart

    try:
        return randomart(blob)
    except (MalformedMessage, BadKeyError):
        return ""


class _Entry:
    """
    What a line says of a key, however it names the host.

    @ivar keyType: the type's name.
    @ivar comment: what follows the key, or L{None}.
    @ivar marker: L{REVOKED}, L{CERT_AUTHORITY}, or empty for a host's own key.
    """

    def __init__(
        self, keyType: bytes, publicKey: Key | bytes, comment: bytes | None, marker: bytes = b""
    ) -> None:
        self.keyType = keyType
        self.comment = comment
        self.marker = marker
        self.blob = keyBlob(publicKey)

    @property
    def publicKey(self) -> Key:
        """
        The key.

        @raise BadKeyError: it is of a type that is not known here.
        """
        from conchlite.ssh.keys import Key

        return Key.fromString(self.blob, type="blob")

    def matchesKey(self, key: Key | bytes) -> bool:
        """
        Whether the entry's key is this one.
        """
        return self.blob == keyBlob(key)

    def matchesHost(self, hostname: bytes) -> bool:
        """
        Whether the entry is about this host.

        @param hostname: as L{hostPattern} makes it.
        """
        raise NotImplementedError

    def _toString(self, hosts: bytes) -> bytes:
        encoded = binascii.b2a_base64(self.blob, newline=False)
        fields = [self.marker, hosts, self.keyType, encoded, self.comment or b""]
        return b" ".join(field for field in fields if field)


class PlainEntry(_Entry):
    """
    An entry with the host's names and patterns in clear.
    """

    def __init__(
        self,
        hostnames: Sequence[bytes],
        keyType: bytes,
        publicKey: Key | bytes,
        comment: bytes | None,
        marker: bytes = b"",
    ) -> None:
        """
        @param hostnames: names, addresses and patterns; one that begins with
            C{!} says of whom the entry is not.
        """
        super().__init__(keyType, publicKey, comment, marker)
        self.hostnames = tuple(hostnames)

    @classmethod
    def fromString(cls, string: bytes) -> PlainEntry:
        """
        @raise InvalidEntry: the line cannot be read.
        """
        hosts, keyType, blob, comment, marker = _fields(string)
        if hosts.startswith(HashedEntry.MAGIC):
            raise InvalidEntry("a hashed entry")
        return cls(hosts.split(b","), keyType, blob, comment, marker)

    def matchesHost(self, hostname: bytes) -> bool:
        hostname = hostname.lower()
        found = False
        for pattern in self.hostnames:
            if matchesPattern(hostname, pattern.removeprefix(b"!").lower()):
                if pattern.startswith(b"!"):
                    return False
                found = True
        return found

    def toString(self) -> bytes:
        """
        The entry as a line of a file, without its end.
        """
        return self._toString(b",".join(self.hostnames))


class HashedEntry(_Entry):
    """
    An entry that knows the host's name when it sees it, and does not tell it:
    an HMAC-SHA1 of the name under a salt.

    @cvar MAGIC: what the field of such an entry begins with.
    """

    MAGIC: ClassVar[bytes] = b"|1|"

    def __init__(
        self,
        hostSalt: bytes,
        hostHash: bytes,
        keyType: bytes,
        publicKey: Key | bytes,
        comment: bytes | None,
        marker: bytes = b"",
    ) -> None:
        super().__init__(keyType, publicKey, comment, marker)
        self.hostSalt = hostSalt
        self.hostHash = hostHash

    @classmethod
    def forHost(cls, hostname: bytes, key: Key | bytes, randomBytes: Callable[[int], bytes]) -> HashedEntry:
        """
        A new entry, under a salt of its own.
        """
        salt, blob = randomBytes(_SALT_SIZE), keyBlob(key)
        return cls(salt, _hostHash(salt, hostname.lower()), keyTypeOf(blob), blob, None)

    @classmethod
    def fromString(cls, string: bytes) -> HashedEntry:
        """
        @raise InvalidEntry: the line cannot be read.
        """
        hosts, keyType, blob, comment, marker = _fields(string)
        parts = hosts.removeprefix(cls.MAGIC).split(b"|")
        if not hosts.startswith(cls.MAGIC) or len(parts) != 2:
            raise InvalidEntry("no hashed entry")
        salt, digest = map(_decode, parts)
        if len(salt) != _SALT_SIZE or len(digest) != _SALT_SIZE:
            raise InvalidEntry("a hash of the wrong size")
        return cls(salt, digest, keyType, blob, comment, marker)

    def matchesHost(self, hostname: bytes) -> bool:
        return hmac.compare_digest(_hostHash(self.hostSalt, hostname.lower()), self.hostHash)

    def toString(self) -> bytes:
        """
        The entry as a line of a file, without its end.
        """
        salt, digest = (binascii.b2a_base64(part, newline=False) for part in (self.hostSalt, self.hostHash))
        return self._toString(self.MAGIC + salt + b"|" + digest)


class UnparsedEntry:
    """
    A line that is no entry: a comment, an empty one, or one that cannot be read.
    """

    def __init__(self, string: bytes) -> None:
        self._string = string

    def matchesHost(self, hostname: bytes) -> bool:
        """
        It is about no host.
        """
        return False

    def matchesKey(self, key: Key | bytes) -> bool:
        """
        It has no key.
        """
        return False

    def toString(self) -> bytes:
        """
        The line, as it was read.
        """
        return self._string


def _hostHash(salt: bytes, hostname: bytes) -> bytes:
    return hmac.digest(salt, hostname, "sha1")


def _decode(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as e:
        raise InvalidEntry(f"bad base64: {e}") from e


def _fields(line: bytes) -> tuple[bytes, bytes, bytes, bytes | None, bytes]:
    """
    A line's hosts, type of key, key, comment and marker.
    """
    line = line.strip(b" \t\r\n")
    marker = b""
    if line.startswith(b"@"):
        marker, _, line = (_BLANKS.sub(b" ", line, count=1)).partition(b" ")
        if marker not in (REVOKED, CERT_AUTHORITY):
            raise InvalidEntry(f"unknown marker {safe(marker)}")
    fields = _BLANKS.split(line, maxsplit=3)
    if len(fields) < 3:
        raise InvalidEntry("too few fields")
    hosts, keyType, encoded = fields[:3]
    blob = _decode(encoded)
    try:
        reader = Reader(blob, "public key")
        ownType = reader.string()
        # All that a key of a known type has is strings; what more there is to
        # it is looked at when a server shows it.
        while ownType in catalogue.keyTypes() and reader.remaining():
            reader.stringView()
    except MalformedMessage as e:
        raise InvalidEntry("no public key") from e
    if ownType != keyType:
        raise InvalidEntry(f"{safe(keyType)} with a key of type {safe(ownType)}")
    return hosts, keyType, blob, fields[3] if len(fields) > 3 else None, marker


Entry = PlainEntry | HashedEntry


def parseLine(line: bytes) -> Entry:
    """
    @param line: a line of a known hosts file.
    @raise InvalidEntry: it cannot be read.
    """
    hosts = line.lstrip(b" \t\r\n")
    if hosts.startswith(b"@"):
        hosts = (*_BLANKS.split(hosts, maxsplit=1), b"")[1]
    return (HashedEntry if hosts.startswith(b"|") else PlainEntry).fromString(line)
