"""
What a program implements, or is handed: the interfaces of the server's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProcessProtocol, IProtocol

#: Terminal sizes are given as rows, columns, width and height in pixels.
WindowSize = tuple[int, int, int, int]


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


class ISessionSignal(Interface):
    """
    What an L{ISession} provides, too, to let users send signals.
    """

    def signalReceived(signalName: str) -> object:
        """
        The user sends a signal to what runs.

        @param signalName: its name without C{SIG}, RFC 4254 section 6.10.
        @raise Exception: it was not delivered.
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
        @return: an iterable of L{conchlite.ssh.keys.Key}, or a Deferred of
            one; empty for a user who is not known.
        """
