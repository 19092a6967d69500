"""
The verdict on a server's host key.

With known hosts files, a key that no file has for the host is refused, and so
is one that differs from what a file has: nobody is asked, and nothing is
learned. Each refusal names the key's fingerprint, the file and the line, and
the command that sets it right.
"""

from __future__ import annotations

import binascii
import os
import shlex
from collections.abc import Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Protocol

from twisted.python.filepath import FilePath

from conchlite.algorithms.catalogue import keyTypeOfSignature
from conchlite.client.hostentries import REVOKED, fingerprint, hostPattern, keyTypeOf
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.error import HostKeyChanged, HostKeyRejected, HostKeyUnknown, safe

#: Where OpenSSH's own client looks: the user's file and the machine's.
DEFAULT_PATHS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


class HostKeyPolicy(Protocol):
    """
    Whom a client trusts.
    """

    def verify(self, host: str, port: int, hostKey: bytes) -> None:
        """
        Return where the server is the one that is meant.

        @param hostKey: the key's blob, of which the server has proved that it is its own.
        @raise HostKeyRejected: it is not.
        """

    def order(self, host: str, port: int, algorithms: Sequence[bytes]) -> list[bytes]:
        """
        The signature algorithms to offer for the host's key, most preferred first.
        """


class PinnedFingerprint:
    """
    Trusts the one key that has this fingerprint.

    @ivar verified: whether a server has shown it.
    """

    def __init__(self, sha256: str) -> None:
        """
        @param sha256: the fingerprint as ssh(1) shows it: C{SHA256:} and base64.
        """
        self._sha256 = sha256
        self.verified = False

    def verify(self, host: str, port: int, hostKey: bytes) -> None:
        """
        Return where the key has the fingerprint.

        @raise HostKeyRejected: it has another one.
        """
        offered = fingerprint(hostKey)
        if not compare_digest(offered, self._sha256):
            raise HostKeyRejected(
                f"the host key of {safe(hostPattern(host, port))} has the fingerprint {offered}, "
                f"and not {self._sha256}"
            )
        self.verified = True

    def order(self, host: str, port: int, algorithms: Sequence[bytes]) -> list[bytes]:
        """
        As they are: of what type the key is, a fingerprint does not tell.
        """
        return list(algorithms)


class HostKeys:
    """
    What several known hosts files say together.

    @cvar knownTypesFirst: let L{order} put the types of known keys first.
    """

    knownTypesFirst = True

    def __init__(self, files: Sequence[KnownHostsFile]) -> None:
        """
        @param files: the files, at least one. A refusal names the first one
            as where a key is to be added.
        """
        self._files = tuple(files)

    @classmethod
    def fromPaths(cls, paths: Sequence[str] = DEFAULT_PATHS) -> HostKeys:
        """
        @param paths: the files' paths; C{~} is the user's home. A file that
            does not exist knows no host.
        """
        return cls([KnownHostsFile.fromPath(FilePath(str(Path(path).expanduser()))) for path in paths])

    def verify(self, host: str, port: int, hostKey: bytes) -> None:
        """
        Return where the host is known to have this key.

        @param hostKey: the key's blob.
        @raise HostKeyUnknown: no file has a key of this type for the host.
        @raise HostKeyChanged: they have other keys of this type.
        @raise HostKeyRejected: the key is marked as revoked.
        @raise ConchError: a file cannot be read.
        """
        name = hostPattern(host, port)
        found = False
        changed: HostKeyChanged | None = None
        for file in self._files:
            try:
                # Every file is asked, for any of them may revoke the key.
                found = file.hasHostKey(name, hostKey) or found
            except HostKeyChanged as e:
                changed = changed or e
        if found:
            return
        if changed is None:
            raise HostKeyUnknown(self._unknownText(name, hostKey))
        path = shlex.quote(_pathText(changed.path))
        raise HostKeyChanged(
            changed.offendingEntry,
            changed.path,
            changed.lineno,
            f"{changed.value}; if the host was really given a new key, remove that line, with: "
            f"ssh-keygen -f {path} -R {shlex.quote(safe(name))}",
        )

    def _unknownText(self, name: bytes, hostKey: bytes) -> str:
        keyType = safe(keyTypeOf(hostKey))
        paths = " and ".join(file.path for file in self._files)
        others = "".join(
            f" ({file.path}, line {number}, has a key of type {safe(entry.keyType)})"
            for file in self._files
            for number, entry in file.entriesFor(name)
            if entry.marker != REVOKED
        )
        encoded = binascii.b2a_base64(hostKey, newline=False).decode("ascii")
        cure = _appending(f"{safe(name)} {keyType} {encoded}", self._files[0])
        return (
            f"the host key of {safe(name)} is not known: {keyType} {fingerprint(hostKey)} is not in {paths}"
            f"{others}; if that is the server's fingerprint, add the key, with: {cure}"
        )

    def order(self, host: str, port: int, algorithms: Sequence[bytes]) -> list[bytes]:
        """
        The signature algorithms to offer for the host's key, most preferred
        first: those of known keys come first, so that a server with several
        keys shows one that can be verified.

        The order is left alone when the type that it begins with is known
        anyway: it would only tell an eavesdropper who has been here before
        (CVE-2020-14145). A subclass whose C{knownTypesFirst} is false never
        tells it, and may meet a key that it does not know although the server
        has one that it does.

        @raise ConchError: a file cannot be read.
        """
        name = hostPattern(host, port)
        known = {
            entry.keyType
            for file in self._files
            for _, entry in file.entriesFor(name)
            if entry.marker != REVOKED
        }
        if not algorithms or not self.knownTypesFirst or keyTypeOfSignature(algorithms[0]) in known:
            return list(algorithms)
        # Sorting is stable: within the known and the unknown the order remains.
        return sorted(algorithms, key=lambda algorithm: keyTypeOfSignature(algorithm) not in known)


def _appending(line: str, file: KnownHostsFile) -> str:
    """
    The shell's command that adds a line to a file as it is now.
    """
    directory, path = os.path.dirname(file.path), shlex.quote(file.path)
    if not os.path.isdir(directory or "."):
        return f"mkdir -p -m 700 {shlex.quote(directory)} && echo {shlex.quote(line)} >> {path}"
    if file.endsWithinLine():
        return f"printf '\\n%s\\n' {shlex.quote(line)} >> {path}"
    return f"echo {shlex.quote(line)} >> {path}"


def _pathText(path: object) -> str:
    return path.path if isinstance(path, FilePath) else str(path)
