"""
Known hosts files: which host has which key.

A line that cannot be read is never a reason to lose another one: it is passed
over and stays in the file as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from conchlite.client.consoleui import ConsoleUI, UserInterface
from conchlite.client.filelock import change
from conchlite.client.hostentries import (
    CERT_AUTHORITY,
    REVOKED,
    Entry,
    HashedEntry,
    PlainEntry,
    UnparsedEntry,
    hostPattern,
    keyBlob,
    keyTypeOf,
    parseLine,
    picture,
)
from conchlite.error import (
    ConchError,
    HostKeyChanged,
    HostKeyRejected,
    InvalidEntry,
    UserRejectedKey,
    safe,
)
from conchlite.files import readRegularFile
from conchlite.ssh.fingerprints import fingerprint

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

__all__ = [
    "ConsoleUI",
    "HashedEntry",
    "KnownHostsFile",
    "PlainEntry",
    "UnparsedEntry",
    "UserInterface",
    "hostPattern",
]

#: A path as Python has them.
_Path: TypeAlias = str | bytes | os.PathLike[str]

#: The most bytes that a known hosts file may have.
MAXIMUM_FILE_SIZE = 16 * 1024 * 1024

#: The most bytes that a line is read with; a longer one is passed over.
MAXIMUM_LINE_SIZE = 1024 * 1024


def question(hostname: bytes, address: bytes | None, blob: bytes) -> bytes:
    """
    What a person is asked about a host that is not known.

    @param hostname: as L{hostPattern} makes it.
    @param address: likewise, if it is known.
    @param blob: the key.
    """
    where = "" if address in (None, hostname) else f" ({safe(address)})"
    drawn = picture(blob)
    if drawn:
        drawn += "\n"
    return (
        f"The host {safe(hostname)}{where} is not known.\n"
        f"Its {safe(keyTypeOf(blob))} key has the fingerprint {fingerprint(blob)}.\n"
        f"{drawn}Go on connecting, and remember the key (yes/no)? "
    ).encode()


class KnownHostsFile:
    """
    A file of known hosts, and what is to be added to it.

    The file is read anew at each question: another program may have changed it.
    """

    _log = Logger()

    def __init__(
        self,
        savePath: FilePath[str] | FilePath[bytes] | _Path,
        randomBytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        A file that L{save} overwrites with what was added. To keep what is in
        a file, use L{fromPath}.

        @param savePath: where it is; a path will do.
        @param randomBytes: where the salts of the hashed entries come from.
        """
        self._savePath: FilePath[str] | FilePath[bytes] = (
            savePath if isinstance(savePath, FilePath) else FilePath(os.fsdecode(savePath))
        )
        self._path = os.fsdecode(self._savePath.path)
        self._randomBytes = randomBytes
        self._added: list[Entry] = []
        self._overwrite = True

    @classmethod
    def fromPath(
        cls, path: FilePath[str] | FilePath[bytes] | _Path, randomBytes: Callable[[int], bytes] = os.urandom
    ) -> KnownHostsFile:
        """
        The file at C{path}, which may not exist yet.
        """
        knownHosts = cls(path, randomBytes)
        knownHosts._overwrite = False
        return knownHosts

    @property
    def savePath(self) -> FilePath[str] | FilePath[bytes]:
        """
        Where the file is.
        """
        return self._savePath

    @property
    def path(self) -> str:
        """
        Where the file is, as text.
        """
        return self._path

    def iterentries(self) -> Iterator[Entry | UnparsedEntry]:
        """
        All entries: what was added, then the file's lines in their order.

        @raise ConchError: the file cannot be read.
        """
        yield from self._added
        if not self._overwrite:
            for _, entry in self._readEntries():
                yield entry

    def entriesFor(self, hostname: bytes) -> Iterator[tuple[int, Entry]]:
        """
        The entries that are about a host, with the number of their line, from
        1; 0 for one that was not saved yet. Certificate authorities are left out.

        @param hostname: as L{hostPattern} makes it.
        @raise ConchError: the file cannot be read.
        """
        return ((n, entry) for n, entry in self.allEntriesFor(hostname) if entry.marker != CERT_AUTHORITY)

    def allEntriesFor(self, hostname: bytes) -> Iterator[tuple[int, Entry]]:
        """
        As L{entriesFor}, with the certificate authorities.
        """
        for entry in self._added:
            if entry.matchesHost(hostname):
                yield 0, entry
        if self._overwrite:
            return
        for number, read in self._readEntries():
            if not isinstance(read, UnparsedEntry) and read.matchesHost(hostname):
                yield number, read

    def _readEntries(self) -> Iterator[tuple[int, Entry | UnparsedEntry]]:
        lines = self._read().split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, 1):
            if _isBlank(line):
                yield number, UnparsedEntry(line)
                continue
            try:
                if len(line) > MAXIMUM_LINE_SIZE:
                    raise InvalidEntry(f"a line of {len(line)} bytes")
                yield number, parseLine(line)
            except InvalidEntry as e:
                self._log.warn(
                    "{path}, line {number}: {error}; the line is passed over",
                    path=self._path,
                    number=number,
                    error=e.value,
                )
                yield number, UnparsedEntry(line)

    def _read(self) -> bytes:
        try:
            return readRegularFile(self._path, MAXIMUM_FILE_SIZE)
        except FileNotFoundError:
            return b""
        except OSError as e:
            raise ConchError(f"known hosts file {self._path}: {e.strerror}") from e

    def endsWithinLine(self) -> bool:
        """
        Whether the last line has no end, so that what is appended would become part of it.

        @raise ConchError: the file cannot be read.
        """
        return self._read()[-1:] not in (b"", b"\n")

    def hasHostKey(self, hostname: bytes, key: Key | bytes) -> bool:
        """
        Whether the host is known to have this key.

        @param hostname: as L{hostPattern} makes it.
        @raise HostKeyChanged: the host has other keys of this type, and not this one.
        @raise HostKeyRejected: the key is marked as revoked.
        @raise ConchError: the file cannot be read.
        """
        blob = keyBlob(key)
        keyType = keyTypeOf(blob)
        found = False
        changed: tuple[int, Entry] | None = None
        for number, entry in self.entriesFor(hostname):
            if entry.marker == REVOKED:
                if entry.matchesKey(blob):
                    raise HostKeyRejected(
                        f"the host key {safe(keyType)} {fingerprint(blob)} of {safe(hostname)} "
                        f"is revoked by {self._path}, line {number}"
                    )
            elif entry.matchesKey(blob):
                found = True
            elif changed is None and entry.keyType == keyType:
                changed = number, entry
        if changed is not None and not found:
            raise self._changed(hostname, blob, *changed)
        return found

    def _changed(self, hostname: bytes, blob: bytes, number: int, entry: Entry) -> HostKeyChanged:
        return HostKeyChanged(
            entry,
            self._savePath,
            number,
            f"the host key of {safe(hostname)} has changed: the server offers {safe(keyTypeOf(blob))} "
            f"{fingerprint(blob)}, and {self._path}, line {number}, has {fingerprint(entry.blob)}",
        )

    def verifyHostKey(
        self, ui: UserInterface, hostname: bytes, ip: bytes, key: Key | bytes
    ) -> Deferred[bool]:
        """
        Decide about a server's key, by asking the user where the file does
        not know the host; what the user accepts is added and saved.

        @param hostname: the host's name, as L{hostPattern} makes it.
        @param ip: its address, likewise.
        @return: fires with True; fails with L{UserRejectedKey}, L{HostKeyChanged} or
            L{HostKeyRejected}, and with what C{ui} fails with. Cancelling it
            cancels the question.
        """
        return maybeDeferred(self._verifyHostKey, ui, hostname, ip, keyBlob(key))

    def _verifyHostKey(self, ui: UserInterface, hostname: bytes, ip: bytes, blob: bytes) -> Deferred[bool]:
        keyType, shown = safe(keyTypeOf(blob)), fingerprint(blob)
        if self.hasHostKey(hostname, blob):
            if not self.hasHostKey(ip, blob):
                self.addHostKey(ip, blob)
                self.save()
                ui.warn(
                    f"The {keyType} host key was added for the address {safe(ip)} to {self._path}.\n".encode()
                )
            return succeed(True)

        def answered(accepted: bool) -> bool:
            if accepted is not True:
                raise UserRejectedKey(f"the host key {keyType} {shown} of {safe(hostname)} was not accepted")
            for name in dict.fromkeys((hostname, ip)):
                self.addHostKey(name, blob)
            self.save()
            return True

        # The address may be known with another key: that is no question for the user.
        self.hasHostKey(ip, blob)
        return ui.prompt(question(hostname, ip, blob)).addCallback(answered)

    def addHostKey(self, hostname: bytes, key: Key | bytes) -> HashedEntry:
        """
        Add an entry, with the host's name hashed. It counts at once, and is
        in the file after L{save}.

        @param hostname: as L{hostPattern} makes it.
        """
        entry = HashedEntry.forHost(hostname, key, self._randomBytes)
        self._added.append(entry)
        return entry

    def save(self) -> None:
        """
        Write what was added, behind what is in the file by now. The file has
        its old content or all of the new, whatever happens meanwhile.

        @raise ConchError: what is there cannot be read, or another program
            keeps the file to itself.
        @raise OSError: the file cannot be written.
        """
        added = b"".join(entry.toString() + b"\n" for entry in self._added)
        if self._overwrite:
            change(self._path, MAXIMUM_FILE_SIZE, lambda content: added)
        else:
            change(self._path, MAXIMUM_FILE_SIZE, lambda content: _ended(content) + added)
        self._added = []
        self._overwrite = False

    def removeHost(self, hostname: bytes) -> int:
        """
        Forget all keys of a host, as C{ssh-keygen -R} does: each line that is
        about it goes, with what other names it has. Authorities, revoked keys
        and what cannot be read stay, and so does every other line as it is.

        @param hostname: as L{hostPattern} makes it.
        @return: how many lines are gone.
        @raise ConchError: the file cannot be read, or another program keeps it
            to itself.
        @raise OSError: it cannot be written.
        """
        return self._remove(lambda entry: entry.matchesHost(hostname))

    def remove(self, key: Key | bytes) -> int:
        """
        Forget a key, of whichever hosts; otherwise as L{removeHost}.
        """
        return self._remove(lambda entry: entry.matchesKey(key))

    def replaceKeys(
        self, add: Sequence[Entry], unwanted: Callable[[Entry], bool] = lambda entry: False
    ) -> None:
        """
        Add entries, and take others away, at once and on the disk.

        @param unwanted: whether the line of an entry is taken away.
        @raise ConchError: the file cannot be read, or another program keeps it
            to itself.
        @raise OSError: it cannot be written.
        """
        added = b"".join(entry.toString() + b"\n" for entry in add)

        def edit(content: bytes) -> bytes:
            return _ended(without(content, unwanted)) + added

        change(self._path, MAXIMUM_FILE_SIZE, edit)

    def _remove(self, unwanted: Callable[[Entry], bool]) -> int:
        removed = 0

        def counted(entry: Entry) -> bool:
            nonlocal removed
            if entry.marker or not unwanted(entry):
                return False
            removed += 1
            return True

        self._added = [entry for entry in self._added if not counted(entry)]
        unsaved, content = removed, b"" if self._overwrite else self._read()
        # What is not there has nothing to lose, and is not made for it.
        if without(content, counted) != content:
            removed = unsaved
            change(self._path, MAXIMUM_FILE_SIZE, lambda content: without(content, counted))
        return removed


def _ended(content: bytes) -> bytes:
    return content if content[-1:] in (b"", b"\n") else content + b"\n"


def without(content: bytes, unwanted: Callable[[Entry], bool]) -> bytes:
    """
    A file's content without some of its lines, and every other as it is.

    @param unwanted: whether the line of an entry is left out.
    """
    kept = []
    # Only at a line feed: a carriage return is part of a line.
    for line in re.findall(rb"[^\n]*\n|[^\n]+", content):
        try:
            if len(line) <= MAXIMUM_LINE_SIZE and not _isBlank(line) and unwanted(parseLine(line)):
                continue
        except InvalidEntry:
            pass
        kept.append(line)
    return b"".join(kept)


def _isBlank(line: bytes) -> bool:
    text = line.strip(b" \t\r\n")
    return not text or text.startswith(b"#")
