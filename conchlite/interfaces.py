"""
What a program implements, or is handed: the interfaces of the server's side.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.cred.credentials import ICredentials
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProcessProtocol, IProtocol

#: Terminal sizes are given as rows, columns, width and height in pixels.
WindowSize = tuple[int, int, int, int]


class TerminalSize(NamedTuple):
    """
    A L{WindowSize} as it comes from a user: the same tuple, with names.

    @ivar width: in pixels, 0 where the user does not say.
    @ivar height: in pixels, as well.
    """

    rows: int
    columns: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Terminal:
    """
    A user's terminal.

    @ivar term: its type, as TERM has it.
    @ivar windowSize: its size.
    @ivar modes: opcodes and their values, RFC 4254 section 8.
    """

    term: bytes
    windowSize: TerminalSize
    modes: tuple[tuple[int, int], ...] = ()


class SignalName(StrEnum):
    """
    The signals that RFC 4254 section 6.10 names. Each is the string of its
    name, without C{SIG}.
    """

    ABRT = "ABRT"
    ALRM = "ALRM"
    FPE = "FPE"
    HUP = "HUP"
    ILL = "ILL"
    INT = "INT"
    KILL = "KILL"
    PIPE = "PIPE"
    QUIT = "QUIT"
    SEGV = "SEGV"
    TERM = "TERM"
    USR1 = "USR1"
    USR2 = "USR2"

    @property
    def number(self) -> signal.Signals | None:
        """
        The signal of this system, which numbers them in its own way; L{None}
        if it has none of this name.
        """
        return getattr(signal, f"SIG{self.value}", None)


@dataclass(frozen=True)
class ExitedBySignal:
    """
    A program was ended by a signal, RFC 4254 section 6.10.

    @ivar name: the signal's name without C{SIG}; one that the RFC does not
        have ends with C{@} and a domain. What comes from a server is safe to
        print, as the message is.
    @ivar coreDumped: whether there is a core dump.
    @ivar message: what the server has to say about it.
    @ivar language: the language of that, as RFC 3066 has it.
    """

    name: str
    coreDumped: bool = False
    message: str = ""
    language: str = ""

    def __str__(self) -> str:
        text = f"signal {self.name}"
        if self.coreDumped:
            text += " (core dumped)"
        return f"{text}: {self.message}" if self.message else text


class IConchUser(Interface):
    """
    The avatar of a user who has logged in: what he may open and ask for.
    """

    conn: object = Attribute("The L{conchlite.ssh.connection.SSHConnection} of the user.")

    def lookupChannel(channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> object:
        """
        The user opens a channel.

        @param channelType: what kind of channel.
        @param windowSize: how many bytes the user takes at first.
        @param maxPacket: how many bytes of data the user takes in a packet.
        @param data: what belongs to the type.
        @return: an L{conchlite.ssh.channel.SSHChannel}, made with
            C{windowSize} and C{maxPacket} as C{remoteWindow} and
            C{remoteMaxPacket}, or a Deferred of one. L{None} refuses.
        @raise conchlite.error.ConchError: with a text and a reason code, which
            are sent to the user.
        """

    def lookupSubsystem(subsystem: bytes, data: bytes) -> IProtocol | None:
        """
        The user asks for a subsystem.

        @param subsystem: its name.
        @param data: the request as it came, the name included.
        @return: a protocol to connect to the user, or L{None} to refuse.
        """

    def gotGlobalRequest(requestType: bytes, data: bytes) -> object:
        """
        The user sent a global request.

        @return: false to refuse; true to agree; or a tuple of a true value and
            the bytes that belong to the answer; or a Deferred of one of these.
        """


class ISession(Interface):
    """
    What a user's session runs. An avatar is adapted to it once for each
    session.

    What C{proto} is: a process protocol to be given to C{spawnProcess}, and,
    for programs of this process, the transport of the user's end.
    """

    def getPty(term: bytes, windowSize: WindowSize, modes: list[tuple[int, int]]) -> object:
        """
        The user wants a terminal.

        @param term: the terminal's type, as TERM has it.
        @param windowSize: its size.
        @param modes: opcodes and their values, RFC 4254 section 8.
        @raise Exception: there is none.
        """

    def openShell(proto: IProcessProtocol) -> Deferred[object] | None:
        """
        Run a shell, and connect it to C{proto}.

        @return: L{None}, or a Deferred; the user has the answer when it fires.
        @raise Exception: there is none.
        """

    def execCommand(proto: IProcessProtocol, command: bytes) -> Deferred[object] | None:
        """
        Run a command, and connect it to C{proto}.

        @return: L{None}, or a Deferred; the user has the answer when it fires.
        @raise Exception: it cannot be run.
        """

    def windowChanged(newWindowSize: WindowSize) -> object:
        """
        The user's terminal has another size.
        """

    def eofReceived() -> object:
        """
        The user will send no more.
        """

    def closed() -> object:
        """
        The session is over.
        """


class EnvironmentVariableNotPermitted(ValueError):
    """
    The user may not set this variable.
    """


class ISessionSetEnv(Interface):
    """
    What an L{ISession} provides, too, to let users set variables.
    """

    def setEnv(name: bytes, value: bytes) -> object:
        """
        The user sets a variable of the environment of what will run.

        @raise EnvironmentVariableNotPermitted: he may not.
        """


class ISessionEnvironment(Interface):
    """
    What an L{ISession} provides, too, to be told what the server has to say in
    variables of the environment.
    """

    def addEnvironment(variables: Mapping[bytes, bytes]) -> object:
        """
        The server sets variables: those that belong to the key that the user
        has logged in with, and C{SSH_ORIGINAL_COMMAND}, where something else
        runs than he has asked for. It is called just before that runs; what
        the user has set under the same names does not count.
        """


class ISessionSignal(Interface):
    """
    What an L{ISession} provides, too, to let users send signals.
    """

    def signalReceived(signalName: SignalName) -> object:
        """
        The user sends a signal to what runs.

        @param signalName: its name, a string without C{SIG}, RFC 4254 section
            6.10; what that has no name for is refused before.
        @raise Exception: it was not delivered.
        """


class ISessionBreak(Interface):
    """
    What an L{ISession} provides, too, to let users send breaks.
    """

    def breakReceived(milliseconds: int) -> object:
        """
        The user sends a break, RFC 4335, as to a console on a serial line.

        @param milliseconds: how long it is to last. 0 is as long as the
            program likes; else the RFC has at least 500 and at most 3000, and
            the program sees to that.
        @raise Exception: there is nothing to break.
        """


class ISessionX11(Interface):
    """
    What an L{ISession} provides, too, to let what runs open windows on the
    user's display. The channels of type C{x11} are its own business.
    """

    def x11Requested(request: Any) -> object:
        """
        The user lets what will run use his display, RFC 4254 section 6.3.1. It
        is called only if his permissions allow it, and before anything runs.

        @param request: a L{conchlite.wire.connection.X11Request}: the method,
            the cookie and the screen. The method has letters, digits and C{-}
            only, and the cookie is hexadecimal: they can be given to C{xauth}.
        @raise Exception: he is not taken at his word.
        """


class ISessionWindow(Interface):
    """
    What a program that is a protocol provides, to be told of its terminal.
    """

    def windowChanged(newWindowSize: TerminalSize) -> object:
        """
        The user's terminal has another size.
        """


class ISessionAgent(Interface):
    """
    What an L{ISession} provides, too, to take the user's agent.
    """

    def agentForwarded(agent: Any) -> object:
        """
        The user lets what runs in the session use his agent. It is called at
        most once, and only if his permissions allow it.

        @param agent: a L{conchlite.ssh.agentforwarding.ForwardedAgent}, which
            ends with the session.
        @raise Exception: it is not taken.
        """


class IAuthorizedKeysDB(Interface):
    """
    Knows which keys belong to whom.
    """

    def getAuthorizedKeys(username: bytes) -> object:
        """
        The public keys that a user may log in with.

        @param username: the name that the client gave, which nobody has
            checked.
        @return: an iterable of L{conchlite.ssh.keys.Key}, or of
            L{conchlite.checkers.AuthorizedKey} where there are options to a
            key, or a Deferred of one; empty for a user who is not known.
        """


# What a request to log in comes to, for the portal's checkers. Those for keys
# and passwords are twisted.cred.credentials.ISSHPrivateKey and IUsernamePassword.


class IKeyboardInteractive(ICredentials):
    """
    A user who can be asked: the method C{keyboard-interactive}.

    The checker talks with him for as long as it likes, and then says who he
    is, or that he may not log in, as for any other credentials.
    """

    username: bytes = Attribute("The name that the client gave, which nobody has checked.")

    def ask(
        name: bytes | str, instruction: bytes | str, prompts: Sequence[tuple[bytes | str, bool]]
    ) -> Deferred[list[str]]:
        """
        Show the user something, and ask him. May be called again when the
        Deferred has fired, and not before.

        @param name: a title, or nothing.
        @param instruction: some lines to show, or nothing.
        @param prompts: the questions, C{MAXIMUM_PROMPTS} at most, each with
            whether what he types may be shown. With none of them he is only
            shown the rest.
        @return: fires with the answers, as many as there are prompts, none of
            them longer than C{MAXIMUM_ANSWER_SIZE} bytes. An answer may be
            empty. Fails with L{conchlite.error.ConversationOver} when the
            client has asked for something else or has gone, or the checker has
            answered already, or it asks more often than failures are allowed:
            each round with prompts but the first counts as one.
        """


class IPasswordChange(ICredentials):
    """
    A user who has a password and wants another one, RFC 4252 section 8.

    The checker changes it if the old one is right, and then lets him in. If it
    does not like the new one it raises L{conchlite.error.PasswordExpired} again.
    """

    username: bytes = Attribute("The name that the client gave, which nobody has checked.")
    password: bytes = Attribute("The old password; it is not empty.")
    newPassword: bytes = Attribute("The new one; it is not empty.")


class IHostBased(ICredentials):
    """
    Another host's word for it that one of its users is there, RFC 4252
    section 9. That the signature is by C{blob} has been verified; whether
    that is the host's key, and whether its word is worth anything, has not.
    """

    username: bytes = Attribute("The name that the client gave, which nobody has checked.")
    algName: bytes = Attribute("The signature algorithm.")
    blob: bytes = Attribute("The client host's public key.")
    clientHost: bytes = Attribute("The client host's name in lower case, without a dot at its end.")
    clientUser: bytes = Attribute("The user's name on that host.")
    address: object = Attribute("Where the connection comes from, an L{IAddress}.")


class IHostBasedDB(Interface):
    """
    Knows which machines are to be believed, and about whom.
    """

    def getHostKeys(clientHost: bytes) -> object:
        """
        The host keys of a machine.

        @param clientHost: its name, in lower case, without a dot at its end.
        @return: an iterable of public L{conchlite.ssh.keys.Key}, or a Deferred
            of one; empty for a machine that nobody knows.
        """

    def mayLogIn(username: bytes, clientHost: bytes, clientUser: bytes) -> object:
        """
        Whether a user of a machine may be a user here.

        @param username: who he wants to be.
        @param clientHost: as for L{getHostKeys}.
        @param clientUser: who he is there.
        @return: true, or false, or a Deferred of one of them; what is not
            C{True} refuses.
        """


class IGSSAPICredentials(ICredentials):
    """
    A user who has proved to be a principal, by GSS-API. Whether the principal
    may be the user is the checker's to say.
    """

    username: bytes = Attribute("The name of the user that the client wants to log in as.")
    mechanism: str = Attribute("The object identifier of the mechanism, with dots.")
    principal: str = Attribute("Who it is, in the mechanism's way of writing, as C{alice@EXAMPLE.ORG}.")
    delegated: object = Attribute("The credentials that the client has delegated, or L{None}.")


class IUserNameOnly(ICredentials):
    """
    A name, and nothing to prove it: the method C{none}. A server lets users in
    with it only if its portal has a checker for it.
    """

    username: bytes = Attribute("The name that the client gave, which nobody has checked.")
