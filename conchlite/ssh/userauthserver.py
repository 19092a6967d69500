"""
The server's half of the service C{ssh-userauth}: RFC 4252.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.cred.error import LoginFailed, Unauthorized
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface

from conchlite.error import (
    ConchError,
    IgnoreAuthentication,
    MalformedMessage,
    NotEnoughAuthentication,
    TooManyAuthenticationFailures,
    UnexpectedMessage,
    UnknownService,
    safe,
)
from conchlite.sansio.authentication import (
    ALIASES,
    ServerAuthentication,
    ServerInput,
    ServerState,
    attributeName,
    readRequest,
)
from conchlite.ssh.authmethods import METHODS
from conchlite.ssh.authmethods.base import LoginResult, MethodReply
from conchlite.ssh.authmethods.publickey import unbind
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.doorman import GuardedPortal
from conchlite.ssh.factors import Login, Methods, following
from conchlite.ssh.gssapi import KERBEROS, Library
from conchlite.ssh.refusals import Attempt, lighten
from conchlite.ssh.service import SSHService
from conchlite.ssh.threads import Run
from conchlite.wire import numbers
from conchlite.wire.userauth import UserauthBanner, UserauthFailure, UserauthSuccess

if TYPE_CHECKING:
    from conchlite.ssh.transport import SSHServerTransport


class SSHUserAuthServer(SSHService):
    """
    Lets users in whom the portal of the factory lets in.

    Only one request is decided at a time, and nothing is read meanwhile. A
    checker's Deferred is cancelled when the connection ends: a realm that
    takes its time to make an avatar should give its Deferred a canceller.

    A subclass can take a method in hand itself: C{auth_} and the method's
    name, with C{_} for C{-}, is called with the end of the request, and
    returns a Deferred of what L{Portal.login} gives. The method has to be in
    C{interfaceToMethod}, and the portal to have a checker for the interface.

    @cvar interfaceToMethod: credentials to the method that makes them.
    @ivar loginTimeout: how many seconds a client has to log in, from its
        connection on; 0 for no limit. On a class L{None} for what the
        transport's C{loginTimeout} says; a number takes its place.
    @cvar attemptsBeforeDisconnect: with this many failures, of all methods
        together, the connection ends.
    @cvar passwordDelay: how many seconds after a request for C{password} it
        is refused, at the earliest.
    @cvar failureDelay: the same for the other methods, but for C{none}.
    @cvar minimumRSABits: the smallest RSA key that is accepted, in bits.
    @cvar acceptedSignatures: the signature algorithms that are accepted;
        L{None} for the transport's, which it announces.
    @cvar requiredMethods: which methods have to succeed, as
        C{AuthenticationMethods} of sshd_config(5) has it: one list for each
        way to log in, which is gone through in its order. Without any, one
        method is enough, unless its checker wants more.
    @cvar banner: a text for the user, which clients show before the login;
        L{None} for none.
    @cvar clock: what the delays run on; L{None} for the transport's.
    @cvar gssapiService: which service this is to GSS-API, as
        C{"host@server.example.org"}; L{None} for any that it has a key of.
    @cvar gssapiMechanisms: object identifiers, with dots.
    @cvar gssapiLibrary: what does GSS-API; L{None} for the extra C{gssapi}.
    @cvar gssapiRun: how its calls are made, which may block; L{None} for the
        reactor's threads.
    @ivar user: who wants to log in.
    @ivar nextService: the service that is to follow.
    @ivar method: the method of the request that is being decided.
    @ivar boundHostKey: our host key, if the request is one of C{publickey} that
        is bound to it, OpenSSH PROTOCOL 3.1.
    @ivar supportedAuthentications: the methods that there are.
    @ivar authenticatedWith: the methods that were accepted as one part of
        what is wanted from C{user}.
    @ivar portal: where users log in.
    """

    _log = Logger()

    name: Text = b"ssh-userauth"
    protocolMessages = {numbers.MSG_USERAUTH_REQUEST: "USERAUTH_REQUEST"}
    interfaceToMethod: Mapping[type[Interface], bytes] = {
        method.server.credentials: name for name, method in METHODS.items()
    }
    loginTimeout: float | None = None
    attemptsBeforeDisconnect = 6
    passwordDelay: float = 1
    failureDelay: float = 0.1
    minimumRSABits = 2048
    acceptedSignatures: Sequence[bytes] | None = None
    requiredMethods: Methods = ()
    banner: Text | None = None
    clock: IReactorTime | None = None
    gssapiService: str | None = None
    gssapiMechanisms: Sequence[str] = (KERBEROS,)
    gssapiLibrary: Library | None = None
    gssapiRun: Run | None = None

    transport: SSHServerTransport
    portal: Portal

    def __init__(self) -> None:
        self.user = b""
        self.nextService = b""
        self.method = b""
        self.boundHostKey: bytes | None = None
        self.supportedAuthentications: list[bytes] = []
        self.authenticatedWith: list[bytes] = []
        self._machine = ServerAuthentication()
        self._login = Login()
        self._attempt: Attempt | None = None
        # The numbers that a method's answer may have, and what fires with it.
        self._awaited: tuple[Collection[int], Deferred[tuple[int, bytes]]] | None = None
        self._pause: Deferred[None] | None = None
        self._bannerWaits = True

    @property
    def loginAttempts(self) -> int:
        """
        The number of failures that counted.
        """
        return self._machine.failures

    # What the transport calls.

    def serviceStarted(self) -> None:
        """
        Find out which methods there are, and how long this may take.
        """
        self.portal = GuardedPortal(self, self.transport.factory.portal)
        self.supportedAuthentications = []
        for interface in self.portal.listCredentialsInterfaces():
            method = self.interfaceToMethod.get(interface)
            if method is not None and method not in self.supportedAuthentications:
                self.supportedAuthentications.append(method)
        if not self.transport.isEncrypted("both"):
            self.supportedAuthentications = [
                method
                for method in self.supportedAuthentications
                if method not in METHODS or not METHODS[method].server.wantsEncryption
            ]
        if self.loginTimeout is None:
            self.loginTimeout = self.transport.loginTimeout
        else:
            self.transport.limitLogin(self.loginTimeout)

    def serviceStopped(self) -> None:
        """
        Cancel what is awaited.
        """
        accepted = self._machine.state is ServerState.AUTHENTICATED
        self._machine.step(ServerInput.STOP)
        self._abandon()
        if not accepted:
            # After a login it is the next service that the reader goes on
            # for, so it waits until that has started.
            self._readOn()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """
        A message of the client came.

        @raise UnexpectedMessage: the state does not allow it.
        @raise MalformedMessage: it cannot be read.
        """
        if self._machine.received(messageNum) and messageNum >= numbers.FIRST_AUTH_METHOD_NUMBER:
            self._answered(messageNum, packet)
        else:
            super().packetReceived(messageNum, packet)
        if self._machine.state is ServerState.DECIDING and self._pause is None:
            self._pause = Deferred()
            self.transport.pauseWhile(self._pause)

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """
        The client wants to log in.
        """
        request = readRequest(packet)
        # A request that the client does not wait for has failed.
        if self._abandon() and not self.countFailure():
            return
        if (request.userName, request.serviceName) != (self.user, self.nextService):
            # RFC 4252 section 5: what was proved for another does not count.
            self.authenticatedWith = []
            self._login = Login(request.userName, self.transport.getPeer().hostText, self.transport.clock)
        self.user = request.userName
        self.nextService = request.serviceName
        self.method = ALIASES.get(request.methodName, request.methodName)
        self._login.begin(self.method)
        self.boundHostKey = self.transport.hostKey if request.methodName in ALIASES else None
        if self.banner is not None and self._bannerWaits:
            self._bannerWaits = False
            self.sendBanner(self.banner)
        clock = self._clock()
        delay = 0 if self.method == b"none" else self.failureDelay
        attempt = self._attempt = Attempt(0 if clock is None else clock.seconds(), delay)
        login = maybeDeferred(self._try, request.methodData)
        attempt.decision = login.addBoth(self._decided, attempt)

    # What a program uses or overrides.

    def sendBanner(self, message: Text, language: Text = b"") -> None:
        """
        Send a text for the user to read before the login.

        @param language: the language of it, RFC 3066.
        """
        banner = UserauthBanner(asBytes(message), asBytes(language))
        self.transport.sendPacket(banner.number, banner.pack())

    def tryAuth(self, kind: bytes, user: bytes, data: bytes) -> Deferred[LoginResult]:
        """
        Decide on a request.

        @param kind: the method.
        @param user: who wants to log in.
        @param data: the end of the request, which is the method's own.
        @return: fires with the login, or fails with why there is none.
        """
        if kind not in self.supportedAuthentications or not self._isNext(kind):
            return fail(ConchError(f"there is no method {safe(kind)} here"))
        override: Callable[[bytes], Deferred[LoginResult]] | None = getattr(
            self, attributeName("auth_", kind), None
        )
        return self._decide(kind, data) if override is None else override(data)

    def auth_publickey(self, packet: bytes) -> Deferred[LoginResult]:
        """
        Decide on a request for C{publickey}.
        """
        return self._decide(b"publickey", packet)

    def auth_password(self, packet: bytes) -> Deferred[LoginResult]:
        """
        Decide on a request for C{password}.
        """
        return self._decide(b"password", packet)

    def converse(
        self, messageNum: int, packet: bytes, answers: Collection[int]
    ) -> Deferred[tuple[int, bytes]]:
        """
        Send a message of the method that is deciding, and wait for the
        client's answer.

        @param messageNum: the message's number, from 60 to 79.
        @param packet: what follows the number.
        @param answers: the numbers that the answer may have; another one ends
            the connection.
        @return: fires with the answer's number and what follows it. It is
            cancelled if the client begins a new request instead.
        @raise UsageError: no request is being decided.
        """
        answer = self._await(answers)
        self.transport.sendPacket(messageNum, packet)
        self._readOn()
        return answer

    def expect(self, answers: Collection[int]) -> Deferred[tuple[int, bytes]]:
        """
        As L{converse}, where it is the client's turn and there is nothing to
        send.

        @param answers: with none, only a new request may come, which cancels
            what this returns.
        """
        answer = self._await(answers)
        self._readOn()
        return answer

    def _await(self, answers: Collection[int]) -> Deferred[tuple[int, bytes]]:
        self._machine.step(ServerInput.CHALLENGE)
        answer: Deferred[tuple[int, bytes]] = Deferred()
        self._awaited = (answers, answer)
        return answer

    def countFailure(self) -> bool:
        """
        Count a failure. Whoever has had too many of them is disconnected.

        @return: whether the client may go on.
        """
        self._machine.failed(self.method)
        allowed = self.loginAttempts < self.attemptsBeforeDisconnect
        if not allowed:
            self.transport.failProtocol(
                TooManyAuthenticationFailures(f"{self.loginAttempts} requests to log in failed")
            )
        return allowed

    def methodsFor(self, user: bytes) -> Methods:
        """
        Which methods a user has to succeed with: C{requiredMethods}, unless
        it is overridden. It is asked for users who do not exist, too.
        """
        return self.requiredMethods

    def underWay(self) -> tuple[Login, object]:
        """
        The login that is under way, and the request of it that is being
        decided.
        """
        return self._login, self._attempt

    def isDeciding(self, attempt: object) -> bool:
        """
        Whether a request is still the one that is being decided.
        """
        return self._attempt is attempt

    def isComplete(self) -> bool:
        """
        Whether the user has proved all that C{methodsFor} wants of him.
        """
        return self._following() is None

    def _following(self) -> list[bytes] | None:
        return following(self.methodsFor(self.user), [factor.method for factor in self._login.factors])

    def _isNext(self, kind: bytes) -> bool:
        return not self.methodsFor(self.user) or kind in (self._following() or ())

    def authenticationsThatCanContinue(self) -> list[bytes]:
        """
        The methods that a FAILURE names. Those that were accepted as a part
        are left out, lest the client does the same part for ever.
        """
        # RFC 4252 section 5.2: "none" is never among them.
        supported = [name for name in self.supportedAuthentications if name != b"none"]
        if self.methodsFor(self.user):
            return [name for name in self._following() or () if name in supported]
        return [name for name in supported if name not in self.authenticatedWith] or supported

    # A request's way to its answer.

    def _try(self, data: bytes) -> Deferred[LoginResult]:
        if self.boundHostKey is not None and self.method in self.supportedAuthentications:
            data = unbind(data, self.boundHostKey)
        return self.tryAuth(self.method, self.user, data)

    def _decide(self, kind: bytes, data: bytes) -> Deferred[LoginResult]:
        if kind not in METHODS:
            return fail(ConchError(f"there is no method {safe(kind)} here"))
        return Deferred.fromCoroutine(METHODS[kind].server(self).decide(data))

    def _answered(self, messageNum: int, packet: bytes) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is None or messageNum not in awaited[0]:
            raise UnexpectedMessage(f"message {messageNum} is no answer that {safe(self.method)} waits for")
        clock = self._clock()
        if self._attempt is not None and clock is not None:
            # How long the user took to answer is not the server's delay.
            self._attempt.started = clock.seconds()
        awaited[1].callback((messageNum, packet))

    def _abandon(self) -> bool:
        """
        Drop the request that is not answered yet.

        @return: whether there was one.
        """
        attempt, self._attempt = self._attempt, None
        awaited, self._awaited = self._awaited, None
        if attempt is not None and attempt.decision is not None:
            attempt.decision.cancel()
        if awaited is not None:
            awaited[1].cancel()
        return attempt is not None

    def _decided(self, result: LoginResult | Failure, attempt: Attempt) -> Deferred[None] | None:
        # A refusal waits, so that the time it takes does not tell who exists.
        # What is no refusal is answered at once.
        if (
            self._attempt is attempt
            and isinstance(result, Failure)
            and not result.check(IgnoreAuthentication, NotEnoughAuthentication, MalformedMessage)
        ):
            clock = self._clock()
            seconds = 0 if clock is None else attempt.remaining(self.user, clock.seconds())
            if clock is not None and seconds > 0:
                lighten(result)
                return deferLater(clock, seconds).addBoth(self._conclude, result, attempt)
        return self._conclude(None, result, attempt)

    def _conclude(
        self, waited: object, result: LoginResult | Failure, attempt: Attempt
    ) -> Deferred[None] | None:
        if self._attempt is not attempt or self.transport.closeReason is not None:
            # The client has gone, or asks for something else by now.
            if not isinstance(result, Failure):
                maybeDeferred(self._logOut, result).addErrback(self._ebInternal)
            if self._attempt is attempt:
                self._cbConcluded(None, attempt)
            return None
        outcome: Deferred[LoginResult] = fail(result) if isinstance(result, Failure) else succeed(result)
        answered = outcome.addCallback(self._cbFinishedAuth)
        answered.addErrback(self._ebMaybeBadAuth)
        answered.addErrback(self._ebBadAuth)
        answered.addErrback(self._ebInternal)
        return answered.addCallback(self._cbConcluded, attempt)

    def _cbConcluded(self, result: None, attempt: Attempt) -> None:
        if self._attempt is attempt:
            self._attempt = None
        if self._machine.state is ServerState.DECIDING:
            # An override has answered in its own way.
            self._machine.step(ServerInput.PASS)
        self._readOn()

    def _readOn(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)

    def _logOut(self, login: LoginResult) -> object:
        return login[2]()

    def _clock(self) -> IReactorTime | None:
        return self.clock or self.transport.clock

    # The answers, under the names that programs written for Conch override
    # and call.

    def _cbFinishedAuth(self, result: LoginResult) -> None:
        """
        Let the user in, and start the service that he asked for.

        @raise UnknownService: there is no such service.
        """
        _, avatar, logout = result
        transport = self.transport
        self._login.end()
        if not self.isComplete():
            maybeDeferred(self._logOut, result).addErrback(self._ebInternal)
            raise NotEnoughAuthentication("another method has to follow")
        transport.avatar = avatar
        transport.logoutFunction = logout
        transport.permissions = self._login.permissionsOf(transport.permissions)
        service = transport.factory.getService(transport, self.nextService)
        if service is None:
            # RFC 4252 section 5: then the login must not be accepted.
            raise UnknownService(f"{safe(self.user)} logged in for a service '{safe(self.nextService)}'")
        self._machine.step(ServerInput.ACCEPT)
        self._log.info(
            "{user} logged in with {factors} from {host}",
            user=safe(self.user),
            method=safe(self.method),
            factors=", ".join(map(str, self._login.factors)) or safe(self.method),
            host=self.transport.getPeer().hostText,
        )
        transport.sendPacket(numbers.MSG_USERAUTH_SUCCESS, UserauthSuccess().pack())
        transport.isAuthenticated = True
        transport.setService(service())
        self._settle()

    def _ebMaybeBadAuth(self, reason: Failure) -> None:
        """
        The request was good, and the user has to prove more.
        """
        reason.trap(NotEnoughAuthentication)
        self.authenticatedWith.append(self.method)
        self._refuse(partialSuccess=True)

    def _ebBadAuth(self, reason: Failure) -> Failure | None:
        """
        The request was no good: say so, or nothing, if that is the wish.
        """
        error = reason.value
        if self._machine.state is not ServerState.DECIDING:
            # The login is done: this came out of the service that follows.
            return reason
        if isinstance(error, IgnoreAuthentication):
            self._machine.step(ServerInput.PASS)
            if isinstance(error, MethodReply) and (not error.counts or self.countFailure()):
                self.transport.sendPacket(error.messageNum, error.packet)
            self._settle()
        elif isinstance(error, MalformedMessage | UnexpectedMessage | UnknownService):
            self.transport.failProtocol(error)
        else:
            self._logRefusal(reason)
            if self.countFailure():
                self._refuse(partialSuccess=False)
        return None

    def _ebPassword(self, reason: Failure) -> Failure:
        """
        A password was no good: that takes longer to say.
        """
        if self._attempt is not None:
            self._attempt.delay = self.passwordDelay
        return reason

    def _ebInternal(self, reason: Failure) -> None:
        self._log.failure("the login failed", reason)
        self.transport.end(
            ConchError(f"the login failed: {safe(reason.getErrorMessage())}", reason),
            numbers.DISCONNECT_BY_APPLICATION,
            b"internal error",
        )

    def _refuse(self, partialSuccess: bool) -> None:
        self._machine.step(ServerInput.REFUSE)
        failure = UserauthFailure(tuple(self.authenticationsThatCanContinue()), partialSuccess)
        self.transport.sendPacket(failure.number, failure.pack())
        self._settle()

    def _settle(self) -> None:
        # Of a request that came through ssh_USERAUTH_REQUEST there is more to
        # come, and then the reader goes on. A program that overrides it as a
        # whole ends here.
        if self._attempt is None:
            self._readOn()

    def _logRefusal(self, reason: Failure) -> None:
        error = reason.value
        if reason.check(LoginFailed, Unauthorized, ConchError) is None:
            self._log.failure("{method} failed", reason, method=safe(self.method))
        elif self.method != b"none":
            self._log.info(
                "{user} was refused {method} from {host}: {why}",
                user=safe(self.user),
                method=safe(self.method),
                host=self.transport.getPeer().hostText,
                why=safe(str(error)) or type(error).__name__,
            )
