"""
The client's half of the service C{ssh-userauth}: RFC 4252.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import (
    AuthenticationFailed,
    ConchError,
    ConnectionEnded,
    Disconnected,
    LoginTimedOut,
    PeerError,
    UnexpectedMessage,
    safe,
)
from conchlite.sansio.authentication import ClientAuthentication, ClientInput, ClientState, attributeName
from conchlite.ssh.authmethods import METHODS
from conchlite.ssh.authmethods.base import ClientMethod, askProgram
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.gssapi import KERBEROS, Library
from conchlite.ssh.service import SSHService
from conchlite.ssh.threads import Run
from conchlite.wire import numbers
from conchlite.wire.userauth import UserauthBanner, UserauthFailure, UserauthSuccess

if TYPE_CHECKING:
    from typing import TypeAlias

    from conchlite.algorithms.publickeys import PrivateKey, PublicKey
    from conchlite.ssh.keys import Key

    # What programs answer, at once or later. Awaitable is what a Deferred is,
    # and unlike Deferred it lets an override promise less than all of this.
    Later: TypeAlias = Awaitable
    GivenPublicKey: TypeAlias = Key | PublicKey | bytes | str | None
    GivenPrivateKey: TypeAlias = Key | PrivateKey | bytes | str | None

# One for all: an empty one takes 216 bytes.
_NO_PASSWORDS: frozenset[bytes] = frozenset()

_UNDECIDED = (ClientState.CHOOSING, ClientState.WAITING, ClientState.ANSWERING)


class SSHUserAuthClient(SSHService):
    """
    Logs in to a server, and then starts the service that it was made with.

    A program derives its own from it and overrides L{getPublicKey} and
    L{getPrivateKey}, or L{getPassword}, or all of them. Each may return a
    Deferred: nothing is read from the server until it has fired, and it is
    cancelled if the connection ends first. One that fails counts as having
    nothing to offer; what it failed with goes into the log, and into the
    L{AuthenticationFailed} that the connection ends with when the server
    accepted nothing.

    A subclass can take a method in hand itself: C{auth_} and the method's
    name, with C{_} for C{-}, is called to try the method, calls L{askForAuth}
    and returns True or a Deferred of it; C{ssh_USERAUTH_PK_OK_} and the name
    gets the method's message 60. C{auth_password = None} turns a method off.

    @cvar preferredOrder: the methods, in the order in which they are tried.
    @cvar signatureAlgorithms: what keys may sign with; L{None} for the
        transport's C{acceptedSignatures}.
    @cvar minimumRSABits: the smallest RSA key that is used, in bits.
    @cvar maximumPasswordAttempts: how many passwords are sent at most.
    @cvar maximumRequests: how many requests are sent at most.
    @cvar clientHostName: the name that the server knows this machine by, for
        C{hostbased}, which is not tried without it.
    @cvar clientUserName: who the user is on this machine; L{None} for whom
        the process runs as.
    @cvar gssapiHost: the server's name, as its Kerberos key has it; without
        it C{gssapi-with-mic} is not tried.
    @cvar gssapiDelegate: whether the server gets the user's ticket, to use it
        as the user would.
    @cvar gssapiMechanisms: object identifiers, with dots.
    @cvar gssapiLibrary: what does GSS-API; L{None} for the extra C{gssapi}.
    @cvar gssapiRun: how its calls are made, which may block; L{None} for the
        reactor's threads.
    @cvar maximumAttempts: how many attempts the server may refuse before the
        client gives up; while there is something else to try than keys, keys
        leave one of them over. OpenSSH's sshd closes at the sixth, by default.
    @cvar requireAuthentication: whether a server that lets the user in without
        a proof of who he is, as one may that wants to ask for a password
        later, under another name (CVE-2021-36367), is left.
    @cvar serverName: the server's name, for the report of a failure, which has
        its address as well.
    @cvar wallClock: the time, in seconds since 1970, by which the report of a
        failure judges certificates.
    @ivar user: who logs in.
    @ivar instance: the service that follows.
    @ivar lastAuth: the method of the last request.
    @ivar lastPublicKey: the key that was offered last.
    @ivar signatureAlgorithm: the algorithm that it was offered with, and of
        which L{signData} has to make a signature.
    @ivar triedPublicKeys: the keys that L{getPublicKey} gave.
    @ivar sentPasswords: the passwords that C{password} has sent.
    @ivar notes: what a person who is told of a failure should know besides; the
        program's own words, which become a part of the report.
    @ivar authenticatedWith: the methods that the server accepted as one part
        of what it wants.
    """

    _log = Logger()

    name: Text = b"ssh-userauth"
    protocolMessages = {
        numbers.MSG_USERAUTH_FAILURE: "USERAUTH_FAILURE",
        numbers.MSG_USERAUTH_SUCCESS: "USERAUTH_SUCCESS",
        numbers.MSG_USERAUTH_BANNER: "USERAUTH_BANNER",
        numbers.MSG_USERAUTH_PK_OK: "USERAUTH_PK_OK",
    }
    preferredOrder: Sequence[Text] = [
        b"gssapi-with-mic",
        b"publickey",
        b"password",
        b"keyboard-interactive",
    ]
    signatureAlgorithms: Sequence[bytes] | None = None
    minimumRSABits = 2048
    maximumPasswordAttempts = 3
    maximumRequests = 20
    clientHostName: Text | None = None
    clientUserName: Text | None = None
    gssapiHost: str | None = None
    gssapiDelegate = False
    gssapiMechanisms: Sequence[str] = (KERBEROS,)
    gssapiLibrary: Library | None = None
    gssapiRun: Run | None = None
    maximumAttempts = 6
    requireAuthentication = False
    serverName = ""
    wallClock: Callable[[], float] = staticmethod(time.time)

    def __init__(self, user: Text, instance: SSHService) -> None:
        """
        @param user: who logs in; text is encoded as UTF-8.
        @param instance: the service to start after that.
        """
        self.user = asBytes(user)
        self.instance = instance
        self.notes: list[str] = []
        self._forget()

    def _forget(self) -> None:
        self._record = ClientAuthentication()
        self._methods: dict[bytes, ClientMethod] = {}
        self._running: Deferred[None] | None = None
        self._unoffered: tuple[str, ...] = ()
        self.lastAuth: bytes | None = None
        self.lastPublicKey: Key | None = None
        self.signatureAlgorithm = b""
        self.triedPublicKeys: list[Key] = []
        self.sentPasswords = _NO_PASSWORDS

    @property
    def authenticatedWith(self) -> list[bytes]:
        return self._record.authenticatedWith

    # What a program overrides.

    def getPublicKey(self) -> Later[GivenPublicKey] | GivenPublicKey:
        """
        The next public key to offer. Called until there is none, or none that
        was not offered before.

        @return: a key, its blob, or a Deferred of one of these; L{None} when
            there is none (left). Where it is the private key, the server gets
            a signature by it at once, and is not asked before: a login takes
            one round trip less. L{signData} makes that signature, too.
        """
        return None

    def getPrivateKey(self) -> Later[GivenPrivateKey] | GivenPrivateKey:
        """
        The private half of L{lastPublicKey}, which the server would accept, or
        which is offered with a signature.

        @return: the key or a Deferred of it; L{None} if there is none.
        """
        return None

    def signData(self, publicKey: Key, signData: bytes) -> Later[bytes | None] | bytes | None:
        """
        Sign with the private half of C{publicKey}, by L{signatureAlgorithm}.
        Overridden where something else than L{getPrivateKey} has the key, as
        an agent.

        @return: a signature blob (the algorithm's name and the signature,
            each as a string) or a Deferred of one; L{None} if there is none.
        """
        from conchlite.ssh.authmethods.publickey import sign

        return Deferred.fromCoroutine(sign(self, publicKey, signData))

    def keySource(self, publicKey: Key) -> str:
        """
        Where a key that L{getPublicKey} gave comes from, for the report of a
        failure.

        @return: a few words, such as C{"file ~/.ssh/id_ed25519"} or C{"agent"}.
        """
        return "program"

    def keysLeft(self) -> Sequence[str]:
        """
        The keys that were not asked for yet, where that is known, in words:
        for the report of a failure.
        """
        return []

    def getPassword(self, prompt: bytes | None = None) -> Later[Text | None] | Text | None:
        """
        The password.

        @param prompt: not given for a login. When the server asks for a new
            password, it is called for the old one and for the new one, and
            this is what to show; it is the server's own text.
        @return: a Deferred of the password; L{None} for "no password".
        """
        return None

    def getGenericAnswers(
        self, name: bytes, instruction: bytes, prompts: list[tuple[bytes, bool]]
    ) -> Later[Sequence[Text] | None] | Sequence[Text] | None:
        """
        The answers to what the server asks by C{keyboard-interactive}, which
        may be several times in one login. What is to be shown is the server's
        own text.

        @param name: a title, or nothing.
        @param instruction: some lines to show, or nothing.
        @param prompts: the questions, each with whether the answer may be
            shown while it is typed. There may be none: then there is only
            something to show.
        @return: an answer for each prompt, or a Deferred of them; L{None} for
            none. Then the only prompt, if it asks for a password, is answered
            with what L{getPassword} has.
        """
        return None

    def hasAnswers(self) -> bool:
        """
        Whether there is anything to answer the server's questions with. If not,
        C{keyboard-interactive} is not begun: that would be one more failure in
        the server's count, and in its log. As it stands, whether a subclass has
        a L{getGenericAnswers} or a L{getPassword}.
        """
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(SSHUserAuthClient, name)
            for name in ("getGenericAnswers", "getPassword")
        )

    def getHostKey(self) -> Later[GivenPrivateKey] | GivenPrivateKey:
        """
        The next host key of this machine to log in with by C{hostbased}.
        Called until there is none, or none that was not offered before.

        @return: a key or a Deferred of one: a private one, or a public one
            where L{signAsHost} is overridden; L{None} when there is none
            (left).
        """
        return None

    def signAsHost(self, hostKey: Key, signData: bytes) -> Later[bytes | None] | bytes | None:
        """
        Sign with the private half of C{hostKey}, by L{signatureAlgorithm}.
        Overridden where L{getHostKey} has the public keys only.

        @return: a signature blob, as L{signData} returns one.
        """
        return None if hostKey.isPublic() else hostKey.sign(signData, self.signatureAlgorithm)

    def bannerReceived(self, message: str, language: str) -> None:
        """
        The server has something to say to the user before the login. It goes
        into the log, line by line, unless this is overridden.

        @param message: what it says, which may be several lines; control
            characters are shown as escapes.
        @param language: the language of it, RFC 3066, or nothing.
        """
        for line in message.split("\n"):
            self._log.info("banner of the server: {line}", line=line)

    # What the transport calls.

    def serviceStarted(self) -> None:
        """
        Ask for C{none}: the answer tells which methods there are.
        """
        self._forget()
        self.askForAuth(b"none", b"")

    def serviceStopped(self) -> None:
        """
        Cancel what is awaited, and forget what was sent. A connection that
        ended in the middle of the login ends with a report of it.
        """
        before = self._record.state
        self._record.step(ClientInput.STOP)
        if before in _UNDECIDED:
            self._explainEnd()
        self._methods = {}
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """
        A message of the server came.

        @raise UnexpectedMessage: the state does not allow it.
        @raise MalformedMessage: it cannot be read.
        """
        if self._record.received(messageNum) and messageNum not in self.protocolMessages:
            self._toMethod(messageNum, packet)
        else:
            super().packetReceived(messageNum, packet)

    def ssh_USERAUTH_SUCCESS(self, packet: bytes) -> None:
        """
        The server let the user in: start the service that follows.
        """
        UserauthSuccess.unpack(packet)
        self._record.accepted()
        if self.requireAuthentication and not self._record.isProven:
            self.transport.end(
                self._failed(unproven=True),
                numbers.DISCONNECT_BY_APPLICATION,
                b"authentication is required",
            )
            return
        self._log.info(
            "authenticated as {user} with {method}",
            user=safe(self._record.userName),
            method=safe(self._record.methodName),
        )
        self.transport.isAuthenticated = True
        self.transport.setService(self.instance)

    def ssh_USERAUTH_FAILURE(self, packet: bytes) -> None:
        """
        The server did not let the user in, or not yet: try what comes next.
        """
        self._record.refused(UserauthFailure.unpack(packet))
        self._run(self._choose())

    def ssh_USERAUTH_BANNER(self, packet: bytes) -> None:
        """
        The server has something to say.
        """
        banner = UserauthBanner.unpack(packet)
        self._record.bannerReceived(len(banner.message))
        lines = banner.message.replace(b"\r\n", b"\n").split(b"\n")
        # Each byte becomes four characters at most, and nothing is cut off.
        message = "\n".join(safe(line, 4 * len(line)) for line in lines)
        self._record.banners.append(message)
        self.bannerReceived(message, safe(banner.languageTag))

    def ssh_USERAUTH_PK_OK(self, packet: bytes) -> None:
        """
        Message 60, whose meaning is the method's.
        """
        name = attributeName("ssh_USERAUTH_PK_OK_", self._record.methodName)
        override = getattr(self, name, None)
        if override is None:
            self._toMethod(numbers.MSG_USERAUTH_PK_OK, packet)
        else:
            self._run(self._answer(maybeDeferred(override, packet)))

    # What drives the methods.

    def askForAuth(self, kind: Text, extraData: bytes) -> None:
        """
        Send a request.

        @param kind: the method's name.
        @param extraData: what the method puts behind it.
        @raise UsageError: a request is still without an answer.
        """
        self.lastAuth = asBytes(kind)
        payload = self._record.request(
            asBytes(self.user), asBytes(self.instance.name), self.lastAuth, extraData
        )
        self.transport.sendPacket(numbers.MSG_USERAUTH_REQUEST, payload)

    def tryAuth(self, kind: bytes) -> Deferred[bool] | bool:
        """
        Try a method.

        @param kind: the method's name.
        @return: whether a request was sent, or a Deferred of that.
        """
        attempt: Callable[[], Deferred[bool] | bool] | None = getattr(
            self, attributeName("auth_", kind), partial(self._attempt, kind)
        )
        return attempt() if attempt is not None else False

    def auth_publickey(self) -> Deferred[bool] | bool:
        """
        Try C{publickey}.
        """
        return self._attempt(b"publickey")

    def auth_password(self) -> Deferred[bool] | bool:
        """
        Try C{password}.
        """
        return self._attempt(b"password")

    def auth_keyboard_interactive(self) -> Deferred[bool] | bool:
        """
        Try C{keyboard-interactive}.
        """
        return self._attempt(b"keyboard-interactive")

    def _attempt(self, kind: bytes) -> Deferred[bool] | bool:
        if kind not in METHODS:
            return False
        if kind not in self._methods:
            self._methods[kind] = METHODS[kind].client(self, self._record)
        return Deferred.fromCoroutine(self._methods[kind].attempt())

    def _toMethod(self, messageNum: int, packet: bytes) -> None:
        method = self._methods.get(self._record.methodName)
        if method is None:
            raise UnexpectedMessage(
                f"message {messageNum} came while {safe(self._record.methodName)} runs, which has none"
            )
        self._run(self._answer(method.messageReceived(messageNum, packet)))

    async def _answer(self, answered: Deferred[Any]) -> None:
        # A method written for Conch returns nothing when it has answered.
        if await answered.addErrback(self._ebAnswer) is False:
            self._record.step(ClientInput.DECLINE)
            await self._choose()
        elif self._record.state is ClientState.ANSWERING:
            self._record.step(ClientInput.ANSWER)

    def _ebAnswer(self, reason: Failure) -> Failure | bool:
        if self._record.state is ClientState.STOPPED or reason.check(PeerError):
            return reason
        method = safe(self._record.methodName)
        self._log.failure("{method} failed", reason, method=method)
        self._record.obstacles.append(f"{method} failed: {safe(reason.getErrorMessage())}")
        return False

    async def _choose(self) -> None:
        record = self._record
        order = [asBytes(name) for name in self.preferredOrder]
        candidates = record.candidates(order, _isRepeatable)
        for kind in candidates:
            obstacle = self._enough(kind, candidates)
            if obstacle:
                record.obstacles.append(obstacle)
                record.exhausted(kind)
                continue
            attempted = await askProgram(self, record, "tryAuth", kind)
            if attempted or record.state is not ClientState.CHOOSING:
                return
            record.exhausted(kind)
        self._giveUp()

    def _enough(self, kind: bytes, candidates: Sequence[bytes]) -> str:
        """
        What keeps the client from trying a method that may have more to offer;
        nothing, if it may be tried.
        """
        record = self._record
        if record.requests >= self.maximumRequests:
            return f"anything more by {safe(kind)}, after {record.requests} requests"
        allowed = self.maximumAttempts
        if kind == b"publickey" and any(other != kind and self._canAnswer(other) for other in candidates):
            allowed -= 1
        if record.refusals < allowed:
            return ""
        what = safe(kind)
        if kind == b"publickey":
            self._unoffered = tuple(self.keysLeft()) or ("what keys there are besides",)
            what = ", ".join(self._unoffered)
        return f"{what}, after {record.refusals} attempts (maximumAttempts)"

    def _giveUp(self) -> None:
        self._record.step(ClientInput.GIVE_UP)
        self.transport.end(
            self._failed(),
            numbers.DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE,
            b"no more authentication methods available",
        )

    def _explainEnd(self) -> None:
        reason = self.transport.closeReason
        error = None if reason is None else reason.value
        if isinstance(error, (ConnectionEnded, LoginTimedOut)) or (
            # A DISCONNECT of our own is the program's wish.
            isinstance(error, Disconnected) and error.byPeer
        ):
            self.transport.closeReason = Failure(self._failed(error))

    def _failed(self, ended: ConchError | None = None, unproven: bool = False) -> AuthenticationFailed:
        from conchlite.ssh.authreport import AuthenticationReport

        record = self._record
        report = AuthenticationReport(
            host=self._serverText(),
            user=safe(asBytes(self.user)),
            attempts=tuple(record.attempts),
            obstacles=(*self.notes, *record.obstacles),
            authenticatedWith=tuple(record.authenticatedWith),
            methods=record.methods,
            answerable=frozenset(kind for kind in record.methods if self._canAnswer(kind)),
            signatureAlgorithms=_nameList(self.transport.peerExtensions.get(b"server-sig-algs")),
            banners=tuple(record.banners),
            ended=ended,
            unproven=unproven,
            seconds=self.wallClock(),
            unoffered=self._unoffered,
        )
        error = AuthenticationFailed(str(report), record.tried, record.methods, report, ended)
        error.__cause__ = ended
        return error

    def _serverText(self) -> str:
        address = self.transport.getPeer().hostText
        name = safe(self.serverName)
        return address if name in ("", address) else f"{name} ({address})"

    def _canAnswer(self, kind: bytes) -> bool:
        return getattr(self, attributeName("auth_", kind), METHODS.get(kind)) is not None

    def _run(self, steps: Coroutine[Deferred[Any], Any, None]) -> None:
        """
        Take steps that may have to wait for the program; nothing is read
        meanwhile.
        """
        running = Deferred.fromCoroutine(steps)
        running.addErrback(self._ebRunning)
        if not running.called:
            self._running = running
            running.addCallback(self._cbRan)
            self.transport.pauseWhile(running)

    def _cbRan(self, result: None) -> None:
        self._running = None

    def _ebRunning(self, reason: Failure) -> None:
        if self._record.state is ClientState.STOPPED:
            # What was awaited has been cancelled.
            return
        error = reason.value
        if isinstance(error, PeerError):
            self.transport.failProtocol(error)
        else:
            self._log.failure("authentication failed", reason)
            self.transport.end(
                ConchError(f"authentication failed: {safe(str(error))}", reason),
                numbers.DISCONNECT_BY_APPLICATION,
                b"internal error",
            )


def _nameList(names: bytes | None) -> tuple[bytes, ...]:
    return () if not names else tuple(names.split(b","))


def _isRepeatable(kind: bytes) -> bool:
    return kind in METHODS and METHODS[kind].client.repeatable
