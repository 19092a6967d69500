"""
A checker for users whose own machine says who they are: the method
C{hostbased}, RFC 4252 section 9.

Whoever is root on such a machine can log in as any of its users. So it takes
a list of machines, with their host keys, and of who may come from which.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from conchlite.error import BadKeyError, safe
from conchlite.files import readRegularFile
from conchlite.interfaces import IHostBased, IHostBasedDB
from conchlite.limits import MAXIMUM_AUTHORIZED_KEYS_SIZE
from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

# A name in a list of machines: not +, which is everybody, nor @netgroup.
_EQUIVALENT = re.compile(rb"-?[A-Za-z0-9_.:\[\]][A-Za-z0-9_.:\[\]-]*")


@implementer(IHostBasedDB)
class InMemoryHostBasedDB:
    """
    A few machines, given by the program.
    """

    def __init__(
        self,
        hostKeys: Mapping[str, Iterable[Key]],
        users: Mapping[str, Collection[tuple[str, str]]] | None = None,
    ) -> None:
        """
        @param hostKeys: the name of each machine to its public host keys.
        @param users: a user here to the machines that he may come from, each
            with his name there. Without it everybody comes from any of the
            machines with the name that he has here, but for C{root}.
        """
        self._hostKeys = {_lower(name): list(keys) for name, keys in hostKeys.items()}
        self._users: dict[bytes, set[tuple[bytes, bytes]]] | None = None
        if users is not None:
            self._users = {
                asBytes(user): {(_lower(host), asBytes(there)) for host, there in places}
                for user, places in users.items()
            }

    def getHostKeys(self, clientHost: bytes) -> Iterable[Key]:
        """
        As L{IHostBasedDB.getHostKeys}.
        """
        return self._hostKeys.get(clientHost, ())

    def mayLogIn(self, username: bytes, clientHost: bytes, clientUser: bytes) -> bool:
        """
        As L{IHostBasedDB.mayLogIn}.
        """
        if self._users is None:
            return username == clientUser and username != b"root"
        return (clientHost, clientUser) in self._users.get(username, ())


class KnownMachines(Protocol):
    """
    What knows machines: L{conchlite.client.knownhosts.KnownHostsFile} is one.
    """

    def entriesFor(self, hostname: bytes) -> Iterable[tuple[int, KnownMachine]]: ...


class KnownMachine(Protocol):
    """
    One entry of it.
    """

    @property
    def marker(self) -> bytes: ...
    @property
    def blob(self) -> bytes: ...
    @property
    def publicKey(self) -> Key: ...


@implementer(IHostBasedDB)
class KnownHostsDB:
    """
    The machines of known hosts files, as far as they are in a list, which is
    written as C{/etc/ssh/shosts.equiv}, sshd(8).

    A line has a machine's name; behind it may stand the name of a user, and
    then the line is about him alone. The first line that fits decides: with a
    C{-} in front of either it refuses. Everybody comes with the name that he
    has here, and nobody as C{root}. sshd lets a user whom a line names be
    anybody, which this does not. There are no netgroups.
    """

    _log = Logger()

    def __init__(self, knownHosts: Iterable[KnownMachines], machines: str | os.PathLike[str]) -> None:
        """
        @param knownHosts: where the host keys are. A key that is revoked in one
            of them is good in none.
        @param machines: the path of the list, which is read at each login.
        """
        self._knownHosts = list(knownHosts)
        self._machines = machines

    def getHostKeys(self, clientHost: bytes) -> Iterable[Key]:
        """
        As L{IHostBasedDB.getHostKeys}.
        """
        entries = [entry for known in self._knownHosts for _, entry in known.entriesFor(clientHost)]
        revoked = {entry.blob for entry in entries if entry.marker}
        keys = []
        for entry in entries:
            if entry.blob not in revoked:
                try:
                    keys.append(entry.publicKey)
                except BadKeyError:
                    pass  # Of a type that is not known here: nobody can show it.
        return keys

    def mayLogIn(self, username: bytes, clientHost: bytes, clientUser: bytes) -> bool:
        """
        As L{IHostBasedDB.mayLogIn}.
        """
        if username != clientUser or username == b"root":
            return False
        try:
            content = readRegularFile(self._machines, MAXIMUM_AUTHORIZED_KEYS_SIZE)
        except OSError as error:
            self._log.warn("{path}: {error}", path=str(self._machines), error=error.strerror)
            return False
        for number, line in enumerate(content.split(b"\n"), 1):
            fields = line.partition(b"#")[0].split()
            if not fields:
                continue
            if len(fields) > 2 or not all(_EQUIVALENT.fullmatch(field) for field in fields):
                self._log.warn(
                    "{path}, line {number}: no machine; what follows is not read",
                    path=str(self._machines),
                    number=number,
                )
                # It may have been there to refuse.
                return False
            host, user = (*fields, username)[:2]
            if _lower(host.removeprefix(b"-")) == clientHost and user.removeprefix(b"-") == clientUser:
                return not (host.startswith(b"-") or user.startswith(b"-"))
        return False


def _lower(name: Text) -> bytes:
    return asBytes(name).lower().removesuffix(b".")


@implementer(ICredentialsChecker)
class HostBasedChecker:
    """
    Lets users in whose machine an L{IHostBasedDB} knows.
    """

    credentialInterfaces = (IHostBased,)

    def __init__(self, db: IHostBasedDB) -> None:
        """
        @param db: which machines are believed.
        """
        self._db = db

    def requestAvatarId(self, credentials: IHostBased) -> Deferred[bytes | tuple[()]]:
        """
        Judge what a machine says, which it has signed.

        @return: fires with the user's name, or fails with L{UnauthorizedLogin}.
            Cancelling it cancels what the database gave.
        """
        return Deferred.fromCoroutine(self._judge(credentials))

    async def _judge(self, credentials: IHostBased) -> bytes | tuple[()]:
        getHostKeys: Callable[[bytes], Any] = self._db.getHostKeys
        mayLogIn: Callable[[bytes, bytes, bytes], Any] = self._db.mayLogIn
        host, there = credentials.clientHost, credentials.clientUser
        keys = await maybeDeferred(getHostKeys, host)
        if not any(hmac.compare_digest(key.blob(), credentials.blob) for key in keys):
            raise UnauthorizedLogin(f"the key is not one of the host {safe(host)}")
        if await maybeDeferred(mayLogIn, credentials.username, host, there) is not True:
            raise UnauthorizedLogin(f"{safe(there)} of {safe(host)} may not be {safe(credentials.username)}")
        return credentials.username
