"""
The checker that asks others, for logins that take more than one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials, ISSHPrivateKey
from twisted.cred.error import UnhandledCredentials
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import Interface, implementer, providedBy

from conchlite.error import NotEnoughAuthentication
from conchlite.ssh.factors import Factor, Login, checkPresence, loginOf


@implementer(ICredentialsChecker)
class SSHProtocolChecker:
    """
    Asks other checkers, and lets a user in when C{areDone} says that they have
    accepted enough. C{requiredMethods} of the server says the same in fewer
    words, where it is a matter of methods alone.

    @ivar checkers: the interfaces of credentials, and the checker for each.
    @ivar successfulCredentials: while C{areDone} runs: the user, and the
        interfaces of what he has proved.
    """

    def __init__(self) -> None:
        self.checkers: dict[type[Interface], ICredentialsChecker] = {}
        self.successfulCredentials: dict[object, list[type[Interface]]] = {}
        # By the login, never by the user's name: what somebody has proved on
        # one connection is nothing on another.
        self._proved: WeakKeyDictionary[Login, tuple[Login, list[type[Interface]]]] = WeakKeyDictionary()

    @property
    def credentialInterfaces(self) -> list[type[Interface]]:
        """
        What the checkers check.
        """
        return list(self.checkers)

    def registerChecker(self, checker: ICredentialsChecker, *credentialInterfaces: type[Interface]) -> None:
        """
        Have a checker asked.

        @param credentialInterfaces: about what; without any, about all that
            it is for.
        """
        for interface in credentialInterfaces or checker.credentialInterfaces:
            self.checkers[interface] = checker

    def requestAvatarId(self, credentials: ICredentials) -> Deferred[Any]:
        """
        Ask the checker for these credentials.

        @return: fires with what the checker says, once C{areDone}. Fails with
            L{NotEnoughAuthentication} before, and with what the checker fails
            with.
        """
        for interface in providedBy(credentials):
            checker = self.checkers.get(interface)
            if checker is not None:
                asked = maybeDeferred(checker.requestAvatarId, credentials)
                return asked.addCallback(self._cbGoodAuthentication, credentials, interface)
        raised = UnhandledCredentials(f"no checker for {type(credentials).__name__}")
        return maybeDeferred(_raise, raised)

    def _cbGoodAuthentication(
        self, avatarId: Any, credentials: ICredentials, interface: type[Interface]
    ) -> object:
        login = loginOf(credentials)
        factor = Factor.of(login.method, credentials, avatarId)
        if ISSHPrivateKey.providedBy(credentials):
            checkPresence(credentials, factor.permissions)
        own, interfaces = self._proved.setdefault(login, (Login(login.user, login.clientAddress), []))
        proved = own.add(avatarId, [factor])
        interfaces.append(interface)
        self.successfulCredentials = {avatarId: interfaces}
        try:
            done = self.areDone(avatarId)
        finally:
            self.successfulCredentials = {}
        if not done:
            raise NotEnoughAuthentication("another method has to follow")
        del self._proved[login]
        return proved

    def areDone(self, avatarId: object) -> bool:
        """
        Whether a user has proved enough. To be overridden: as it stands one
        checker is enough.
        """
        return True


def _raise(error: Exception) -> None:
    raise error
