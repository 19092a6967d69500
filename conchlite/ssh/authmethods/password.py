"""
The method C{password}: RFC 4252 section 8.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import PasswordExpired, safe
from conchlite.interfaces import IPasswordChange
from conchlite.sansio.authentication import ClientAuthentication
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, MethodReply, ServerMethod
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import numbers
from conchlite.wire.types import Reader, packString
from conchlite.wire.userauth import PasswordData, UserauthPasswdChangereq

if TYPE_CHECKING:
    from conchlite.ssh.userauthclient import SSHUserAuthClient

#: The most bytes of password that a server hands to a checker: what a checker
#: computes of a longer one costs too much (CVE-2016-6515).
MAXIMUM_PASSWORD_SIZE = 1024

#: What C{getPassword} is asked for where the server wants a new password, before
#: that: the old one.
OLD_PASSWORD = b"Old Password: "


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"
    SENT = "a password that was sent"
    DECLINED = "its end"


class PasswordClient(ClientMethod):
    """
    Sends what C{getPassword} answers. When the server refuses it, C{getPassword}
    is asked again, as often as C{client.maximumPasswordAttempts} says; the
    same answer is not sent twice.
    """

    name = b"password"
    messages = {(Step.SENT, numbers.MSG_USERAUTH_PASSWD_CHANGEREQ): "_changeRequested"}

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        super().__init__(client, record)
        self.step = Step.IDLE
        self._sent = 0

    async def attempt(self) -> bool:
        if self.step is Step.DECLINED or self._sent >= self.client.maximumPasswordAttempts:
            return False
        if not self.client.transport.isEncrypted("both"):
            self.record.obstacles.append("password, as the connection is not encrypted")
            return False
        # Without an argument: many programs define getPassword(self).
        password = await self._getPassword()
        if password is None or password in self.client.sentPasswords:
            return False
        self._sent += 1
        self.client.sentPasswords |= {password}
        self._send("password", PasswordData(False, password, b""))
        return True

    async def _getPassword(self, *prompt: bytes) -> bytes | None:
        answer: Text | None = await self.ask("getPassword", *prompt)
        return None if answer is None else asBytes(answer)

    def _send(self, what: str, data: PasswordData) -> None:
        self.step = Step.SENT
        self.client.askForAuth(self.name, data.pack())
        self.record.attempt(what)

    def _changeRequested(self, packet: bytes) -> Deferred[bool]:
        message = UserauthPasswdChangereq.unpack(packet)
        return Deferred.fromCoroutine(self._change(message.prompt))

    async def _change(self, prompt: bytes) -> bool:
        # A server might find fault with new passwords for ever.
        asked = self.record.requests < self.client.maximumRequests
        old = await self._getPassword(OLD_PASSWORD) if asked else None
        new = None if old is None else await self._getPassword(prompt)
        if old is None or new is None:
            # The password was right, so there is no sense in another one.
            self.step = Step.DECLINED
            self.record.obstacles.append(f"a new password, which the server asks for: '{safe(prompt)}'")
            return False
        self._send("a new password", PasswordData(True, old, packString(new)))
        return True


@implementer(IPasswordChange)
class PasswordChange:
    """
    A user's password, and the one that he wants instead.
    """

    def __init__(self, username: bytes, password: bytes, newPassword: bytes) -> None:
        self.username = username
        self.password = password
        self.newPassword = newPassword


class PasswordServer(ServerMethod):
    """
    Asks the portal with L{UsernamePassword}. A checker that knows the password,
    and wants it changed, raises L{PasswordExpired}; the portal is asked with
    L{PasswordChange} then, if it has a checker for that.
    """

    name = b"password"
    credentials = IUsernamePassword
    wantsEncryption = True

    async def decide(self, methodData: bytes) -> LoginResult:
        data = PasswordData.unpack(methodData)
        rest = Reader(data.newPassword, "PasswordData")
        newPassword = rest.string() if data.change else None
        rest.end()
        answer = self._check(data.password, newPassword).addErrback(self._ebExpired)
        return await answer.addErrback(self.server._ebPassword)

    def _check(self, password: bytes, newPassword: bytes | None) -> Deferred[LoginResult]:
        # An empty password never reaches a checker: some directories take a
        # login with one for an anonymous login, and grant it.
        for given in (password,) if newPassword is None else (password, newPassword):
            if not given:
                return fail(UnauthorizedLogin("an empty password"))
            if len(given) > MAXIMUM_PASSWORD_SIZE:
                return fail(
                    UnauthorizedLogin(f"a password of {len(given)} bytes: at most {MAXIMUM_PASSWORD_SIZE}")
                )
        user = self.server.user
        if newPassword is None:
            return self.login(UsernamePassword(user, password))
        if not self._canChange():
            return fail(UnauthorizedLogin("passwords cannot be changed here"))
        return self.login(PasswordChange(user, password, newPassword))

    def _canChange(self) -> bool:
        return IPasswordChange in self.server.portal.listCredentialsInterfaces()

    def _ebExpired(self, reason: Failure) -> Failure:
        error = reason.value
        if not isinstance(error, PasswordExpired) or not self._canChange():
            return reason
        request = UserauthPasswdChangereq(asBytes(error.prompt), b"")
        # It counts as a failure, lest a client changes passwords for ever.
        return Failure(MethodReply(request.number, request.pack(), counts=True))
