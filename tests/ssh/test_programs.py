"""
The programs that sessions can run.
"""

from __future__ import annotations

import os
import pwd

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IConsumer, IProcessProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.error import ConchError
from conchlite.interfaces import EnvironmentVariableNotPermitted, ISession, ISessionSetEnv, ISessionSignal
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.programs import Cat, ProcessSession, ProgramSession
from conchlite.ssh.session import SSHSession, SSHSessionProcessProtocol
from conchlite.wire.connection import ExitSignal
from tests.ssh.fakes import Link
from tests.ssh.sessions import HalfCloseable, Memorising, SessionRecorder, SessionTestCase


class ProgramTests(SessionTestCase):
    """
    Programs that are protocols.
    """

    def run_(self, program: Protocol, command: str = "program") -> None:
        self.program = program
        self.open(ProgramSession(lambda command: program))
        self.agreed("exec", NS(command))

    def test_interface(self) -> None:
        verifyObject(ISession, ProgramSession({}))
        self.run_(Memorising())
        for interface in (ITransport, IConsumer, IPushProducer, IProcessProtocol):
            verifyObject(interface, self.server.client)

    def test_talk(self) -> None:
        self.run_(Memorising())
        transport = self.program.transport
        self.client.write(b"question")
        self.link.pump()
        self.assertEqual(b"question", self.program.received)
        transport.write(b"an")
        transport.writeErr(b"hm")
        transport.writeSequence([b"sw", b"er"])
        self.link.pump()
        self.assertEqual([("data", b"an"), ("ext 1", b"hm"), ("data", b"swer")], self.client.events[1:])
        self.assertEqual(self.link.server.getPeer(), transport.getPeer())
        self.assertEqual(self.link.server.getHost(), transport.getHost())

    def test_inputAndOutputAreTwoThings(self) -> None:
        """
        D4: a program that writes more than the window at once, with input that
        came before it started.
        """
        program = Memorising()
        program.greeting = bytes(range(256)) * 20_000
        self.open(ProgramSession(lambda command: program))
        self.client.write(b"early input, ")
        self.link.pump()
        self.agreed("exec", NS("x"))
        self.client.write(b"late input")
        self.link.pump()
        self.assertEqual(b"early input, late input", program.received)
        self.assertEqual(program.greeting, self.client.received)

    def test_earlyInputIsBounded(self) -> None:
        program = Memorising()
        self.open(ProgramSession(lambda command: program))
        self.client.write(bytes(5_000_000))
        self.link.pump()
        self.assertEqual(2 * 1024 * 1024, self.server._machine.incoming._held.size)
        self.agreed("exec", NS("x"))
        self.assertEqual(5_000_000, len(program.received))

    def test_loseConnection(self) -> None:
        """
        A program that closes ends with status 0; what it wrote comes first.
        """
        self.run_(Memorising())
        self.program.transport.write(bytes(3_000_000))
        self.program.transport.loseConnection()
        self.assertEqual([], self.program.lost)
        self.link.pump()
        self.assertEqual(3_000_000, len(self.client.received))
        self.assertEqual(["eof", "close", "closed"], self.client.events[-3:])
        self.assertEqual(0, self.client.exitStatus)
        self.assertEqual(1, len(self.program.lost))

    def test_exit(self) -> None:
        self.run_(Memorising())
        self.program.transport.exit(3)
        self.link.pump()
        self.assertEqual(3, self.client.exitStatus)
        self.assertEqual("closed", self.client.events[-1])

    def test_endsAtOnce(self) -> None:
        """
        D6: a program that ends while it starts: the reply comes first.
        """

        class Hasty(Memorising):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.write(b"hello")
                self.transport.exit(1)

        self.open(ProgramSession(lambda command: Hasty()))
        self.link.delivered.clear()
        self.agreed("exec", NS("x"))
        self.assertEqual(
            [
                ">CHANNEL_REQUEST",
                "<CHANNEL_SUCCESS",
                "<CHANNEL_REQUEST",
                "<CHANNEL_DATA",
                "<CHANNEL_EOF",
                "<CHANNEL_CLOSE",
                ">CHANNEL_CLOSE",
            ],
            self.link.delivered,
        )
        self.assertEqual((1, b"hello"), (self.client.exitStatus, self.client.received))

    def test_inputEnds(self) -> None:
        """
        A program that knows nothing of half-closed connections ends with its
        input.
        """
        self.run_(Memorising())
        self.client.write(b"all")
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual((b"all", 0), (self.program.received, self.client.exitStatus))
        self.assertEqual(1, len(self.program.lost))

    def test_inputEndsHalfCloseable(self) -> None:
        self.run_(HalfCloseable())
        self.client.loseConnection()
        self.link.pump()
        self.assertTrue(self.program.ended)
        self.program.transport.write(b"and yet")
        self.program.transport.loseWriteConnection()
        self.link.pump()
        self.assertEqual(b"and yet", self.client.received)
        self.assertEqual("closed", self.client.events[-1])

    def test_clientGoes(self) -> None:
        for name in ("abort", "lose"):
            self.run_(Memorising())
            self.client.abortConnection() if name == "abort" else self.link.lose()
            self.link.pump()
            self.assertEqual(1, len(self.program.lost))

    def test_abort(self) -> None:
        self.run_(Memorising())
        self.program.transport.abortConnection()
        self.link.pump()
        self.assertEqual(["close", "closed"], self.client.events[-2:])
        self.assertEqual(1, len(self.program.lost))

    def test_raises(self) -> None:
        class Defective(Memorising):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        self.run_(Defective())
        self.client.write(b"x")
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, len(self.program.lost))

    def test_backPressure(self) -> None:
        """
        A program's transport is a producer and a consumer, as TCP's is.
        """

        class Producer:
            paused = False

            def pauseProducing(self) -> None:
                self.paused = True

            def resumeProducing(self) -> None:
                self.paused = False

            def stopProducing(self) -> None:
                pass

        self.run_(Memorising())
        transport = self.program.transport
        transport.pauseProducing()
        self.client.write(b"x")
        self.link.pump()
        self.assertEqual(b"", self.program.received)
        transport.resumeProducing()
        self.assertEqual(b"x", self.program.received)
        producer = Producer()
        transport.registerProducer(producer, True)
        self.client.pauseProducing()
        transport.write(bytes(3_000_000))
        self.link.pump()
        self.assertTrue(producer.paused)
        self.client.resumeProducing()
        self.link.pump()
        self.assertFalse(producer.paused)
        transport.unregisterProducer()
        transport.stopProducing()
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])

    def test_mapping(self) -> None:
        """
        A program is found by the whole command or by its first word.
        """
        asked = []

        def make(name: str) -> object:
            def program(command: bytes) -> Protocol:
                asked.append((name, command))
                return Memorising()

            return program

        programs = {b"cat": make("cat"), b"cat -v": make("cat -v")}
        for command in ("cat", "cat x", "cat -v", "  cat"):
            self.open(ProgramSession(programs))
            self.agreed("exec", NS(command))
        self.assertEqual(
            [("cat", b"cat"), ("cat", b"cat x"), ("cat -v", b"cat -v"), ("cat", b"  cat")], asked
        )
        for command in ("", "dog", "cats", " "):
            self.open(ProgramSession(programs))
            self.refused("exec", NS(command))
        self.assertEqual([], self.flushLoggedErrors())

    def test_shell(self) -> None:
        self.open(ProgramSession({}, shell=lambda command: Memorising()))
        self.agreed("shell")
        self.open(ProgramSession({}))
        self.refused("shell")

    def test_noTerminal(self) -> None:
        self.open(ProgramSession({}))
        self.refused("pty-req", session.packRequest_pty_req("x", (1, 2, 3, 4), b""))
        self.refused("window-change", session.packRequest_window_change((1, 2, 3, 4)))


class CatTests(SessionTestCase):
    """
    The howto's program: a line to C{cat}, and back.
    """

    def setUp(self) -> None:
        self.open(ProgramSession({b"cat": Cat}))

    def test_howto(self) -> None:
        """
        In this order, every time: what is sent comes back before the channel
        is closed.
        """
        self.request("exec", NS("cat")).addCallback(self._started)
        self.link.pump()
        line = b'This data will be echoed back to us by "cat."\r\n'
        self.assertEqual(
            [("open", b""), ("data", line), "eof", "close", "closed"],
            [event for event in self.client.events if event[0] != "request"],
        )
        self.assertEqual(0, self.client.exitStatus)
        self.assertEqual([], self.link.clock.getDelayedCalls())

    def _started(self, ignored: object) -> None:
        self.client.write(b'This data will be echoed back to us by "cat."\r\n')
        self.client.conn.sendEOF(self.client)
        self.client.loseConnection()

    def test_large(self) -> None:
        self.agreed("exec", NS("cat"))
        data = bytes(range(256)) * 40_000
        self.client.write(data)
        self.client.loseConnection()
        self.link.pump()
        self.assertEqual(data, self.client.received)
        self.assertEqual("closed", self.client.events[-1])

    def test_clientThatDoesNotRead(self) -> None:
        """
        What the user does not take back is not taken from him: the server
        keeps no more than a window and C{waitingLimit}.
        """
        self.agreed("exec", NS("cat"))
        self.client.pauseProducing()
        self.client.write(bytes(20_000_000))
        self.link.pump()
        kept = self.server._machine.outgoing.window.size + self.server._machine.incoming._held.size
        self.assertLess(kept, 2 * 1024 * 1024 + 256 * 1024 + 32768 + 1)
        self.client.resumeProducing()
        self.client.loseConnection()
        self.link.pump()
        self.assertEqual(20_000_000, len(self.client.received))

    def test_clientAborts(self) -> None:
        self.agreed("exec", NS("cat"))
        self.client.write(b"x")
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual({}, self.link.server.service.channels)


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
        self.assertEqual(["eof", "close", "closed"], [e for e in self.client.events if e in ENDS])

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


ENDS = ("eof", "close", "closed")
