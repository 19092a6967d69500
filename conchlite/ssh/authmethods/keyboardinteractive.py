"""
The method C{keyboard-interactive}: RFC 4256.

The server asks what it likes, in rounds of prompts, and the client's user
answers. That is how PAM asks for a password, or for a one-time password
behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from conchlite.error import (
    ConversationOver,
    MalformedMessage,
    UsageError,
    safe,
)
from conchlite.interfaces import IKeyboardInteractive
from conchlite.limits import MAXIMUM_ANSWER_SIZE, MAXIMUM_PROMPTS, MAXIMUM_ROUNDS
from conchlite.sansio.authentication import ClientAuthentication
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, ServerMethod
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import numbers
from conchlite.wire.userauth import KeyboardInteractiveData, UserauthInfoRequest, UserauthInfoResponse

if TYPE_CHECKING:
    from conchlite.ssh.userauthclient import SSHUserAuthClient
    from conchlite.ssh.userauthserver import SSHUserAuthServer

# What was asked and answered in one request.
_Transcript = tuple[tuple[UserauthInfoRequest, tuple[bytes, ...]], ...]

# What stands in a prompt that is about another password than the user's own.
_CHANGE = re.compile(rb"\b(new|change|expired|retype)\b", re.IGNORECASE)


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"
    STARTED = "a conversation"
    DECLINED = "its end"


class KeyboardInteractiveClient(ClientMethod):
    """
    Answers the server's prompts with what C{getGenericAnswers} has, in as many
    rounds as the server likes. When the server refuses, it is tried again, as
    often as C{client.maximumPasswordAttempts} says; a conversation that went as
    one that was refused is broken off.

    A program that has C{getPassword} and no C{getGenericAnswers} can log in to a
    server that asks for a password in this way: a lone prompt with the word
    "password" in it, whose answer is not to be shown, is answered with it, unless
    it is about a new one.
    """

    name = b"keyboard-interactive"
    repeatable = True
    messages = {(Step.STARTED, numbers.MSG_USERAUTH_INFO_REQUEST): "_asked"}

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        super().__init__(client, record)
        self.step = Step.IDLE
        self._attempts = 0
        self._accepted = 0
        self._rounds = 0
        self._transcript: _Transcript = ()
        self._refused: set[_Transcript] = set()

    async def attempt(self) -> bool:
        accepted = self.record.authenticatedWith.count(self.name)
        if accepted > self._accepted:
            # The same again may be what the server wants as another part.
            self._accepted = accepted
            self._attempts = 0
        elif self.step is Step.STARTED:
            if not self._transcript:
                # The server has nothing to ask.
                return False
            self._refused.add(self._transcript)
        if self.step is Step.DECLINED or self._attempts >= self.client.maximumPasswordAttempts:
            return False
        if not self.client.hasAnswers():
            return False
        if not self.client.transport.isEncrypted("both"):
            self.record.obstacles.append("keyboard-interactive, as the connection is not encrypted")
            return False
        self._attempts += 1
        self._transcript = ()
        self.step = Step.STARTED
        self.client.askForAuth(self.name, KeyboardInteractiveData(b"", b"").pack())
        return True

    def _asked(self, packet: bytes) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._respond(UserauthInfoRequest.unpack(packet)))

    async def _respond(self, request: UserauthInfoRequest) -> bool:
        response = await self._response(request)
        if response is None:
            # Who does not know now will not know when it begins anew.
            self.step = Step.DECLINED
            return False
        self.record.prompted |= bool(request.prompts)
        self.client.transport.sendPacket(response.number, response.pack())
        return True

    async def _response(self, request: UserauthInfoRequest) -> UserauthInfoResponse | None:
        self._rounds += 1
        if self._rounds > MAXIMUM_ROUNDS:
            self.record.obstacles.append(f"more than {MAXIMUM_ROUNDS} rounds of keyboard-interactive")
            return None
        answers = await self._answers(request)
        if answers is None:
            self.record.obstacles.append(f"an answer to {_describe(request)}")
            return None
        self._transcript = (*self._transcript, (request, answers))
        return None if self._transcript in self._refused else UserauthInfoResponse(answers)

    async def _answers(self, request: UserauthInfoRequest) -> tuple[bytes, ...] | None:
        """
        What to answer; L{None} if the program does not know.
        """
        given: Sequence[Text] | None = None
        if request.prompts or request.name or request.instruction:
            given = await self.ask(
                "getGenericAnswers", request.name, request.instruction, list(request.prompts)
            )
        if not request.prompts:
            # RFC 4256 section 3.4: also what asks nothing is answered.
            return ()
        if given is None:
            return await self._password(request)
        answers = tuple(asBytes(answer) for answer in given)
        if len(answers) != len(request.prompts):
            self.record.obstacles.append(
                f"getGenericAnswers, as it gave {len(answers)} answers to {len(request.prompts)} prompts"
            )
            return None
        return answers

    async def _password(self, request: UserauthInfoRequest) -> tuple[bytes] | None:
        if len(request.prompts) != 1:
            return None
        ((prompt, echo),) = request.prompts
        if echo or b"password" not in prompt.lower() or _CHANGE.search(prompt):
            return None
        password: Text | None = await self.ask("getPassword")
        if password is None:
            return None
        answer = asBytes(password)
        if answer in self.client.sentPasswords and b"password" not in self.record.authenticatedWith:
            # It was refused as a password, and it would be so here.
            return None
        return (answer,)


def _describe(request: UserauthInfoRequest) -> str:
    return "the prompt " + ", ".join(f"'{safe(prompt)}'" for prompt, _ in request.prompts)


@implementer(IKeyboardInteractive)
class KeyboardInteractive:
    """
    A user who can be asked, for one request.
    """

    def __init__(self, server: SSHUserAuthServer) -> None:
        self.username = server.user
        self._server: SSHUserAuthServer | None = server
        self._rounds = 0

    def ask(self, name: Text, instruction: Text, prompts: Sequence[tuple[Text, bool]]) -> Deferred[list[str]]:
        """
        As L{IKeyboardInteractive.ask}.
        """
        return Deferred.fromCoroutine(self._ask(asBytes(name), asBytes(instruction), prompts))

    def over(self) -> None:
        """
        The request is decided, or does not matter any more.
        """
        self._server = None

    async def _ask(self, name: bytes, instruction: bytes, prompts: Sequence[tuple[Text, bool]]) -> list[str]:
        if len(prompts) > MAXIMUM_PROMPTS:
            raise UsageError(f"{len(prompts)} prompts, where {MAXIMUM_PROMPTS} are possible")
        server = self._server
        if server is None or server.transport.closeReason is not None:
            raise ConversationOver("the user cannot be asked any more")
        if prompts:
            self._count(server)
        asked = tuple((asBytes(prompt), echo) for prompt, echo in prompts)
        request = UserauthInfoRequest(name, instruction, b"", asked)
        _, packet = await server.converse(
            request.number, request.pack(), {numbers.MSG_USERAUTH_INFO_RESPONSE}
        )
        if self._server is None:
            raise ConversationOver("the user cannot be asked any more")
        try:
            responses = UserauthInfoResponse.unpack(packet).responses
            if len(responses) != len(prompts):
                raise MalformedMessage(f"{len(responses)} responses to {len(prompts)} prompts")
        except MalformedMessage as error:
            # Whatever the checker makes of it, it ends the connection.
            server.transport.failProtocol(error)
            raise
        return [_decode(response) for response in responses]

    def _count(self, server: SSHUserAuthServer) -> None:
        # A checker that asks for a password again and again would give more
        # guesses than there may be failures (CVE-2015-5600).
        self._rounds += 1
        if self._rounds > 1 and not server.countFailure():
            raise ConversationOver("the client has been asked too often")


def _decode(response: bytes) -> str:
    if len(response) > MAXIMUM_ANSWER_SIZE:
        raise UnauthorizedLogin(f"an answer of {len(response)} bytes: at most {MAXIMUM_ANSWER_SIZE}")
    try:
        return response.decode("utf-8")
    except UnicodeDecodeError:
        raise UnauthorizedLogin("an answer that is no UTF-8") from None


class KeyboardInteractiveServer(ServerMethod):
    """
    Asks the portal with credentials by which the checker can ask the user.
    """

    name = b"keyboard-interactive"
    credentials = IKeyboardInteractive
    wantsEncryption = True

    async def decide(self, methodData: bytes) -> LoginResult:
        # The languages and the submethods that the client would like are hints
        # (section 3.1), and no checker has more than one of either.
        KeyboardInteractiveData.unpack(methodData)
        credentials = KeyboardInteractive(self.server)
        try:
            return await self.login(credentials).addErrback(self.server._ebPassword)
        finally:
            credentials.over()
