"""
The client that most programs will use: commands, shells and subsystems on
another host, all on one connection.

What takes time returns a Deferred, which may be awaited or be given callbacks,
and cancelled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from conchlite.client.agent import CONNECT_SECONDS
from conchlite.client.commandrun import MAXIMUM_OUTPUT, Bounds, CommandRun
from conchlite.client.commandsession import CommandSession, Wanted
from conchlite.client.identities import Identity, arrange, defaultIdentities
from conchlite.client.localuser import localUser
from conchlite.client.login import Login
from conchlite.client.remoteprocess import OutputStreams, RemoteProcess
from conchlite.client.remotestreams import MAXIMUM_UNREAD
from conchlite.client.sessionqueue import SessionQueue
from conchlite.error import ClientClosed, ConchError, UsageError
from conchlite.interfaces import Terminal, TerminalSize
from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from conchlite.algorithms.catalogue import AlgorithmSet
    from conchlite.client.commandresult import CommandResult
    from conchlite.client.connecting import ClientConnection
    from conchlite.client.hostkeys import HostKeyPolicy, KnownHosts
    from conchlite.client.identities import Agent
    from conchlite.client.identityauth import Passphrases
    from conchlite.client.knownhosts import UserInterface
    from conchlite.client.login import Answers, IClientReactor
    from conchlite.client.remoteprocess import Stderr
    from conchlite.client.remotestreams import Input
    from conchlite.ssh.agentforwarding import AgentForwarding
    from conchlite.ssh.keys import Key

#: The terminal of a shell that is asked for without one.
TERMINAL = Terminal(b"xterm", TerminalSize(24, 80))


class LoginArguments(TypedDict, total=False):
    """
    What L{connect} can be given besides the host, the user and the port: the
    arguments of L{Login}, which says what they mean.
    """

    keys: Sequence[Key]
    password: Text | None
    knownHosts: KnownHosts
    ui: UserInterface | None
    algorithms: AlgorithmSet | None
    hostKeys: HostKeyPolicy | None
    agent: Agent | IStreamClientEndpoint | None
    identities: Sequence[str]
    identitiesOnly: bool
    passphrase: Passphrases | None
    answers: Answers | None
    loginTimeout: float
    requireAuthentication: bool
    bannerReceived: Callable[[str, str], object] | None
    endpoint: IStreamClientEndpoint | None
    keepAlive: float


# What a user can log in with.
_MEANS = frozenset(("keys", "password", "agent", "identities", "answers"))


class _UsualLogin(Login):
    """
    Logs in with the keys in the usual files.
    """

    def arrangeIdentities(
        self, named: list[Identity], fromAgent: list[Identity], notes: list[str]
    ) -> list[Identity]:
        return arrange(named, fromAgent, defaultIdentities(notes))


def connect(
    reactor: IClientReactor,
    hostname: Text,
    username: Text | None = None,
    port: int | None = None,
    **login: Unpack[LoginArguments],
) -> Deferred[SSHClient]:
    """
    Connect to a server, and log in.

    A server that is not in the known hosts is refused, unless C{hostKeys} or
    C{ui} say otherwise.

    @param hostname: the server's name, or its address, IPv4 or IPv6.
    @param username: who logs in; by default the user that this process
        belongs to.
    @param port: the server's port; by default 22.
    @param login: as L{Login} has it: C{keys}, C{identities}, C{agent} and
        C{password} to log in with, C{knownHosts} or C{hostKeys} to know the
        server by, and the rest. Where nothing is given to log in with, it is
        what C{ssh} would take: the agent that SSH_AUTH_SOCK names, and the keys
        in the usual files.
    @return: fires with an L{SSHClient}. Fails as L{Login.connect}, and with
        what L{Login} raises. Cancelling it drops the connection.
    """
    try:
        who = localUser() if username is None else username
        if _MEANS.isdisjoint(login):
            path = os.environ.get("SSH_AUTH_SOCK")
            if path:
                login["agent"] = UNIXClientEndpoint(reactor, path, timeout=CONNECT_SECONDS)
            given: Login = _UsualLogin(reactor, who, hostname, port, **login)
        else:
            given = Login(reactor, who, hostname, port, **login)
    except ConchError:
        return fail()
    return given.connect().addCallback(SSHClient, reactor)


class SSHClient:
    """
    A connection on which a user is logged in, and what he has run there.

    Any number of commands can be asked for at once. If the server allows fewer
    at a time, the others wait for their turn, in their order.

    It is an asynchronous context manager, which closes the connection.

    @ivar connection: the connection, for whoever wants channels of his own.
    """

    def __init__(self, connection: ClientConnection, reactor: IReactorTime) -> None:
        """
        @param connection: as L{Login.connect} gives it.
        """
        self.connection = connection
        self._reactor = reactor
        self._queue = SessionQueue(connection, reactor)
        self._isClosing = False
        self._isLost = False
        self._watching: list[Deferred[ConchError]] = []
        connection.connecting.whenLost().addCallback(self._connectionLost)

    @property
    def lost(self) -> ConchError | None:
        """
        What ended the connection; L{None} as long as it is there.
        """
        # What fails with the end hears of it before _connectionLost does.
        reason = self.connection.transport.closeReason
        return None if reason is None else cast("ConchError", reason.value)

    def whenLost(self) -> Deferred[ConchError]:
        """
        @return: fires with what ended the connection, when it has ended. It
            does not fail.
        """
        watching: Deferred[ConchError] = Deferred(self._watching.remove)
        lost = self.lost
        if self._isLost and lost is not None:
            watching.callback(lost)
        else:
            self._watching.append(watching)
        return watching

    def run(
        self,
        command: Text,
        input: Input = None,
        *,
        timeout: float | None = None,
        maxOutput: int = MAXIMUM_OUTPUT,
        check: bool = False,
        stderr: Stderr = "keep",
        environment: Mapping[str, Text] | None = None,
        terminal: Terminal | None = None,
        forwardAgent: AgentForwarding | None = None,
    ) -> Deferred[CommandResult]:
        """
        Run a command to its end.

        @param command: the command, as the user's shell there will read it.
        @param input: its standard input: text, bytes, an iterable of them, an
            asynchronous one, or a file, which is read piece by piece. Without
            it the input is empty.
        @param timeout: how many seconds it may take from when it is its turn.
        @param maxOutput: the most bytes that it may write.
        @param check: whether it has to succeed.
        @param stderr: where its standard error goes: C{"keep"} for a part of
            the result of its own, C{"merge"} for among the standard output,
            C{"discard"}.
        @param environment: variables that are set. Servers allow few.
        @param terminal: the terminal that it gets. By default it has none.
        @param forwardAgent: lets it use the user's agent. It is the same one
            for all commands of the connection.
        @return: fires with the result. Fails with L{CommandTimedOut};
            L{OutputTooLarge}; with C{check}, L{CommandFailed};
            L{ChannelRequestFailed<conchlite.error.ChannelRequestFailed>} where
            the server refuses the command, or what belongs to it;
            L{ChannelOpenFailed<conchlite.error.ChannelOpenFailed>} where it
            opens no session at all; L{ClientClosed}; with what reading
            C{input} raises; and with what ended the connection. Cancelling it
            closes the session and tells the command to end, as each of these
            does, and leaves the connection as it is.
        """
        if (closed := self._closed()) is not None:
            return fail(closed)
        try:
            wanted = Wanted("exec", _asCommand(command), environment or {}, terminal, forwardAgent)
        except UsageError:
            return fail()
        run = CommandRun(wanted, Bounds(input, timeout, maxOutput, stderr, check), self._reactor)
        run.begin(self._queue)
        return run.result

    def open(
        self,
        command: Text,
        *,
        stderr: Stderr = "keep",
        maxUnread: int = MAXIMUM_UNREAD,
        environment: Mapping[str, Text] | None = None,
        terminal: Terminal | None = None,
        forwardAgent: AgentForwarding | None = None,
    ) -> Deferred[RemoteProcess]:
        """
        Run a command, and have its streams.

        @param command: the command, as the user's shell there will read it.
        @param stderr: as for L{run}.
        @param maxUnread: the most bytes of each stream that are kept where
            nobody reads it; L{conchlite.client.remotestreams} has the rule.
        @param environment: variables that are set. Servers allow few.
        @param terminal: the terminal that it gets. By default it has none.
        @param forwardAgent: lets it use the user's agent.
        @return: fires with a L{RemoteProcess} when the command runs. Fails and
            is cancelled as L{run}, up to there.
        """
        try:
            wanted = Wanted("exec", _asCommand(command), environment or {}, terminal, forwardAgent)
        except UsageError:
            return fail()
        return Deferred.fromCoroutine(self._open(wanted, OutputStreams(stderr, maxUnread)))

    def shell(
        self,
        *,
        terminal: Terminal | None = TERMINAL,
        maxUnread: int = MAXIMUM_UNREAD,
        environment: Mapping[str, Text] | None = None,
        forwardAgent: AgentForwarding | None = None,
    ) -> Deferred[RemoteProcess]:
        """
        Run the user's shell, and have its streams.

        @param terminal: the terminal that it gets, by default one of 24 rows
            of 80 columns; L{None} for none.
        @param maxUnread: as for L{open}, as the rest.
        @return: as L{open}.
        """
        wanted = Wanted("shell", b"", environment or {}, terminal, forwardAgent)
        return Deferred.fromCoroutine(self._open(wanted, OutputStreams("keep", maxUnread)))

    def subsystem(self, name: Text, *, maxUnread: int = MAXIMUM_UNREAD) -> Deferred[RemoteProcess]:
        """
        Run a subsystem, and have its streams.

        @param name: its name, such as C{sftp}.
        @param maxUnread: as for L{open}.
        @return: as L{open}.
        """
        wanted = Wanted("subsystem", asBytes(name))
        return Deferred.fromCoroutine(self._open(wanted, OutputStreams("keep", maxUnread)))

    async def _open(self, wanted: Wanted, output: OutputStreams) -> RemoteProcess:
        if (closed := self._closed()) is not None:
            raise closed
        session = await self._queue.open(lambda: CommandSession(wanted, output))
        try:
            await session.start()
        except BaseException:
            session.giveUp()
            raise
        return RemoteProcess(wanted.name, session, output)

    def close(self) -> Deferred[None]:
        """
        Say good-bye to the server. What runs there is not waited for.

        @return: fires when the connection is closed; it never fails.
        """
        self._isClosing = True
        return self.connection.close()

    async def __aenter__(self) -> SSHClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _closed(self) -> ClientClosed | None:
        if self.lost is not None:
            return ClientClosed(f"the connection is closed: {self.lost}", self.lost)
        return ClientClosed("the client was closed") if self._isClosing else None

    def _connectionLost(self, _: object) -> None:
        self._isLost = True
        lost = cast("ConchError", self.lost)
        self._queue.stop(lost)
        watching, self._watching = self._watching, []
        for deferred in watching:
            deferred.callback(lost)


def _asCommand(command: Text) -> bytes:
    if not isinstance(command, str | bytes):
        raise UsageError("a command is text for the shell of the server: make it of a list with shlex.join")
    return asBytes(command)
