"""
A checker for the portal of a server: who may log in with which principal of
Kerberos.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from conchlite.error import safe
from conchlite.interfaces import IGSSAPICredentials
from conchlite.ssh.gssapi import KERBEROS

# What has a meaning of its own in a principal's name, RFC 1964 section 2.1.1.
_SPECIAL = frozenset("@/\\")


@implementer(ICredentialsChecker)
class PrincipalChecker:
    """
    Lets in whoever has proved to be the user's principal: C{alice@EXAMPLE.ORG}
    is C{alice}, and nobody else is.
    """

    credentialInterfaces = (IGSSAPICredentials,)

    def __init__(
        self, realm: str, mayBe: Callable[[str, bytes], Awaitable[bool] | bool] | None = None
    ) -> None:
        """
        @param realm: the realm whose principals are the users of the same
            names.
        @param mayBe: is asked about every other pair: the principal and the
            user, whose name nobody has checked. C{True}, or a Deferred of it,
            lets the principal in as the user; nothing else does.
        """
        self._realm = realm
        self._mayBe = mayBe

    def requestAvatarId(self, credentials: IGSSAPICredentials) -> Deferred[bytes | tuple[()]]:
        """
        Judge a principal.

        @return: fires with the user's name. Fails with L{UnauthorizedLogin} if
            the principal may not be the user. Cancelling it cancels what
            C{mayBe} gave.
        """
        judged: Deferred[object] = maybeDeferred(self._judge, credentials)
        return judged.addCallback(self._cbJudged, credentials)

    def _judge(self, credentials: IGSSAPICredentials) -> object:
        if credentials.mechanism != KERBEROS:
            return False
        if _isOwn(credentials.username, credentials.principal, self._realm):
            return True
        if self._mayBe is None:
            return False
        return self._mayBe(credentials.principal, credentials.username)

    def _cbJudged(self, verdict: object, credentials: IGSSAPICredentials) -> bytes:
        if verdict is not True:
            raise UnauthorizedLogin(f"{safe(credentials.principal)} may not be {safe(credentials.username)}")
        return credentials.username


def _isOwn(username: bytes, principal: str, realm: str) -> bool:
    try:
        user = username.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(user) and _SPECIAL.isdisjoint(user) and principal == f"{user}@{realm}"
