"""
What an authentication method is, on either side.

A method is a file beside this one, with its L{ClientMethod} and its
L{ServerMethod}, and one line in L{conchlite.ssh.authmethods}. The services in
L{conchlite.ssh.userauth} do what all methods have in common: requests and
their answers, the order of methods, the reader's pauses, the count of failures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import ConchError, IgnoreAuthentication, PeerError, UnexpectedMessage, UsageError, safe
from conchlite.sansio.authentication import ClientState

if TYPE_CHECKING:
    from twisted.cred.credentials import ICredentials
    from zope.interface import Interface

    from conchlite.sansio.authentication import ClientAuthentication
    from conchlite.ssh.userauthclient import SSHUserAuthClient
    from conchlite.ssh.userauthserver import SSHUserAuthServer

#: What a login comes to, as L{twisted.cred.portal.Portal.login} has it: an
#: interface, the avatar that provides it, and what logs it out.
LoginResult = tuple["type[Interface]", Any, Callable[[], object]]


class ClientMethod:
    """
    A method as a client runs it, for one authentication.

    @cvar name: the method's name.
    @cvar repeatable: whether it may be one step of an authentication more than
        once, as C{publickey} with another key may.
    @cvar messages: which of the message numbers 60 to 79 may come at which of
        the method's steps, and the name of the method that takes it: it gets
        what follows the number, raises L{PeerError} if that is wrong, and
        returns what L{messageReceived} returns.
    @ivar step: where the method stands; a member of an enum of its own.
    @ivar client: the service that runs the method, and that the program has
        derived its own from.
    @ivar record: what the report of a failure is made of.
    """

    _log = Logger()

    name: ClassVar[bytes]
    repeatable: ClassVar[bool] = False
    messages: ClassVar[Mapping[tuple[Enum, int], str]] = {}
    step: Enum

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        self.client = client
        self.record = record

    async def attempt(self) -> bool:
        """
        Offer the server what was not offered yet.

        @return: whether a request was sent; if not, the method is not tried
            again.
        """
        raise NotImplementedError

    def messageReceived(self, messageNum: int, packet: bytes) -> Deferred[bool]:
        """
        A message of the method came.

        @return: fires with whether it was answered, by the method's next
            message or by a new request; if not, something else is tried.
        @raise UnexpectedMessage: the message may not come at this step.
        @raise MalformedMessage: it is truncated, or has trailing bytes.
        """
        name = self.messages.get((self.step, messageNum))
        if name is None:
            raise UnexpectedMessage(
                f"message {messageNum} came while {self.name.decode('ascii')} is at {self.step.value}"
            )
        answered: Deferred[bool] = getattr(self, name)(packet)
        return answered

    def ask(self, question: str, *arguments: object) -> Deferred[Any]:
        """
        Ask the program.

        @param question: the name of the client's method that is called.
        @return: fires with its answer; with L{None} if it failed, which goes
            into the log and into the report.
        """
        return askProgram(self.client, self.record, question, *arguments)


def askProgram(
    client: SSHUserAuthClient, record: ClientAuthentication, question: str, *arguments: object
) -> Deferred[Any]:
    """
    As L{ClientMethod.ask}.
    """

    def failed(reason: Failure) -> Failure | None:
        if record.state is ClientState.STOPPED:
            # The connection ended, and the question was cancelled.
            return reason
        said = safe(f"{type(reason.value).__name__}: {reason.value}")
        if reason.check(ConchError) and not reason.check(UsageError):
            # A key that does not fit, an agent that has gone: no defect of the program.
            ClientMethod._log.warn("{question} failed: {error}", question=question, error=said)
        else:
            ClientMethod._log.failure("{question} failed", reason, question=question)
        record.obstacles.append(f"{question} failed: {said}")
        return None

    return maybeDeferred(getattr(client, question), *arguments).addErrback(failed)


class ServerMethod:
    """
    A method as a server runs it, for one request.

    @cvar name: the method's name.
    @cvar credentials: what the method makes of a request: a server has the
        method if its portal has a checker for them.
    @cvar wantsEncryption: whether the client sends what nobody else may see.
    @ivar server: the service that runs the method.
    """

    name: ClassVar[bytes]
    credentials: ClassVar[type[Interface]]
    wantsEncryption: ClassVar[bool] = False

    def __init__(self, server: SSHUserAuthServer) -> None:
        self.server = server

    async def decide(self, methodData: bytes) -> LoginResult:
        """
        Decide on a request.

        While this runs, nothing is read from the client, but for the answers
        that C{server.converse} waits for. When the request does not matter any
        more, what is awaited is cancelled.

        @param methodData: the request's end, which is the method's own.
        @return: the login.
        @raise MalformedMessage: C{methodData} is not this method's; it ends
            the connection.
        @raise MethodReply: the request is neither granted nor refused.
        @raise Exception: whatever else is raised refuses the request.
        """
        raise NotImplementedError

    def login(self, credentials: ICredentials) -> Deferred[LoginResult]:
        """
        Ask the portal.

        @return: fires with the login, or fails with what the checker or the
            realm raised.
        """
        from conchlite.interfaces import IConchUser

        login: Deferred[Any] = self.server.portal.login(credentials, None, IConchUser)
        return login.addErrback(_refused)


def _refused(reason: Failure) -> Failure:
    from twisted.cred.error import UnauthorizedLogin

    # That the credentials are malformed is the checker's verdict on them. The
    # message was fine, and the client may go on.
    if reason.check(PeerError):
        return Failure(UnauthorizedLogin(str(reason.value)))
    return reason


class MethodReply(IgnoreAuthentication):
    """
    A request is answered by a message of its method.

    @ivar messageNum: the message's number, from 60 to 79.
    @ivar packet: what follows the number.
    @ivar counts: whether the request counts as a failure.
    """

    def __init__(self, messageNum: int, packet: bytes, counts: bool = False) -> None:
        super().__init__(f"message {messageNum}")
        self.counts = counts
        self.messageNum = messageNum
        self.packet = packet
