"""
A checker for users whose own machine says who they are: the method
C{hostbased}, RFC 4252 section 9.

Whoever is root on such a machine can log in as any of its users. So it takes
a list of machines, with their host keys, and of who may come from which.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from conchlite.error import safe
from conchlite.interfaces import IHostBased, IHostBasedDB
from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key


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
