"""
Learning which keys a known server takes next: C{UpdateHostKeys} of
ssh_config(5), by what L{conchlite.ssh.hostkeyproof} has the server prove.

It is for a server that one line of the first known hosts file names, and
names exactly: what a pattern says is for many hosts, and what a certificate
says is its authority's business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from conchlite.algorithms import catalogue
from conchlite.client.hostentries import CERT_AUTHORITY, Entry, HashedEntry, PlainEntry, keyTypeOf
from conchlite.client.hostkeys import Line, Records, ServerKey, serverKey
from conchlite.error import HostKeyRejected, safe
from conchlite.limits import MAXIMUM_HOST_KEYS

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key


def _names(entry: Entry, name: bytes) -> bool:
    """
    Whether an entry has just this name, or has it among others that are names
    all of them.
    """
    if isinstance(entry, HashedEntry):
        return entry.matchesHost(name)
    patterns = any(mark in hosts for hosts in entry.hostnames for mark in (b"*", b"?", b"!"))
    return not patterns and name in [hosts.lower() for hosts in entry.hostnames]


def rotationFor(records: Records, key: ServerKey) -> Rotation | None:
    """
    What learns the other keys of a server that was verified; L{None} if it was
    verified by something else than a line for this very host.

    @param records: what knows it; the first of its files is changed.
    @param key: the key that it has shown.
    """
    if key.certificate is not None:
        return None
    lines = list(records.lines(key.name))
    if any(line.entry.marker == CERT_AUTHORITY for line in lines):
        return None
    own = [line for line in lines if not line.entry.marker]
    if any(line.file is not records.files[0] or not _names(line.entry, key.name) for line in own):
        # Another file, or a pattern, would go on trusting what is taken away.
        return None
    for line in own:
        if line.entry.matchesKey(key.blob):
            return Rotation(records, key, line)
    return None


class Rotation:
    """
    Puts the keys that a server has proved to be its own in place of those that
    it has no more.
    """

    _log = Logger()

    def __init__(self, records: Records, key: ServerKey, line: Line) -> None:
        """
        @param line: the line by which it was verified.
        """
        self._records = records
        self._key = key
        self._line = line

    def received(self, keys: Sequence[Key], algorithms: Sequence[bytes]) -> None:
        """
        The server has announced these keys, and proved that they are its own.

        @param algorithms: the signature algorithms that were accepted: a key
            for none of them may be in use without being among C{keys}.
        @raise ConchError: the file cannot be read.
        @raise OSError: it cannot be written.
        """
        blobs = [key.blob() for key in keys if not key.isCertificate()]
        if not 0 < len(blobs) <= MAXIMUM_HOST_KEYS or self._key.blob not in blobs:
            return
        lines = list(self._records.lines(self._key.name))
        known = [line.entry.blob for line in lines if not line.entry.marker]
        if self._line.entry.blob not in known:
            # Somebody took it out meanwhile.
            return
        new = [blob for blob in blobs if blob not in known and self._mayBeAdded(blob)]
        types = {catalogue.keyTypeOfSignature(algorithm) for algorithm in algorithms}
        file = self._records.files[0]

        def isOld(entry: Entry) -> bool:
            return (
                not entry.marker
                and entry.keyType in types
                and entry.blob not in blobs
                and _isAbout(entry, self._key.name)
            )

        if new or any(isOld(line.entry) for line in lines):
            file.replaceKeys([self._entry(blob) for blob in new], isOld)
            self._log.info(
                "{path}: the keys of {host} are those that it has now; {count} are new",
                path=file.path,
                host=safe(self._key.name),
                count=len(new),
            )

    def _mayBeAdded(self, blob: bytes) -> bool:
        try:
            self._records.refuseRevoked(serverKey(self._key.host, self._key.port, blob, alias=self._alias()))
        except HostKeyRejected as error:
            self._log.warn("a host key that was announced is not learned: {error}", error=error)
            return False
        return True

    def _alias(self) -> str | None:
        return self._key.host if self._key.alias else None

    def _entry(self, blob: bytes) -> Entry:
        if isinstance(self._line.entry, HashedEntry):
            return HashedEntry.forHost(self._key.name, blob, os.urandom)
        return PlainEntry([self._key.name], keyTypeOf(blob), blob, None)


def _isAbout(entry: Entry, name: bytes) -> bool:
    # A line that names others too is theirs as well.
    return _names(entry, name) and (isinstance(entry, HashedEntry) or len(entry.hostnames) == 1)
