"""
Who stands between a portal's checkers and its realm while a user logs in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import ICredentials, ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from zope.interface import Interface, implementer

from conchlite.algorithms import catalogue
from conchlite.error import BadSignature, MalformedMessage, NotEnoughAuthentication, ValidPublicKey
from conchlite.ssh.factors import AvatarID, Factor, Login

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
        if not self._server.isDeciding(self._attempt):
            raise UnauthorizedLogin("the checker has answered too late")
        factors = avatarId.factors if isinstance(avatarId, AvatarID) else ()
        if not factors:
            factors = (Factor.of(self._login.method, self._credentials, avatarId),)
        if ISSHPrivateKey.providedBy(self._credentials):
            self._checkPresence(factors[-1])
        proved = self._login.add(avatarId, factors)
        if not self._server.isComplete():
            raise NotEnoughAuthentication("another method has to follow")
        return self._realm.requestAvatar(proved, mind, *interfaces)

    def _checkPresence(self, factor: Factor) -> None:
        """
        Whether somebody was there when a security key has signed, if that is
        wanted.
        """
        credentials: Any = self._credentials
        if credentials.signature is None:
            raise ValidPublicKey(credentials.username)
        if not catalogue.isSecurityKey(catalogue.plainName(credentials.algName)):
            return
        from conchlite.ssh.keys import Key

        try:
            Key.fromString(credentials.blob).verifyStrictly(
                credentials.signature,
                credentials.sigData,
                credentials.algName,
                requireTouch=factor.permissions.touchRequired,
                requireVerification=factor.permissions.verificationRequired,
            )
        except (BadSignature, MalformedMessage) as error:
            raise UnauthorizedLogin(str(error)) from None
