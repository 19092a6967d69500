"""
Sessions whose programs are processes.
"""

from __future__ import annotations

import os
import pwd

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.error import ConchError
from conchlite.interfaces import EnvironmentVariableNotPermitted, ISession, ISessionSetEnv, ISessionSignal
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.session import SSHSession, SSHSessionProcessProtocol
from conchlite.wire.connection import ExitSignal
from tests.ssh.fakes import Link
from tests.ssh.sessions import SessionRecorder

ENDS = ("eof", "close", "closed")


class RecordingReactor(Clock):
    """
    An L{IReactorProcess} that spawns nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[tuple[object, ...]] = []
        self.signals: list[str] = []

    def spawnProcess(self, *arguments: object, **named: object) -> RecordingReactor:
        self.spawned.append((*arguments, named))
        return self

    def signalProcess(self, name: str) -> None:
        if "gone" in self.signals:
            raise ProcessExitedAlready
        self.signals.append(name)

    def closeStdin(self) -> None:
        self.signals.append("closeStdin")


class ProcessSessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = RecordingReactor()
        self.session = ProcessSession(self.reactor, "/bin/sh", "/", {"A": "b"})
        self.proto = SSHSessionProcessProtocol(SSHSession())

    def test_interfaces(self) -> None:
        for interface in (ISession, ISessionSetEnv, ISessionSignal):
            verifyObject(interface, self.session)

    def test_command(self) -> None:
        """
        The command is one argument, whatever is in it.
        """
        for command in (b"ls -l", b"; rm -rf /", b"$(id)", b"-c x", b"\xff", b""):
            self.session.execCommand(self.proto, command)
            self.assertEqual(
                (self.proto, b"/bin/sh", [b"sh", b"-c", command], {b"A": b"b"}, b"/", {}),
                self.reactor.spawned.pop(),
            )
        self.assertRaises(ConchError, self.session.execCommand, self.proto, b"a\0b")
        self.assertEqual([], self.reactor.spawned)

    def test_shell(self) -> None:
        self.session.openShell(self.proto)
        self.assertEqual([(self.proto, b"/bin/sh", [b"-sh"], {b"A": b"b"}, b"/", {})], self.reactor.spawned)

    def test_minimalEnvironment(self) -> None:
        """
        Nothing of the server's own environment.
        """
        self.patch(os, "environ", {**os.environ, "SECRET": "x"})
        environment = ProcessSession(self.reactor).environment
        self.assertEqual({b"HOME", b"LOGNAME", b"PATH", b"SHELL", b"USER"}, set(environment))

    def test_noAccount(self) -> None:
        def getpwuid(number: int) -> object:
            raise KeyError(number)

        self.patch(pwd, "getpwuid", getpwuid)
        made = ProcessSession(self.reactor)
        self.assertEqual(("/bin/sh", "/"), (made.shell, made.directory))

    def test_variables(self) -> None:
        """
        Row 107: names from a list, values without surprises.
        """
        for name in (b"LANG", b"LC_ALL", b"LC_", b"LC_x9"):
            self.session.setEnv(name, b"en_GB.UTF-8")
            self.assertEqual(b"en_GB.UTF-8", self.session.environment[name])
        for name, value in (
            (b"LD_PRELOAD", b"x"),
            (b"PATH", b"x"),
            (b"IFS", b"x"),
            (b"A", b"x"),
            (b"LANGUAGE", b"x"),
            (b"lang", b"x"),
            (b"", b"x"),
            (b"LC_A=B", b"x"),
            (b"LC_A B", b"x"),
            (b"LC_A\0", b"x"),
            (b"LC_A\n", b"x"),
            (b"LC_\xff", b"x"),
            (b"LC_BASH_FUNC_x%%", b"() { :; }"),
            (b"LC_*", b"x"),
            (b" LANG", b"x"),
            (b"LANG", b"x" * 1025),
            (b"LANG", b"a\nb"),
            (b"LANG", b"a\0b"),
            (b"LANG", b"\x1b[2J"),
            (b"LANG", b"\x7f"),
        ):
            self.assertRaises(EnvironmentVariableNotPermitted, self.session.setEnv, name, value)
        self.assertEqual(b"b", self.session.environment[b"A"])

    def test_serversVariables(self) -> None:
        """
        What the server says counts, whatever the user has set.
        """
        self.session.setEnv(b"LANG", b"C")
        self.session.addEnvironment({b"LANG": b"de", b"SSH_ORIGINAL_COMMAND": b"ls\n"})
        self.session.execCommand(self.proto, b"x")
        self.assertEqual(b"de", self.session.environment[b"LANG"])
        self.assertEqual(b"ls\n", self.session.environment[b"SSH_ORIGINAL_COMMAND"])

    def test_tooManyVariables(self) -> None:
        for number in range(self.session.maxVariables):
            self.session.setEnv(b"LC_%d" % number, b"x")
        self.assertRaises(EnvironmentVariableNotPermitted, self.session.setEnv, b"LC_MORE", b"x")

    def test_signals(self) -> None:
        self.assertRaises(ConchError, self.session.signalReceived, "TERM")
        self.session.eofReceived()
        self.session.closed()
        self.session.execCommand(self.proto, b"x")
        self.session.signalReceived("TERM")
        self.session.eofReceived()
        self.assertEqual(["TERM", "closeStdin"], self.reactor.signals)
        self.reactor.signals.append("gone")
        self.assertRaises(ConchError, self.session.signalReceived, "TERM")

    def test_closed(self) -> None:
        """
        A process that has lost its user has a while to end.
        """
        self.session.execCommand(self.proto, b"x")
        self.session.closed()
        self.reactor.advance(self.session.hangupSeconds - 1)
        self.assertEqual([], self.reactor.signals)
        self.reactor.advance(1)
        self.assertEqual(["HUP"], self.reactor.signals)

    def test_closedAndEnded(self) -> None:
        self.session.execCommand(self.proto, b"x")
        self.session.closed()
        self.proto.ended.callback(None)
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.session.closed()
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_noTerminal(self) -> None:
        self.assertRaises(ConchError, self.session.getPty, b"x", (1, 2, 3, 4), [])
        self.assertRaises(ConchError, self.session.windowChanged, (1, 2, 3, 4))


class RealProcessTests(TestCase):
    """
    Real processes. The link is pumped whenever the reactor has read something:
    nothing here depends on how fast anything is.
    """

    timeout = 60
    hangupSeconds = 0

    def setUp(self) -> None:
        from twisted.internet import reactor
        from twisted.internet.task import LoopingCall

        def openSession() -> ProcessSession:
            made = ProcessSession(reactor, "/bin/sh", "/")
            made.hangupSeconds = self.hangupSeconds
            return made

        user = SessionUser(openSession)
        self.link = Link(SSHConnection(), SSHConnection(), user)
        self.ended: Deferred[None] = Deferred()
        ended = self.ended

        class Client(SessionRecorder):
            def closed(self) -> None:
                super().closed()
                ended.callback(None)

        self.client = Client()
        self.conn = self.link.client.service
        self.conn.openChannel(self.client)
        self.pumping = LoopingCall(self.link.pump)
        self.pumping.start(0.001)
        self.addCleanup(self.pumping.stop)

    async def start(self, command: str) -> None:
        await self.conn.sendRequest(self.client, "exec", NS(command), wantReply=True)

    async def run_(self, command: str) -> None:
        await self.start(command)
        self.client.loseWriteConnection()
        await self.ended

    async def test_output(self) -> None:
        """
        Standard output, standard error, the exit status, in one run.
        """
        await self.run_("echo out; echo err >&2; exit 3")
        self.assertEqual(b"out\n", self.client.received)
        self.assertIn(("ext 1", b"err\n"), self.client.events)
        self.assertEqual(3, self.client.exitStatus)
        self.assertEqual(["eof", "close", "closed"], [event for event in self.client.events if event in ENDS])

    async def test_environment(self) -> None:
        await self.conn.sendRequest(self.client, "env", NS("LANG") + NS("C.UTF-8"), wantReply=True)
        await self.run_("env")
        names = {line.split(b"=")[0] for line in bytes(self.client.received).splitlines()}
        self.assertEqual(
            {b"HOME", b"LANG", b"LOGNAME", b"PATH", b"PWD", b"SHELL", b"USER"},
            names - {b"_", b"SHLVL", b"OLDPWD"},
        )

    async def test_cat(self) -> None:
        """
        More than two windows through C{cat}, whole, and then the end.
        """
        data = bytes(range(256)) * 20_000
        await self.start("cat")
        self.client.write(data)
        self.client.loseWriteConnection()
        await self.ended
        self.assertEqual(data, self.client.received)
        self.assertEqual(0, self.client.exitStatus)

    async def test_largeOutputAtTheEnd(self) -> None:
        """
        A process that is gone long before its output is taken.
        """
        self.client.pauseProducing()
        await self.start("head -c 4000000 /dev/zero; echo last >&2")
        self.client.resumeProducing()
        await self.ended
        self.assertEqual(4_000_000, len(self.client.received))
        self.assertIn(("ext 1", b"last\n"), self.client.events)
        self.assertEqual(0, self.client.exitStatus)

    async def test_endlessOutput(self) -> None:
        """
        A process that writes for ever to a client that does not read costs a
        window, not all memory; and it ends with the channel.
        """
        self.client.pauseProducing()
        await self.start("exec yes")
        server = self.link.server.service.channels[0]
        while server._machine.outgoing.window.size <= server.waitingLimit:
            await deferLater(self.pumping.clock, 0.001)
        size = server._machine.outgoing.window.size
        for _ in range(20):
            await deferLater(self.pumping.clock, 0.001)
        self.assertEqual(size, server._machine.outgoing.window.size)
        self.assertLess(size, 2 * server.waitingLimit)
        self.client.abortConnection()
        await self.ended
        await self.gone(server)

    async def test_inputNobodyReads(self) -> None:
        """
        A process that does not read costs a window as well.
        """
        await self.start("exec sleep 1000")
        self.client.write(bytes(10_000_000))
        server = self.link.server.service.channels[0]
        while self.client.remoteWindowLeft:
            await deferLater(self.pumping.clock, 0.001)
        self.assertGreater(self.client._machine.outgoing.window.size, 7_000_000)
        self.client.abortConnection()
        await self.ended
        await self.gone(server)

    async def test_clientThatLeavesEarly(self) -> None:
        """
        A client that sends, and closes without waiting for an answer: the
        process gets it all.
        """
        self.hangupSeconds = 1000
        path = self.mktemp()
        data = bytes(range(256)) * 4000
        await self.start(f"sleep 0.1; exec cat > {os.path.abspath(path)}.new; exit")
        server = self.link.server.service.channels[0]
        self.client.write(data)
        self.conn.sendClose(self.client)
        await self.ended
        while not os.path.exists(path + ".new") or os.path.getsize(path + ".new") < len(data):
            await deferLater(self.pumping.clock, 0.001)
        await self.gone(server)
        with open(path + ".new", "rb") as stream:
            self.assertEqual(data, stream.read())

    async def gone(self, server: SSHSession) -> None:
        """
        Wait until a session's process has ended.
        """
        while server.client.transport.pid is not None:
            await deferLater(self.pumping.clock, 0.001)

    async def test_signal(self) -> None:
        await self.start("echo ready; exec sleep 1000")
        while b"ready" not in self.client.received:
            await deferLater(self.pumping.clock, 0.001)
        await self.conn.sendRequest(self.client, "signal", NS("TERM"), wantReply=True)
        await self.ended
        self.assertEqual(ExitSignal(b"TERM", False, b"", b""), self.client.exitSignal)

    async def test_connectionLost(self) -> None:
        """
        The process ends with the connection.
        """
        await self.start("exec sleep 1000")
        server = self.link.server.service.channels[0]
        self.link.lose()
        await self.ended
        await self.gone(server)

    async def test_shell(self) -> None:
        """
        Without a terminal the shell reads commands from its standard input.
        """
        await self.conn.sendRequest(self.client, "shell", b"", wantReply=True)
        self.client.write(b"echo $((6 * 7))\nexit 5\n")
        await self.ended
        self.assertEqual(b"42\n", self.client.received)
        self.assertEqual(5, self.client.exitStatus)

    async def test_noSuchShell(self) -> None:
        user = self.link.server.avatar
        user._openSession = lambda: ProcessSession(self.pumping.clock, "/no/such/shell", "/")
        await self.run_("x")
        self.assertEqual(1, self.client.exitStatus)
