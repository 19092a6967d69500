"""
Who stands between a portal's checkers and its realm while a user logs in.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import ICredentials, ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from conchlite.error import CommandsConflict, NotEnoughAuthentication
from conchlite.ssh.factors import AvatarID, Factor, Login, checkPresence

if TYPE_CHECKING:
    from conchlite.ssh.userauthserver import SSHUserAuthServer


@implementer(IRealm)
class Doorman:
    """
    A realm for the answer to one request. It notes what the checker has
    accepted, and lets the user through to the portal's own realm when there is
    no more to prove. So neither a checker nor a realm can forget it.
    """

    def __init__(
        self, server: SSHUserAuthServer, login: Login, attempt: object, credentials: ICredentials, realm: Any
    ) -> None:
        """
        @param login: what the user has proved by now.
        @param attempt: the request.
        @param realm: the portal's realm.
        """
        self._server = server
        self._login = login
        self._attempt = attempt
        self._credentials = credentials
        self._realm = realm

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: type[Interface]) -> Any:
        """
        The checker has accepted the credentials.

        @raise UnauthorizedLogin: not any more, or they do not count.
        @raise NotEnoughAuthentication: the user has to prove more.
        @raise ValidPublicKey: all that was asked is whether a key would do.
        """
        login, server = self._login, self._server
        if not server.isDeciding(self._attempt):
            raise UnauthorizedLogin("the checker has answered too late")
        factors = avatarId.factors if isinstance(avatarId, AvatarID) else ()
        if not factors:
            factors = (Factor.of(login.method, self._credentials, avatarId),)
        if ISSHPrivateKey.providedBy(self._credentials):
            checkPresence(self._credentials, factors[-1].permissions)
        before = login.factors
        proved = login.add(avatarId, factors)
        try:
            login.permissionsOf(server.transport.permissions)
        except CommandsConflict as error:
            login.factors = before
            raise UnauthorizedLogin(str(error)) from None
        if not server.isComplete():
            raise NotEnoughAuthentication("another method has to follow")

        def failed(reason: Failure) -> Failure:
            # Nothing is proved for good to a realm that has no avatar.
            login.factors = before
            return reason

        avatar: Deferred[Any] = maybeDeferred(self._realm.requestAvatar, proved, mind, *interfaces)
        return avatar.addErrback(failed)


class GuardedPortal(Portal):
    """
    The factory's portal, as the service has it: with a L{Doorman} between its
    checkers and its realm, whoever asks it.
    """

    def __init__(self, server: SSHUserAuthServer, portal: Portal) -> None:
        """
        @param portal: the factory's.
        """
        self._server = server
        self._portal = portal
        self.realm = portal.realm
        self.checkers = portal.checkers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._portal, name)

    def listCredentialsInterfaces(self) -> Any:
        """
        What the portal has checkers for.
        """
        return self._portal.listCredentialsInterfaces()

    def login(self, credentials: ICredentials, mind: object, *interfaces: type[Interface]) -> Deferred[Any]:
        """
        Ask the portal.

        The checker finds in the attribute C{login} of C{credentials} the
        L{Login} that they belong to. When it has accepted them, and if they
        are all that is wanted, the realm is asked for an L{AvatarID}.

        @return: fires with the login, or fails with what the checker or the
            realm raised, or with L{NotEnoughAuthentication}.
        """
        login, attempt = self._server.underWay()
        theirs: Any = credentials
        theirs.login = login
        portal = copy(self._portal)
        portal.realm = Doorman(self._server, login, attempt, credentials, self._portal.realm)
        # A realm of a program's own may answer at once.
        ask: Callable[..., Any] = portal.login
        answer: Deferred[Any] = maybeDeferred(ask, credentials, mind, *interfaces)
        return answer
