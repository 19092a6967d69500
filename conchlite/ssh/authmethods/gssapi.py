"""
The method C{gssapi-with-mic}: RFC 4462 section 3, which is how users log in
with a Kerberos ticket.

The two ends make a security context with the tokens of a mechanism. Then the
client signs, with the context's key, the session identifier, the user and the
service, so that what it has proved is good for this connection alone: that is
the MIC, a message integrity code. A context that has none is no login here
(section 3.5.2 would leave that to a policy).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from conchlite.error import GSSAPIError, UnexpectedMessage, safe
from conchlite.interfaces import IGSSAPICredentials
from conchlite.sansio.authentication import ClientAuthentication
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, ServerMethod
from conchlite.ssh.gssapi import SecurityContext, encodeMechanism, installedLibrary
from conchlite.ssh.threads import threadsOf
from conchlite.wire import numbers
from conchlite.wire.gssapi import (
    GSSAPIData,
    GSSAPISignedData,
    UserauthGSSAPIError,
    UserauthGSSAPIErrtok,
    UserauthGSSAPIExchangeComplete,
    UserauthGSSAPIMIC,
    UserauthGSSAPIResponse,
    UserauthGSSAPIToken,
)

if TYPE_CHECKING:
    from conchlite.ssh.userauthclient import SSHUserAuthClient
    from conchlite.ssh.userauthserver import SSHUserAuthServer

_NO_LIBRARY = "the extra is not installed: pip install conchlite[gssapi]"


def signedData(sessionID: bytes, userName: bytes, serviceName: bytes) -> bytes:
    """
    What the MIC covers.
    """
    return GSSAPISignedData(
        sessionID, numbers.MSG_USERAUTH_REQUEST, userName, serviceName, b"gssapi-with-mic"
    ).pack()


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"
    OFFERED = "the mechanisms that were offered"
    NEGOTIATING = "a token that was sent"
    PROVED = "a MIC that was sent"
    FAILED = "its end"


_RUNNING = (Step.OFFERED, Step.NEGOTIATING, Step.PROVED)


class GSSAPIClient(ClientMethod):
    """
    Proves to a server, which C{client.gssapiHost} names, who the user is, with
    the ticket that the system has of him. Without that name it does nothing.
    """

    name = b"gssapi-with-mic"
    messages = {
        (Step.OFFERED, numbers.MSG_USERAUTH_GSSAPI_RESPONSE): "_chosen",
        (Step.NEGOTIATING, numbers.MSG_USERAUTH_GSSAPI_TOKEN): "_tokenCame",
        **{(step, numbers.MSG_USERAUTH_GSSAPI_ERROR): "_errorCame" for step in (*_RUNNING, Step.FAILED)},
        **{(step, numbers.MSG_USERAUTH_GSSAPI_ERRTOK): "_errtokCame" for step in (*_RUNNING, Step.FAILED)},
    }

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        super().__init__(client, record)
        self.step = Step.IDLE
        self._run = client.gssapiRun or threadsOf(client.transport.clock)
        # What was begun with each mechanism, by its name in DER.
        self._begun: dict[bytes, tuple[SecurityContext, bytes]] = {}
        self._context: SecurityContext
        # The server's messages about a failure: each comes once at most.
        self._heard: set[int] = set()

    async def attempt(self) -> bool:
        if self.step is not Step.IDLE or self.client.gssapiHost is None:
            return False
        self.step = Step.FAILED
        if not await self._begin(f"host@{self.client.gssapiHost}"):
            return False
        self.step = Step.OFFERED
        self.client.askForAuth(self.name, GSSAPIData(tuple(self._begun)).pack())
        self.record.attempt(f"gssapi-with-mic for host@{safe(self.client.gssapiHost)}")
        return True

    async def _begin(self, service: str) -> bool:
        """
        Make the first token with each mechanism, as that takes a ticket: there
        is no use in an offer without one.
        """
        client = self.client
        library = client.gssapiLibrary or installedLibrary()
        if library is None:
            self._obstacle(_NO_LIBRARY)
            return False
        for mechanism in client.gssapiMechanisms:
            encoded = encodeMechanism(mechanism)
            try:
                context = await self._run(library.initiate, mechanism, service, client.gssapiDelegate)
                token = await self._run(context.step, None)
            except GSSAPIError as error:
                self._obstacle(f"there is no ticket for {safe(service)}: {safe(str(error))}")
            else:
                self._begun[encoded] = context, token or b""
        return bool(self._begun)

    def _obstacle(self, why: str) -> None:
        self.record.obstacles.append(f"gssapi-with-mic, as {why}")

    def _chosen(self, packet: bytes) -> Deferred[bool]:
        message = UserauthGSSAPIResponse.unpack(packet)
        if message.mechanism not in self._begun:
            raise UnexpectedMessage("USERAUTH_GSSAPI_RESPONSE with a mechanism that was not offered")
        self._context, token = self._begun[message.mechanism]
        self._begun.clear()
        self.step = Step.NEGOTIATING
        return Deferred.fromCoroutine(self._goOn(token))

    def _tokenCame(self, packet: bytes) -> Deferred[bool]:
        message = UserauthGSSAPIToken.unpack(packet)
        return Deferred.fromCoroutine(self._stepped(message.token))

    async def _stepped(self, token: bytes) -> bool:
        try:
            answer = await self._run(self._context.step, token)
        except GSSAPIError as error:
            return self._failed(error)
        return await self._goOn(answer)

    async def _goOn(self, token: bytes | None) -> bool:
        """
        Send a token, and when the context is complete the MIC.
        """
        if token:
            self._send(UserauthGSSAPIToken(token))
        if not self._context.isComplete:
            return True
        if not self._context.protectsIntegrity:
            self._obstacle("the mechanism protects no integrity")
            self.step = Step.FAILED
            return False
        covered = signedData(self.client.transport.sessionID, self.record.userName, self.record.serviceName)
        try:
            mic = await self._run(self._context.sign, covered)
        except GSSAPIError as error:
            return self._failed(error)
        self.step = Step.PROVED
        self.record.prompted = True
        self._send(UserauthGSSAPIMIC(mic))
        return True

    def _failed(self, error: GSSAPIError) -> bool:
        self.step = Step.FAILED
        self._obstacle(f"the mechanism failed: {safe(str(error))}")
        if error.token:
            # The server does not answer it: the next request does away with it.
            self._send(UserauthGSSAPIErrtok(error.token))
        return False

    def _send(self, message: Any) -> None:
        self.client.transport.sendPacket(message.number, message.pack())

    # What the server says of its failure has no answer: a FAILURE follows.

    def _errorCame(self, packet: bytes) -> Deferred[bool]:
        message = UserauthGSSAPIError.unpack(packet)
        self._once(message.number)
        self._obstacle(f"the server's end failed: '{safe(message.message)}'")
        return Deferred.fromCoroutine(self._over())

    def _errtokCame(self, packet: bytes) -> Deferred[bool]:
        message = UserauthGSSAPIErrtok.unpack(packet)
        self._once(message.number)
        began = self.step is Step.NEGOTIATING
        return Deferred.fromCoroutine(self._told(message.token) if began else self._over())

    def _once(self, number: int) -> None:
        if number in self._heard:
            raise UnexpectedMessage(f"message {number} came twice while gssapi-with-mic runs")
        self._heard.add(number)

    async def _over(self) -> bool:
        self.step = Step.FAILED
        return True

    async def _told(self, token: bytes) -> bool:
        """
        Let the mechanism say what its other end means.
        """
        self.step = Step.FAILED
        try:
            await self._run(self._context.step, token)
        except GSSAPIError as error:
            self._obstacle(f"the server's end failed: {safe(str(error))}")
        return True


@implementer(IGSSAPICredentials)
@dataclass
class GSSAPICredentials:
    """
    What a checker gets.
    """

    username: bytes
    mechanism: str
    principal: str
    delegated: object = None

    def __repr__(self) -> str:
        return f"<{safe(self.principal)} for {safe(self.username)}>"


class GSSAPIServer(ServerMethod):
    """
    Makes the client prove who it is, then asks the portal with
    L{GSSAPICredentials}.
    """

    name = b"gssapi-with-mic"
    credentials = IGSSAPICredentials
    wantsEncryption = True

    def __init__(self, server: SSHUserAuthServer) -> None:
        super().__init__(server)
        self._run = server.gssapiRun or threadsOf(server.transport.clock)

    async def decide(self, methodData: bytes) -> LoginResult:
        library = self.server.gssapiLibrary or installedLibrary()
        if library is None:
            # CVE-2025-58181: what nobody can use is not read either.
            raise UnauthorizedLogin(_NO_LIBRARY)
        offered = GSSAPIData.unpack(methodData).mechanisms
        ours = {encodeMechanism(name): name for name in self.server.gssapiMechanisms}
        encoded = next((name for name in offered if name in ours), None)
        if encoded is None:
            raise UnauthorizedLogin("no mechanism of GSS-API in common")
        mechanism = ours[encoded]
        try:
            context = await self._run(library.accept, mechanism, self.server.gssapiService)
        except GSSAPIError as error:
            raise UnauthorizedLogin(f"the server has no key for {mechanism}: {safe(str(error))}") from None
        await self._establish(context, encoded)
        user = self.server.user
        return await self.login(GSSAPICredentials(user, mechanism, context.principal, context.delegated))

    async def _establish(self, context: SecurityContext, encoded: bytes) -> None:
        """
        Take tokens until the context is complete, and the MIC.

        @raise UnauthorizedLogin: the client proves nothing.
        """
        number, packet = await self.server.converse(
            numbers.MSG_USERAUTH_GSSAPI_RESPONSE, UserauthGSSAPIResponse(encoded).pack(), _TOKENS
        )
        while True:
            token = await self._accept(context, number, packet)
            expected = _MICS if context.isComplete else _TOKENS
            if token:
                message = UserauthGSSAPIToken(token)
                number, packet = await self.server.converse(message.number, message.pack(), expected)
            else:
                number, packet = await self.server.expect(expected)
            if expected is _MICS:
                await self._verify(context, number, packet)
                return

    async def _accept(self, context: SecurityContext, number: int, packet: bytes) -> bytes | None:
        if number == numbers.MSG_USERAUTH_GSSAPI_ERRTOK:
            await self._clientFailed(packet)
        token = UserauthGSSAPIToken.unpack(packet).token
        try:
            answer: bytes | None = await self._run(context.step, token)
        except GSSAPIError as error:
            if error.token:
                message = UserauthGSSAPIErrtok(error.token)
                self.server.transport.sendPacket(message.number, message.pack())
            raise UnauthorizedLogin(f"the mechanism failed: {safe(str(error))}") from None
        return answer

    async def _verify(self, context: SecurityContext, number: int, packet: bytes) -> None:
        if number == numbers.MSG_USERAUTH_GSSAPI_ERRTOK:
            await self._clientFailed(packet)
        if number == numbers.MSG_USERAUTH_GSSAPI_EXCHANGE_COMPLETE:
            UserauthGSSAPIExchangeComplete.unpack(packet)
            raise UnauthorizedLogin("gssapi-with-mic without a MIC")
        mic = UserauthGSSAPIMIC.unpack(packet).mic
        server = self.server
        covered = signedData(server.transport.sessionID, server.user, server.nextService)
        if not context.protectsIntegrity:
            raise UnauthorizedLogin("the mechanism protects no integrity")
        try:
            await self._run(context.verify, covered, mic)
        except GSSAPIError as error:
            raise UnauthorizedLogin(f"the MIC is wrong: {safe(str(error))}") from None

    async def _clientFailed(self, packet: bytes) -> None:
        """
        The client's end failed. It does not wait for an answer, so there is
        none: its next request ends this one, which counts as a failure.
        """
        UserauthGSSAPIErrtok.unpack(packet)
        await self.server.expect(())


# What a client may send at each of the two moments.
_TOKENS = (numbers.MSG_USERAUTH_GSSAPI_TOKEN, numbers.MSG_USERAUTH_GSSAPI_ERRTOK)
_MICS = (
    numbers.MSG_USERAUTH_GSSAPI_MIC,
    numbers.MSG_USERAUTH_GSSAPI_EXCHANGE_COMPLETE,
    numbers.MSG_USERAUTH_GSSAPI_ERRTOK,
)
