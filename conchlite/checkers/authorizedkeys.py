"""
Whose keys are whose: C{authorized_keys} and C{authorized_principals} files, as
sshd(8) reads them.

A line that cannot be read lets nobody in, is reported with its file and
number, and hides no other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol, TypeVar

from twisted.logger import Logger
from zope.interface import implementer

from conchlite.algorithms import catalogue
from conchlite.checkers.keyoptions import PLAIN_LINE, KeyOptions, parseOptions
from conchlite.checkers.userfiles import Account, readUserFile
from conchlite.error import ConchError, InvalidEntry, UsageError, safe
from conchlite.interfaces import IAuthorizedKeysDB
from conchlite.limits import MAXIMUM_AUTHORIZED_KEYS_SIZE
from conchlite.ssh.permissions import Permissions

if TYPE_CHECKING:
    from conchlite.ssh.certificates import Certificate
    from conchlite.ssh.keys import Key

#: Makes a key of a line without options.
ParseKey = Callable[[bytes], "Key"]

#: The most bytes of a line: to find where its options end takes memory, a
#: hundred times as much.
MAXIMUM_LINE_SIZE = 256 * 1024

#: How many lines of a file that cannot be read are logged each, at each login.
MAXIMUM_UNREADABLE = 16

_Entry = TypeVar("_Entry")

_log = Logger()

# Names with which a path is made; what an account is called is narrower still.
_USER = re.compile(rb"[A-Za-z0-9_.][A-Za-z0-9_.@-]{0,63}")
_BLANKS = b" \t"
_OPTIONS = re.compile(rb'(?:[^ \t"\\]|\\"|\\|"(?:[^"\\]|\\"|\\)*")+')
_TOKEN = re.compile(r"%(.)")


@dataclass(frozen=True)
class AuthorizedKey:
    """
    A key that a user may log in with, or whose certificates he may.

    @ivar key: the public key.
    @ivar options: what stands before it.
    @ivar source: the file and the line.
    """

    key: Key
    options: KeyOptions = PLAIN_LINE
    source: str = ""


@dataclass(frozen=True)
class AuthorizedPrincipal:
    """
    A name that a certificate may have for a user.

    @ivar name: the name, as a whole.
    @ivar options: what stands before it.
    @ivar source: the file and the line.
    """

    name: bytes
    options: KeyOptions = PLAIN_LINE
    source: str = ""


class UserDatabase(Protocol):
    """
    What knows accounts: the module L{pwd} is one.
    """

    def getpwnam(self, name: str, /) -> Account: ...


def _plainKey(line: bytes) -> Key:
    from conchlite.ssh.keys import Key

    return Key.fromString(line, type="public_openssh")


def parseAuthorizedKey(line: bytes, source: str = "", parseKey: ParseKey = _plainKey) -> AuthorizedKey:
    """
    Read a line of an C{authorized_keys}.

    @raise InvalidEntry: it is none, or has an option that is not known.
    """
    if len(line) > MAXIMUM_LINE_SIZE:
        raise InvalidEntry(f"a line of {len(line)} bytes: at most {MAXIMUM_LINE_SIZE}")
    line = line.strip(b" \t\r\n")
    options = b""
    # What is no key to start with begins with options. parseKey is not asked
    # which it is: it might read both, and then the options would be lost.
    if not _beginsWithKey(line):
        options, line = _splitOptions(line)
        if not _beginsWithKey(line):
            raise InvalidEntry("no key that is known")
    try:
        key = parseKey(line)
    except ConchError as error:
        raise InvalidEntry(f"no key: {error}") from None
    return AuthorizedKey(key, parseOptions(options), source)


def _beginsWithKey(line: bytes) -> bool:
    name = line.replace(b"\t", b" ").partition(b" ")[0]
    return name in catalogue.keyTypes()


def parseAuthorizedPrincipal(line: bytes, source: str = "") -> AuthorizedPrincipal:
    """
    Read a line of an C{authorized_principals}.

    @raise InvalidEntry: it is none, or has an option that is not known, or
        that belongs to keys.
    """
    line = line.strip(b" \t\r\n")
    at = max(line.rfind(b" "), line.rfind(b"\t")) + 1
    options = parseOptions(line[:at].strip(_BLANKS))
    if options.isAuthority:
        raise InvalidEntry("cert-authority before a principal")
    return AuthorizedPrincipal(line[at:], options, source)


def _splitOptions(line: bytes) -> tuple[bytes, bytes]:
    # Blanks in quotes are part of an option.
    options = _OPTIONS.match(line)
    if options is None or line[options.end() : options.end() + 1] not in (b" ", b"\t"):
        raise InvalidEntry("no key, and no options before one")
    return options[0], line[options.end() :].strip(_BLANKS)


def readAuthorizedKeys(content: bytes, path: str, parseKey: ParseKey = _plainKey) -> Iterator[AuthorizedKey]:
    """
    The entries of an C{authorized_keys}; lines that cannot be read are logged,
    the first L{MAXIMUM_UNREADABLE} of them each.

    @param path: what the file is called in the log.
    """
    return _entries(content, path, lambda line, source: parseAuthorizedKey(line, source, parseKey))


def readAuthorizedPrincipals(content: bytes, path: str) -> Iterator[AuthorizedPrincipal]:
    """
    The entries of an C{authorized_principals}, likewise.
    """
    return _entries(
        content, path, lambda line, source: parseAuthorizedPrincipal(line.partition(b"#")[0], source)
    )


def _entries(content: bytes, path: str, parse: Callable[[bytes, str], _Entry]) -> Iterator[_Entry]:
    unreadable = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        stripped = line.strip(b" \t\r")
        if not stripped or stripped.startswith(b"#"):
            continue
        source = f"{safe(path)}:{number}"
        try:
            yield parse(stripped, source)
        except InvalidEntry as error:
            unreadable += 1
            if unreadable <= MAXIMUM_UNREADABLE:
                _log.warn("{source}: {error}", source=source, error=error)
    if unreadable > MAXIMUM_UNREADABLE:
        _log.warn("{path}: {count} lines cannot be read", path=safe(path), count=unreadable)


def readAuthorizedKeyFile(fileobj: IO[bytes], parseKey: ParseKey = _plainKey) -> Iterator[Key]:
    """
    The keys of an open C{authorized_keys} that have no options before them.

    Who gets nothing but keys can hold nobody to options: such lines are logged
    and left out. L{AuthorizedKeysFiles} has them all.
    """

    def parse(line: bytes, source: str) -> Key:
        entry = parseAuthorizedKey(line, source, parseKey)
        if entry.options != PLAIN_LINE:
            raise InvalidEntry("has options, and is left out")
        return entry.key

    return _entries(fileobj.read(), str(getattr(fileobj, "name", "authorized_keys")), parse)


class _UserFiles:
    """
    Files of users, as sshd reads them: only what the user may read himself,
    and only where nobody else can have written.
    """

    def __init__(
        self, paths: Sequence[str], userdb: UserDatabase | None = None, strictModes: bool = True
    ) -> None:
        """
        @param paths: where the files are; C{%h} stands for the user's home,
            C{%u} for his name, C{%U} for his number, C{%%} for a C{%}.
            What does not begin with a C{/} is in his home.
        @param userdb: where the users are; by default L{pwd}.
        @param strictModes: whether files and directories that others may write
            to are passed over.
        """
        for path in paths:
            for letter in _TOKEN.findall(path):
                if letter not in "hUu%":
                    raise UsageError(f"{path}: %{letter} stands for nothing; there are %h, %u, %U and %%")
        self._paths = paths
        self._userdb = userdb
        self._strictModes = strictModes

    def read(self, username: bytes) -> Iterator[tuple[bytes, str]]:
        """
        The content of each of a user's files, and its path.
        """
        account = self._account(username)
        if account is None:
            return
        for template in self._paths:
            path = expandPath(template, account)
            if path is None:
                _log.warn("{user} has no place in {path}", user=safe(username), path=template)
                continue
            try:
                content = readUserFile(path, account, MAXIMUM_AUTHORIZED_KEYS_SIZE, self._strictModes)
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.warn("{path}: {error}", path=path, error=error.strerror)
                continue
            yield content, path

    def _account(self, username: bytes) -> Account | None:
        if not _USER.fullmatch(username):
            return None
        import pwd

        getpwnam: Callable[[str], Account] = pwd.getpwnam
        if self._userdb is not None:
            getpwnam = self._userdb.getpwnam
        try:
            return getpwnam(username.decode("ascii"))
        except KeyError:
            return None


def expandPath(template: str, account: Account) -> str | None:
    """
    A path of one user's; L{None} if it would lie anywhere but in the directory
    that it is meant to be in.

    @param template: as for L{AuthorizedKeysFiles}. It is expanded once: what
        stands in a name is never a token.
    """
    if not os.path.isabs(template) and not template.startswith("%h"):
        template = "%h/" + template
    home, name = account.pw_dir, account.pw_name
    if not os.path.isabs(home) or not _USER.fullmatch(os.fsencode(name)) or name in (".", ".."):
        return None
    tokens = {"h": home, "u": name, "U": str(account.pw_uid), "%": "%"}
    path = os.path.normpath(_TOKEN.sub(lambda found: tokens[found[1]], template))
    fixed = home if template.startswith("%h") else os.path.dirname(template.partition("%")[0])
    directory = os.path.normpath(fixed)
    return path if os.path.commonpath([path, directory]) == directory != path else None


@implementer(IAuthorizedKeysDB)
class AuthorizedKeysFiles:
    """
    The C{authorized_keys} of the machine's users, with all options, for
    L{conchlite.checkers.SSHPublicKeyChecker}.
    """

    def __init__(
        self,
        paths: Sequence[str] = ("%h/.ssh/authorized_keys", "%h/.ssh/authorized_keys2"),
        userdb: UserDatabase | None = None,
        parseKey: ParseKey = _plainKey,
        strictModes: bool = True,
    ) -> None:
        """
        @param paths: where they are; C{%h} stands for the user's home, C{%u}
            for his name, C{%U} for his number, C{%%} for a C{%}. What does not
            begin with a C{/} is in his home.
        @param userdb: where the users are; by default L{pwd}.
        @param parseKey: makes a key of a line without options.
        @param strictModes: whether files and directories that others may write
            to are passed over.
        @raise UsageError: there are other tokens in a path.
        """
        self._files = _UserFiles(paths, userdb, strictModes)
        self._parseKey = parseKey

    def getAuthorizedKeys(self, username: bytes) -> Iterable[AuthorizedKey]:
        """
        The entries of a user's files.
        """
        return [
            entry
            for content, path in self._files.read(username)
            for entry in readAuthorizedKeys(content, path, self._parseKey)
        ]


class UNIXAuthorizedKeysFiles(AuthorizedKeysFiles):
    """
    The C{authorized_keys} in the homes of the machine's users.
    """

    def __init__(self, userdb: UserDatabase | None = None, parseKey: ParseKey = _plainKey) -> None:
        """
        @param userdb: as for L{AuthorizedKeysFiles}, and so is C{parseKey}.
        """
        super().__init__(userdb=userdb, parseKey=parseKey)


class AuthorizedPrincipalsFiles:
    """
    Which names certificates may have for a user, in files as
    C{AuthorizedPrincipalsFile} of sshd_config(5).
    """

    def __init__(
        self, paths: Sequence[str], userdb: UserDatabase | None = None, strictModes: bool = True
    ) -> None:
        """
        @param paths: as for L{AuthorizedKeysFiles}.
        """
        self._files = _UserFiles(paths, userdb, strictModes)

    def __call__(self, username: bytes) -> Collection[AuthorizedPrincipal]:
        """
        The entries of a user's files.
        """
        return [
            entry
            for content, path in self._files.read(username)
            for entry in readAuthorizedPrincipals(content, path)
        ]


def certificatePermissions(certificate: Certificate) -> Permissions:
    """
    What a user's certificate leaves its holder to do, PROTOCOL.certkeys.
    """
    options, extensions = certificate.criticalOptions, certificate.extensions
    return Permissions(
        command=options.get(b"force-command"),
        pty=b"permit-pty" in extensions,
        portForwarding=b"permit-port-forwarding" in extensions,
        agentForwarding=b"permit-agent-forwarding" in extensions,
        x11Forwarding=b"permit-X11-forwarding" in extensions,
        userRC=b"permit-user-rc" in extensions,
        touchRequired=b"no-touch-required" not in extensions,
        verificationRequired=b"verify-required" in options,
    )
