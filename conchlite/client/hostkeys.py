"""
What is known of a server's host key: the one judgement that every policy
starts from.

What known hosts files say is read as ssh(1) reads it, all files together:

  - a key that a C{@revoked} line has is refused, whatever else is said of it,
    be it the server's own, that in its certificate, or its authority's;
  - a certificate is good if a C{@cert-authority} line has its authority, and
    L{conchlite.ssh.certificates} finds nothing wrong; else it is no more than
    the key in it;
  - a key that a line has for the host is good;
  - where lines have other keys of its type for the host, it has changed, and
    that is refused;
  - else the server is unknown, and the policy is asked.

A server on another port than 22 is looked for as C{[host]:port}, and, where
nothing has that, as C{host}.
"""

from __future__ import annotations

import binascii
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from twisted.python.filepath import FilePath

from conchlite.algorithms import catalogue
from conchlite.client.hostentries import (
    CERT_AUTHORITY,
    REVOKED,
    Entry,
    hostPattern,
    keyTypeOf,
    picture,
)
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.error import (
    BadKeyError,
    CertificateRejected,
    HostKeyChanged,
    HostKeyRejected,
    HostKeyUnknown,
    MalformedMessage,
    safe,
)
from conchlite.ssh.fingerprints import fingerprint

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate

#: Where OpenSSH's own client looks: the user's file and the machine's.
DEFAULT_PATHS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

#: What may be given as known hosts: a file, its path, several of either, or
#: L{None} for the usual files.
KnownHosts: TypeAlias = (
    KnownHostsFile
    | FilePath[str]
    | FilePath[bytes]
    | str
    | bytes
    | Sequence[KnownHostsFile | FilePath[str] | FilePath[bytes] | str | bytes]
    | None
)


def knownHostsFiles(knownHosts: KnownHosts) -> tuple[KnownHostsFile, ...]:
    """
    The files that are meant. In a path, C{~} is the user's home; a file that
    does not exist knows no host.
    """
    if knownHosts is None:
        knownHosts = DEFAULT_PATHS
    if isinstance(knownHosts, KnownHostsFile | FilePath | str | bytes):
        knownHosts = (knownHosts,)
    return tuple(
        given if isinstance(given, KnownHostsFile) else KnownHostsFile.fromPath(_filePath(given))
        for given in knownHosts
    )


def _filePath(path: FilePath[str] | FilePath[bytes] | str | bytes) -> FilePath[str]:
    return FilePath(os.path.expanduser(os.fsdecode(path.path if isinstance(path, FilePath) else path)))


class HostKeyPolicy(Protocol):
    """
    Whom a client trusts.
    """

    def verify(self, host: str, port: int, hostKey: bytes, address: str | None = None) -> object:
        """
        Return where the server is the one that is meant, or a Deferred that
        fires with True when that is found out; what else it fires with is no.

        @param host: the server, as the user names it.
        @param hostKey: the key's blob, or its certificate's, of which the
            server has proved that it is its own.
        @param address: where the connection goes to, if that is known.
        @raise HostKeyRejected: it is not.
        """

    def order(self, host: str, port: int, algorithms: Sequence[bytes]) -> list[bytes]:
        """
        The signature algorithms to offer for the host's key, most preferred first.
        """


class Line(NamedTuple):
    """
    An entry, and where it stands.

    @ivar file: the file.
    @ivar number: the line, from 1; 0 for one that was not saved yet.
    @ivar entry: what it says.
    """

    file: KnownHostsFile
    number: int
    entry: Entry

    def __str__(self) -> str:
        return f"{self.file.path}, line {self.number}"


@dataclass(frozen=True)
class ServerKey:
    """
    A server, and the key that it has shown: what is judged.

    @ivar host: the server, as the user names it.
    @ivar port: its port.
    @ivar name: the same as known hosts name it, C{host} or C{[host]:port}.
    @ivar blob: the key; that in the certificate, if the server has shown one.
    @ivar certificate: the certificate, or L{None}.
    @ivar address: where the connection goes to, if that is known.
    @ivar alias: whether C{host} is a name that only the known hosts have.
    """

    host: str
    port: int
    name: bytes
    blob: bytes
    certificate: Certificate | None
    address: str | None = None
    alias: bool = False

    @property
    def fingerprint(self) -> str:
        """
        The key's fingerprint, as OpenSSH prints it.
        """
        return fingerprint(self.blob)

    @property
    def keyType(self) -> bytes:
        """
        The key's type, without a certificate.
        """
        return keyTypeOf(self.blob)

    @property
    def picture(self) -> str:
        """
        The fingerprint as a picture of several lines.
        """
        return picture(self.blob)

    def described(self) -> str:
        """
        The key's type and fingerprint.
        """
        return f"{safe(self.keyType)} {self.fingerprint}"


def serverKey(
    host: str, port: int, hostKey: bytes, address: str | None = None, alias: str | None = None
) -> ServerKey:
    """
    @param hostKey: the key's blob, or its certificate's.
    @param alias: under which name the host is known, without its port.
    @raise HostKeyRejected: the certificate cannot be read.
    """
    name = hostPattern(host, port) if alias is None else hostPattern(alias)
    certificate = None
    try:
        keyType = keyTypeOf(hostKey)
        if catalogue.plainName(keyType) != keyType:
            from conchlite.algorithms.publickeys.signatures import readPublicKey

            certificate = cast("Certificate", readPublicKey(hostKey)[1])
            hostKey = certificate.plainBlob()
    except (MalformedMessage, BadKeyError) as e:
        raise HostKeyRejected(f"the host key of {safe(name)} cannot be read: {e}") from e
    return ServerKey(
        host if alias is None else alias, port, name, hostKey, certificate, address, alias is not None
    )


@dataclass(frozen=True)
class Known:
    """
    What the files say of a key that they do not refuse.

    @ivar line: what speaks for it; L{None} where nothing does.
    @ivar others: lines that have other types of key for the host.
    @ivar why: why its certificate is not good, if it is not.
    """

    line: Line | None
    others: tuple[Line, ...] = ()
    why: str = ""


class Records:
    """
    What several known hosts files say together.
    """

    def __init__(self, files: Sequence[KnownHostsFile], now: Callable[[], float]) -> None:
        """
        @param now: the time in seconds since 1970, for certificates.
        """
        self.files = tuple(files)
        self._now = now

    def lines(self, name: bytes) -> Iterator[Line]:
        """
        All that is about a host, authorities and revoked keys as well.

        @raise ConchError: a file cannot be read.
        """
        for file in self.files:
            for number, entry in file.allEntriesFor(name):
                yield Line(file, number, entry)

    def judge(self, key: ServerKey) -> Known:
        """
        What is known of a server's key.

        @raise HostKeyRejected: it is revoked.
        @raise HostKeyChanged: the host is known with other keys of this type.
        @raise ConchError: a file cannot be read.
        """
        lines = list(self.lines(key.name))
        _refuseRevoked(key, lines)
        known = self._found(key, lines)
        plain = [line for line in lines if not line.entry.marker]
        if known.line is None and not key.alias and key.port != 22:
            # As ssh(1) does: a host that is known, on another of its ports.
            bare = list(self.lines(hostPattern(key.host)))
            _refuseRevoked(key, bare)
            elsewhere = self._found(key, [line for line in bare if line.entry.marker or not plain])
            known = elsewhere if elsewhere.line is not None else known
        if known.line is not None:
            return known
        for line in plain:
            if line.entry.keyType == key.keyType:
                raise _changed(key, line)
        return Known(None, tuple(plain), known.why)

    def _found(self, key: ServerKey, lines: Sequence[Line]) -> Known:
        why = ""
        for line in lines:
            if key.certificate is not None and _isAuthority(line.entry, key.certificate):
                why = self._whyNot(key)
                if not why:
                    return Known(line)
        for line in lines:
            if not line.entry.marker and line.entry.matchesKey(key.blob):
                return Known(line)
        return Known(None, why=why)

    def _whyNot(self, key: ServerKey) -> str:
        from conchlite.ssh.certificates import judgeHostCertificate

        try:
            judgeHostCertificate(cast("Certificate", key.certificate), key.host, self._now())
        except CertificateRejected as e:
            return str(e)
        return ""

    def refuseRevoked(self, key: ServerKey) -> None:
        """
        @raise HostKeyRejected: the key is revoked for this host.
        """
        _refuseRevoked(key, list(self.lines(key.name)))

    def knownTypes(self, names: Sequence[bytes]) -> tuple[set[bytes], bool]:
        """
        The types of the keys that a host is known with, and whether an
        authority speaks for it.

        @param names: what it is known as.
        """
        entries = [line.entry for name in names for line in self.lines(name)]
        return (
            {entry.keyType for entry in entries if not entry.marker},
            any(entry.marker == CERT_AUTHORITY for entry in entries),
        )

    def unknown(self, key: ServerKey, known: Known) -> HostKeyUnknown:
        """
        The refusal of a server that nothing speaks for: it names what would
        change that.
        """
        shown = safe(key.name)
        error = HostKeyUnknown(
            f"the host key of {shown} is not known: {key.described()} is not in {self._paths()}"
            f"{_othersText(known)}{self._authorityText(key, known)}{self._cure(key)}"
        )
        return described(error, key)

    def _authorityText(self, key: ServerKey, known: Known) -> str:
        line = next((line for line in self.lines(key.name) if line.entry.marker == CERT_AUTHORITY), None)
        if line is None or known.why:
            return ""
        if key.certificate is None:
            return f" ({line}, has an authority for it, and the server shows no certificate)"
        return f" ({line}, has another authority than that of its certificate)"

    def _paths(self) -> str:
        return " and ".join(file.path for file in self.files) or "any known hosts file"

    def _cure(self, key: ServerKey) -> str:
        if not self.files:
            return ""
        encoded = binascii.b2a_base64(key.blob, newline=False).decode("ascii")
        cure = _appending(f"{safe(key.name)} {safe(key.keyType)} {encoded}", self.files[0])
        return f"; if that is the server's fingerprint, add the key, with: {cure}"


def _isAuthority(entry: Entry, certificate: Certificate) -> bool:
    return entry.marker == CERT_AUTHORITY and entry.matchesKey(certificate.signatureKey)


def _refuseRevoked(key: ServerKey, lines: Sequence[Line]) -> None:
    for line in lines:
        if line.entry.marker != REVOKED:
            continue
        if line.entry.matchesKey(key.blob):
            what = f"the host key {key.described()} of {safe(key.name)}"
        elif key.certificate is not None and line.entry.matchesKey(key.certificate.signatureKey):
            what = f"the authority {fingerprint(key.certificate.signatureKey)} of {safe(key.name)}"
        else:
            continue
        raise described(HostKeyRejected(f"{what} is revoked by {line}"), key)


def _changed(key: ServerKey, line: Line) -> HostKeyChanged:
    path = shlex.quote(line.file.path)
    error = HostKeyChanged(
        line.entry,
        line.file.savePath,
        line.number,
        f"the host key of {safe(key.name)} has changed: the server offers {key.described()}, "
        f"and {line}, has {fingerprint(line.entry.blob)}; "
        "somebody may be listening; if the host was really given a new key, remove that line, with: "
        f"ssh-keygen -f {path} -R {shlex.quote(safe(key.name))}",
    )
    return described(error, key)


_Rejected = TypeVar("_Rejected", bound=HostKeyRejected)


def described(error: _Rejected, key: ServerKey) -> _Rejected:
    """
    Show a refused key in the error that is raised.
    """
    error.hostKey, error.fingerprint, error.picture = key.blob, key.fingerprint, key.picture
    return error


def _othersText(known: Known) -> str:
    others = "".join(f" ({line}, has a key of type {safe(line.entry.keyType)})" for line in known.others)
    return others + (f" ({known.why})" if known.why else "")


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
