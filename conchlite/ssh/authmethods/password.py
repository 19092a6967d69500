"""
The method C{password}: RFC 4252 section 8.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail

from conchlite.error import safe
from conchlite.sansio.authentication import ClientAuthentication
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, ServerMethod
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import numbers
from conchlite.wire.types import Reader, packString
from conchlite.wire.userauth import PasswordData, UserauthPasswdChangereq

if TYPE_CHECKING:
    from conchlite.ssh.userauthclient import SSHUserAuthClient

#: The most bytes of password that a server hands to a checker: what a checker
#: computes of a longer one costs too much (CVE-2016-6515).
MAXIMUM_PASSWORD_SIZE = 1024


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
        self._sent: set[bytes] = set()

    async def attempt(self) -> bool:
        if self.step is Step.DECLINED or len(self._sent) >= self.client.maximumPasswordAttempts:
            return False
        if not self.client.transport.isEncrypted("both"):
            self.record.obstacles.append("password, as the connection is not encrypted")
            return False
        # Without an argument: many programs define getPassword(self).
        password = await self._getPassword()
        if password is None or password in self._sent:
            return False
        self._sent.add(password)
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
        old = await self._getPassword(b"Old Password: ") if asked else None
        new = None if old is None else await self._getPassword(prompt)
        if old is None or new is None:
            # The password was right, so there is no sense in another one.
            self.step = Step.DECLINED
            self.record.obstacles.append(f"a new password, which the server asks for: '{safe(prompt)}'")
            return False
        self._send("a new password", PasswordData(True, old, packString(new)))
        return True


class PasswordServer(ServerMethod):
    """
    Asks the portal with L{UsernamePassword}. Passwords cannot be changed.
    """

    name = b"password"
    credentials = IUsernamePassword
    wantsEncryption = True

    async def decide(self, methodData: bytes) -> LoginResult:
        data = PasswordData.unpack(methodData)
        newPassword = Reader(data.newPassword, "PasswordData")
        if data.change:
            newPassword.string()
        newPassword.end()
        return await self._check(data).addErrback(self.server._ebPassword)

    def _check(self, data: PasswordData) -> Deferred[LoginResult]:
        # An empty password never reaches a checker: some directories take a
        # login with one for an anonymous login, and grant it.
        if data.change:
            return fail(UnauthorizedLogin("passwords cannot be changed here"))
        if not data.password:
            return fail(UnauthorizedLogin("an empty password"))
        if len(data.password) > MAXIMUM_PASSWORD_SIZE:
            return fail(UnauthorizedLogin(f"a password of {len(data.password)} bytes"))
        return self.login(UsernamePassword(self.server.user, data.password))
