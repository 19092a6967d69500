"""
Authentication as two state machines, the client's and the server's: RFC 4252.

The protocol is a conversation in which only the client asks. It sends a
USERAUTH_REQUEST that names a user, the service that is to follow, and a method;
the server answers it with SUCCESS, or with FAILURE and the methods that are
still worth a try, or with a message of the method's own. Such messages have
the numbers 60 to 79, and what they mean depends on the method that runs: 60
is PK_OK for C{publickey} and PASSWD_CHANGEREQ for C{password}. So these
machines only say I{that} a method's message may come now; which one may, the
running method knows (C{conchlite.ssh.authmethods}).

On either side there are moments in which nothing may come from the peer because
it is our turn: the client chooses its next method or makes a signature, the
server's checker decides. The reader is paused then, and a message that arrives
all the same is an error as any other that is not in the table. A BANNER is the
exception: a server may send one at any time before the end (section 5.4).

What is ours to do is looked up in the same tables. A step that is not there is
a defect of the program (L{UsageError}); a message that is not there is the
peer's (L{UnexpectedMessage}).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from conchlite.error import MalformedMessage, UnexpectedMessage, UsageError, safe
from conchlite.sansio.attempts import Answer, Attempt
from conchlite.wire import numbers
from conchlite.wire.userauth import UserauthFailure, UserauthRequest

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate

#: The most bytes of a user's, a service's and a method's name.
MAXIMUM_NAME_SIZE = 255

#: The most bytes of banner that a server may send in one authentication.
MAXIMUM_BANNER_SIZE = 64 * 1024

# What each banner counts beside its text.
_BANNER_OVERHEAD = 256

#: Methods that are another one but for what signatures cover, OpenSSH PROTOCOL 3.1.
ALIASES = {b"publickey-hostbound-v00@openssh.com": b"publickey"}

# Names of methods that become part of a Python attribute's name.
_METHOD_NAME = re.compile(rb"[a-z0-9@._-]{1,64}")


class ClientState(Enum):
    """
    Where a client stands.
    """

    CHOOSING = "choosing what to try"
    WAITING = "waiting for the answer to a request"
    ANSWERING = "making the answer to a method's message"
    AUTHENTICATED = "authenticated"
    EXHAUSTED = "out of methods"
    STOPPED = "stopped"


class ClientInput(Enum):
    """
    What moves a client: our own steps, and the server's messages.
    """

    REQUEST = "sending a request"
    ANSWER = "sending a method's message"
    DECLINE = "leaving a method's message without an answer"
    GIVE_UP = "giving up"
    STOP = "stopping"

    BANNER = "USERAUTH_BANNER"
    FAILURE = "USERAUTH_FAILURE"
    SUCCESS = "USERAUTH_SUCCESS"
    METHOD = "a message of the method"
    FOREIGN = "a message that no server sends here"


CLIENT_TABLE: Mapping[tuple[ClientState, ClientInput], ClientState] = {
    (ClientState.CHOOSING, ClientInput.BANNER): ClientState.CHOOSING,
    (ClientState.CHOOSING, ClientInput.REQUEST): ClientState.WAITING,
    (ClientState.CHOOSING, ClientInput.GIVE_UP): ClientState.EXHAUSTED,
    (ClientState.WAITING, ClientInput.BANNER): ClientState.WAITING,
    (ClientState.WAITING, ClientInput.FAILURE): ClientState.CHOOSING,
    (ClientState.WAITING, ClientInput.SUCCESS): ClientState.AUTHENTICATED,
    (ClientState.WAITING, ClientInput.METHOD): ClientState.ANSWERING,
    (ClientState.ANSWERING, ClientInput.BANNER): ClientState.ANSWERING,
    (ClientState.ANSWERING, ClientInput.REQUEST): ClientState.WAITING,
    (ClientState.ANSWERING, ClientInput.ANSWER): ClientState.WAITING,
    (ClientState.ANSWERING, ClientInput.DECLINE): ClientState.CHOOSING,
    **{(state, ClientInput.STOP): ClientState.STOPPED for state in ClientState},
}


class ServerState(Enum):
    """
    Where a server stands.
    """

    WAITING = "waiting for a request"
    DECIDING = "deciding on a request"
    CONVERSING = "waiting for the client's answer to a method's message"
    AUTHENTICATED = "authenticated"
    STOPPED = "stopped"


class ServerInput(Enum):
    """
    What moves a server: our own steps, and the client's messages.
    """

    CHALLENGE = "sending a method's message that wants an answer"
    PASS = "leaving a request without a verdict"  # noqa: S105 - not a password
    REFUSE = "refusing a request"
    ACCEPT = "accepting a request"
    STOP = "stopping"

    REQUEST = "USERAUTH_REQUEST"
    METHOD = "a message of the method"
    FOREIGN = "a message that no client sends here"


SERVER_TABLE: Mapping[tuple[ServerState, ServerInput], ServerState] = {
    (ServerState.WAITING, ServerInput.REQUEST): ServerState.DECIDING,
    (ServerState.DECIDING, ServerInput.CHALLENGE): ServerState.CONVERSING,
    (ServerState.DECIDING, ServerInput.PASS): ServerState.WAITING,
    (ServerState.DECIDING, ServerInput.REFUSE): ServerState.WAITING,
    (ServerState.DECIDING, ServerInput.ACCEPT): ServerState.AUTHENTICATED,
    (ServerState.CONVERSING, ServerInput.METHOD): ServerState.DECIDING,
    # RFC 4252 section 5: a new request abandons the method that was running.
    (ServerState.CONVERSING, ServerInput.REQUEST): ServerState.DECIDING,
    **{(state, ServerInput.STOP): ServerState.STOPPED for state in ServerState},
}

_S = TypeVar("_S", bound=Enum)
_I = TypeVar("_I", bound=Enum)


class _Machine(Generic[_S, _I]):
    """
    A state, the table that moves it, and what the message numbers mean to it.

    @ivar state: where the machine stands.
    """

    def __init__(self, state: _S, table: Mapping[tuple[_S, _I], _S], messages: Mapping[int, _I]) -> None:
        self.state = state
        self._table = table
        self._messages = messages

    def step(self, own: _I) -> None:
        """
        Take a step of our own.

        @raise UsageError: it is not possible in this state.
        """
        state = self._table.get((self.state, own))
        if state is None:
            raise UsageError(f"authentication: {own.value} while {self.state.value}")
        self.state = state

    def received(self, number: int) -> bool:
        """
        A message came.

        @return: whether its number is one of this protocol's; if not, it is
            to be answered with UNIMPLEMENTED.
        @raise UnexpectedMessage: it may not come in this state, or never
            from this peer.
        """
        message = self._messages.get(number)
        if message is None:
            return False
        state = self._table.get((self.state, message))
        if state is None:
            raise UnexpectedMessage(
                f"{numbers.messageName(number)} came during authentication while {self.state.value}"
            )
        self.state = state
        return True


# RFC 4250 section 4.1.1: 60 to 79 are the running method's, 80 to 127 the
# connection protocol's, which has not begun. 50 is the client's alone; 51, 52
# and 53 are the server's (CVE-2018-10933: a server that took a SUCCESS).
_METHOD_NUMBERS = range(numbers.FIRST_AUTH_METHOD_NUMBER, numbers.FIRST_CONNECTION_NUMBER)
_CONNECTION_NUMBERS = range(numbers.FIRST_CONNECTION_NUMBER, 128)

_FROM_SERVER = {
    numbers.MSG_USERAUTH_REQUEST: ClientInput.FOREIGN,
    numbers.MSG_USERAUTH_FAILURE: ClientInput.FAILURE,
    numbers.MSG_USERAUTH_SUCCESS: ClientInput.SUCCESS,
    numbers.MSG_USERAUTH_BANNER: ClientInput.BANNER,
    **dict.fromkeys(_METHOD_NUMBERS, ClientInput.METHOD),
    **dict.fromkeys(_CONNECTION_NUMBERS, ClientInput.FOREIGN),
}

_FROM_CLIENT = {
    numbers.MSG_USERAUTH_REQUEST: ServerInput.REQUEST,
    numbers.MSG_USERAUTH_FAILURE: ServerInput.FOREIGN,
    numbers.MSG_USERAUTH_SUCCESS: ServerInput.FOREIGN,
    numbers.MSG_USERAUTH_BANNER: ServerInput.FOREIGN,
    **dict.fromkeys(_METHOD_NUMBERS, ServerInput.METHOD),
    **dict.fromkeys(_CONNECTION_NUMBERS, ServerInput.FOREIGN),
}


class ClientAuthentication(_Machine[ClientState, ClientInput]):
    """
    A client's authentication: its state, and what the report of a failure needs.

    Every request but C{none} begins an attempt, unless it is the answer to a
    message of its method. A method that knows more about it than its name says
    so with L{attempt}, behind the request. What becomes of an attempt is
    noted here: by L{refused}, by L{accepted}, and by the steps C{ANSWER} and
    C{DECLINE}.

    @ivar requests: the number of requests sent.
    @ivar userName: the user of the last request.
    @ivar serviceName: the service that it asked for.
    @ivar methodName: its method.
    @ivar methods: the methods that the server would accept, by its last FAILURE.
    @ivar authenticatedWith: methods that ended in partial success.
    @ivar attempts: what was offered to the server, and what became of it.
    @ivar obstacles: what was not offered, and why.
    @ivar prompted: whether the last request led to questions that were answered,
        or to a MIC, for methods whose server may have none; set by the method.
    @ivar isProven: whether any request that the server accepted, wholly or as
        a part, was a proof of who the user is.
    @ivar banners: what the server had to say to the user, safe to print.
    """

    def __init__(self) -> None:
        super().__init__(ClientState.CHOOSING, CLIENT_TABLE, _FROM_SERVER)
        self.requests = 0
        self.userName = b""
        self.serviceName = b""
        self.methodName = b""
        self.methods: tuple[bytes, ...] = ()
        self.authenticatedWith: list[bytes] = []
        self.attempts: list[Attempt] = []
        self.obstacles: list[str] = []
        self.banners: list[str] = []
        self.prompted = False
        self.isProven = False
        self._describable = False
        self._exhausted: tuple[bytes, ...] = ()
        self._bannerSize = 0

    def request(self, userName: bytes, serviceName: bytes, methodName: bytes, methodData: bytes) -> bytes:
        """
        A request is to go out.

        @param methodName: the method's name, or another name of it.
        @return: the body of the USERAUTH_REQUEST.
        @raise UsageError: it is not our turn.
        """
        packed = UserauthRequest(userName, serviceName, methodName, methodData).pack()
        methodName = ALIASES.get(methodName, methodName)
        continues = self.state is ClientState.ANSWERING and methodName == self.methodName
        self.step(ClientInput.REQUEST)
        self.requests += 1
        self._describable = not continues
        if continues:
            self._amend(continued=True)
        else:
            self.prompted = False
        if not continues and methodName != b"none":
            self.attempts.append(Attempt(methodName))
        self.userName = userName
        self.serviceName = serviceName
        self.methodName = methodName
        return packed

    def step(self, own: ClientInput) -> None:
        """
        Take a step of our own.

        @raise UsageError: it is not possible in this state.
        """
        super().step(own)
        if own is ClientInput.ANSWER:
            self._amend(continued=True)
        elif own is ClientInput.DECLINE:
            self._amend(answer=Answer.DECLINED)

    def attempt(
        self,
        what: str = "",
        *,
        keyType: bytes = b"",
        fingerprint: str = "",
        algorithm: bytes = b"",
        source: str = "",
        certificate: Certificate | None = None,
        isSigned: bool = False,
    ) -> None:
        """
        Say what the request was that was sent last. Where it was the answer to
        a message of the method, it is an attempt of its own from now on.

        @param what: in words, where the method's name does not say it.
        @param keyType: a key's type, on the wire.
        @param fingerprint: its SHA-256 fingerprint; of a certificate, the key's.
        @param algorithm: what it signs with.
        @param source: where it came from.
        @param certificate: the certificate, if it is one.
        @param isSigned: whether it has the key's signature.
        """
        if self._describable and self.attempts:
            self.attempts.pop()
        else:
            self._amend(answer=Answer.MORE)
        self.attempts.append(
            Attempt(
                self.methodName,
                what,
                keyType,
                fingerprint,
                algorithm,
                source,
                certificate,
                isSigned=isSigned,
            )
        )
        self._describable = False

    def _amend(self, *, continued: bool | None = None, answer: Answer | None = None) -> None:
        if self.methodName != b"none" and self.attempts:
            last = self.attempts[-1]
            self.attempts[-1] = last._replace(
                continued=last.continued if continued is None else continued,
                answer=last.answer if answer is None else answer,
            )

    @property
    def tried(self) -> tuple[str, ...]:
        """
        What was offered to the server, in words.
        """
        return tuple(attempt.words for attempt in self.attempts)

    def refused(self, message: UserauthFailure) -> None:
        """
        The server answered the last request with FAILURE.
        """
        self.methods = message.authenticationsThatCanContinue
        self._amend(answer=Answer.PARTIAL if message.partialSuccess else Answer.REFUSED)
        if message.partialSuccess:
            self._prove()
            self.authenticatedWith.append(self.methodName)

    def accepted(self) -> None:
        """
        The server answered the last request with SUCCESS.
        """
        self._amend(answer=Answer.ACCEPTED)
        self._prove()

    def _prove(self) -> None:
        # A key that was offered, and not asked for its signature, and a
        # conversation without a question, or a MIC, are no more of a proof than
        # "none".
        last = self.attempts[-1] if self.attempts else None
        if self.methodName == b"none" or last is None:
            return
        if self.methodName in (b"keyboard-interactive", b"gssapi-with-mic"):
            self.isProven |= self.prompted
        elif self.methodName == b"publickey":
            self.isProven |= last.continued or last.isSigned
        else:
            self.isProven = True

    @property
    def refusals(self) -> int:
        """
        How many attempts came to nothing, as a server counts them.
        """
        return sum(attempt.answer in (Answer.REFUSED, Answer.DECLINED) for attempt in self.attempts)

    def exhausted(self, methodName: bytes) -> None:
        """
        The method has nothing (more) to offer.
        """
        self._exhausted += (methodName,)

    def candidates(
        self, preferredOrder: Sequence[bytes], isRepeatable: Callable[[bytes], bool]
    ) -> list[bytes]:
        """
        The methods to try next: those that the server accepts, in our order
        of preference, then the others in the server's. A method that was
        accepted as one step of several comes last, if it comes again at all.

        @param isRepeatable: whether a method may be one step more than once.
        """
        order = {name: index for index, name in reversed(list(enumerate(preferredOrder)))}
        names = [
            name
            for name in dict.fromkeys(self.methods)
            if _METHOD_NAME.fullmatch(name)
            and name not in self._exhausted
            and (name not in self.authenticatedWith or isRepeatable(name))
        ]
        return sorted(names, key=lambda name: (name in self.authenticatedWith, order.get(name, len(order))))

    def bannerReceived(self, size: int) -> None:
        """
        @param size: the size of the banner's text, in bytes.
        @raise MalformedMessage: the server sends more banner than anybody reads.
        """
        # An empty one is shown, and logged, just the same.
        self._bannerSize += size + _BANNER_OVERHEAD
        if self._bannerSize > MAXIMUM_BANNER_SIZE:
            raise MalformedMessage(f"more than {MAXIMUM_BANNER_SIZE} bytes of USERAUTH_BANNER")


class ServerAuthentication(_Machine[ServerState, ServerInput]):
    """
    A server's authentication: its state, and the count of failures.

    @ivar failures: the failures that count, of all methods together.
    """

    def __init__(self) -> None:
        super().__init__(ServerState.WAITING, SERVER_TABLE, _FROM_CLIENT)
        self.failures = 0
        self._seenNone = False

    def failed(self, methodName: bytes) -> None:
        """
        A request failed. A client asks for C{none} to learn the methods, so
        the first of these costs it nothing.
        """
        if methodName == b"none" and not self._seenNone:
            self._seenNone = True
        else:
            self.failures += 1


def readRequest(packet: bytes) -> UserauthRequest:
    """
    Read a USERAUTH_REQUEST, and check its names.

    @param packet: what follows the message number.
    @raise MalformedMessage: it is truncated, or a name is longer than
        L{MAXIMUM_NAME_SIZE}, no UTF-8, or not printable.
    """
    request = UserauthRequest.unpack(packet)
    for what, name in (
        ("user", request.userName),
        ("service", request.serviceName),
        ("method", request.methodName),
    ):
        if len(name) > MAXIMUM_NAME_SIZE:
            raise MalformedMessage(f"UserauthRequest: a {what} name of {len(name)} bytes")
        if not isPrintable(name):
            raise MalformedMessage(f"UserauthRequest: a {what} name that is not printable: {safe(name)}")
    return request


def isPrintable(name: bytes) -> bool:
    """
    Whether a peer's name for something may be shown as it is.
    """
    try:
        return name.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def attributeName(prefix: str, methodName: bytes) -> str:
    """
    The name of the Python attribute for a method, as in
    C{auth_keyboard_interactive}.
    """
    return prefix + re.sub(r"[^A-Za-z0-9]", "_", methodName.decode("ascii", "replace"))
