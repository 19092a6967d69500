"""
Sessions whose programs are processes.
"""

from __future__ import annotations

import os
import pwd

from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from conchlite.interfaces import (
    EnvironmentVariableNotPermitted,
    ISession,
    ISessionAgent,
    ISessionBreak,
    ISessionSetEnv,
    ISessionSignal,
)
from conchlite.ssh.address import SSHTransportAddress
from conchlite.ssh.childprocess import PseudoTerminal, Start
from conchlite.ssh.common import NS
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.session import packRequest_pty_req, packRequest_window_change
from conchlite.wire.connection import BreakRequest, ExitSignal
from tests.ssh.realsessions import RealSessionCase
from tests.ssh.sessions import SessionTestCase

ENDS = ("eof", "close", "closed")

#: Where the user of a fake link comes from.
CONNECTION = {b"SSH_CLIENT": b"192.0.2.2 22 1022", b"SSH_CONNECTION": b"192.0.2.2 22 192.0.2.1 1022"}


class RecordingProcess:
    """
    A process that has never been.

    @ivar calls: what was asked of it.
    """

    ended = False

    def __init__(self) -> None:
        self.calls: list[object] = []

    def signalGroup(self, name: str) -> None:
        if self.ended:
            raise ProcessExitedAlready
        self.calls.append(name)

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append((name, *arguments))


class ProcessSessionTests(SessionTestCase):
    """
    What a session starts, and what it does with it.
    """

    def setUp(self) -> None:
        self.reactor = Clock()
        self.session = ProcessSession(self.reactor, "/bin/sh", "/", {"A": "b"})
        self.session.spawn = self.spawn
        self.spawned: list[tuple[object, ...]] = []
        self.process = RecordingProcess()
        self.failure: OSError | None = None
        self.open(self.session)

    def spawn(self, reactor, proto, *arguments) -> RecordingProcess:
        self.assertIs(reactor, self.reactor)
        self.assertIs(proto, self.server.client)
        if self.failure is not None:
            raise self.failure
        self.spawned.append(arguments)
        return self.process

    def askForPty(self, term: str = "vt100") -> None:
        self.agreed("pty-req", packRequest_pty_req(term, (24, 80, 0, 0), b""))

    def test_interfaces(self) -> None:
        for interface in (ISession, ISessionAgent, ISessionBreak, ISessionSetEnv, ISessionSignal):
            verifyObject(interface, self.session)

    def test_command(self) -> None:
        """
        The command is one argument, whatever is in it.
        """
        for command in (b"ls -l", b"; rm -rf /", b"$(id)", b"-c x", b"\xff", b""):
            self.setUp()
            self.agreed("exec", NS(command))
            self.assertEqual(
                [
                    (
                        b"/bin/sh",
                        [b"sh", b"-c", command],
                        {b"A": b"b", **CONNECTION},
                        Start(None, "/", 0o022),
                        None,
                    )
                ],
                self.spawned,
            )
        self.setUp()
        self.refused("exec", NS(b"a\0b"))
        self.assertEqual([], self.spawned)

    def test_shell(self) -> None:
        self.agreed("shell")
        [(executable, arguments, *_)] = self.spawned
        self.assertEqual((b"/bin/sh", [b"-sh"]), (executable, arguments))

    def test_notOverIP(self) -> None:
        """
        Where there are no addresses and ports, there is nothing to say of them.
        """
        self.link.server.getPeer = lambda: SSHTransportAddress(UNIXAddress(None))
        self.agreed("shell")
        self.assertEqual({b"A": b"b"}, self.spawned[0][2])

    def test_terminal(self) -> None:
        """
        The terminal is the process's; its name and type are in the environment.
        """
        self.askForPty()
        self.agreed("window-change", packRequest_window_change((50, 132, 0, 0)))
        self.agreed("shell")
        *_, environment, _, terminal = self.spawned[0]
        self.addCleanup(terminal.close)
        self.assertIsInstance(terminal, PseudoTerminal)
        self.assertEqual(os.get_terminal_size(terminal.descriptors[1]), (132, 50))
        self.assertEqual(os.fsencode(os.ttyname(terminal.descriptors[1])), environment[b"SSH_TTY"])
        self.assertEqual(b"vt100", environment[b"TERM"])
        self.agreed("window-change", packRequest_window_change((9, 8, 7, 6)))
        self.agreed("break", BreakRequest(500).pack())
        self.assertEqual([("windowChanged", (9, 8, 7, 6)), ("sendBreak",)], self.process.calls)

    def test_oneTerminal(self) -> None:
        """
        There is one, and nobody gets it afterwards.
        """
        self.askForPty("")
        self.refused("pty-req", packRequest_pty_req("x", (24, 80, 0, 0), b""))
        self.assertNotIn(b"TERM", self.session.environment)
        self.client.abortConnection()
        self.link.pump()
        self.setUp()
        self.agreed("shell")
        self.refused("pty-req", packRequest_pty_req("x", (24, 80, 0, 0), b""))

    def test_type(self) -> None:
        """
        Row 107: TERM is a value as any other that the user sets.
        """
        for term in ("a\0b", "\n", "\x1b[2J", "x" * 1025):
            self.refused("pty-req", packRequest_pty_req(term, (24, 80, 0, 0), b""))
        self.assertEqual({b"A": b"b"}, self.session.environment)

    def test_noTerminal(self) -> None:
        self.refused("window-change", packRequest_window_change((1, 2, 3, 4)))
        self.agreed("shell")
        self.refused("break", BreakRequest(500).pack())
        self.assertEqual([], self.process.calls)

    def test_terminalWithoutProcess(self) -> None:
        """
        What is asked of a process that is not there yet is refused, and is
        nobody's defect.
        """
        self.askForPty()
        self.refused("break", BreakRequest(500).pack())
        self.refused("signal", NS("INT"))
        self.agreed("window-change", packRequest_window_change((1, 2, 3, 4)))

    def test_noMoreTerminals(self) -> None:
        def openpty() -> None:
            raise OSError(12, "out of pty devices")

        self.patch(os, "openpty", openpty)
        self.refused("pty-req", packRequest_pty_req("x", (24, 80, 0, 0), b""))
        self.assertEqual([], self.flushLoggedErrors())

    def test_terminalNobodyUsed(self) -> None:
        """
        A terminal on which nothing ran is closed with the session.
        """
        before = os.listdir("/dev/fd")
        self.askForPty()
        self.assertGreater(len(os.listdir("/dev/fd")), len(before))
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual(before, os.listdir("/dev/fd"))

    def test_noMoreProcesses(self) -> None:
        self.failure = OSError(11, "Resource temporarily unavailable")
        self.refused("shell")
        self.assertEqual([], self.flushLoggedErrors())
        self.failure = None
        self.agreed("shell")

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
        self.agreed("exec", NS("x"))
        self.assertEqual(b"de", self.session.environment[b"LANG"])
        self.assertEqual(b"ls\n", self.session.environment[b"SSH_ORIGINAL_COMMAND"])

    def test_tooManyVariables(self) -> None:
        for number in range(self.session.maxVariables):
            self.session.setEnv(b"LC_%d" % number, b"x")
        self.assertRaises(EnvironmentVariableNotPermitted, self.session.setEnv, b"LC_MORE", b"x")

    def test_signals(self) -> None:
        self.refused("signal", NS("TERM"))
        self.agreed("exec", NS("x"))
        self.agreed("signal", NS("TERM"))
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual(["TERM", ("closeStdin",)], self.process.calls)
        self.process.ended = True
        self.refused("signal", NS("TERM"))

    def test_signalsNotHere(self) -> None:
        """
        Not every system has every signal, and may deliver it.
        """
        self.agreed("exec", NS("x"))
        for error in (ProcessLookupError("no such signal"), PermissionError(1, "no")):

            def refuse(name: str, error: OSError = error) -> None:
                raise error

            self.process.signalGroup = refuse
            self.refused("signal", NS("TERM"))
        self.assertEqual([], self.flushLoggedErrors())

    def test_closed(self) -> None:
        """
        A process that has lost its user has a while to end, and then another.
        """
        self.agreed("exec", NS("x"))
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual([("abandon",)], self.process.calls)
        for until, name in (
            (self.session.hangupSeconds, "HUP"),
            (self.session.terminateSeconds, "TERM"),
            (self.session.killSeconds, "KILL"),
        ):
            del self.process.calls[:]
            self.reactor.advance(until - self.reactor.seconds() - 1)
            self.assertEqual([], self.process.calls)
            self.reactor.advance(1)
            self.assertEqual([name], self.process.calls)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_closedForever(self) -> None:
        self.session.hangupSeconds = self.session.terminateSeconds = self.session.killSeconds = None
        self.agreed("exec", NS("x"))
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_closedAndEnded(self) -> None:
        """
        Who has ended gets no more signals, whether that is known or not.
        """
        self.agreed("exec", NS("x"))
        client = self.server.client
        self.client.abortConnection()
        self.link.pump()
        self.process.ended = True
        self.reactor.advance(self.session.hangupSeconds)
        client.ended.callback(None)
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.session.closed()
        self.assertEqual([], self.reactor.getDelayedCalls())


class RealProcessTests(RealSessionCase):
    """
    Real processes, without a terminal.
    """

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
        await self.ask("env", NS("LANG") + NS("C.UTF-8"))
        await self.run_("env")
        names = {line.split(b"=")[0] for line in bytes(self.client.received).splitlines()}
        self.assertEqual(
            {b"HOME", b"LANG", b"LOGNAME", b"PATH", b"PWD", b"SHELL", b"USER", *CONNECTION},
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
        server = self.channel()
        while server._machine.outgoing.window.size <= server.waitingLimit:
            await self.wait()
        size = server._machine.outgoing.window.size
        for _ in range(20):
            await self.wait()
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
        server = self.channel()
        while self.client.remoteWindowLeft:
            await self.wait()
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
        server = self.channel()
        self.client.write(data)
        self.conn.sendClose(self.client)
        await self.ended
        while not os.path.exists(path + ".new") or os.path.getsize(path + ".new") < len(data):
            await self.wait()
        await self.gone(server)
        with open(path + ".new", "rb") as stream:
            self.assertEqual(data, stream.read())

    async def test_signal(self) -> None:
        await self.start("echo ready; exec sleep 1000")
        await self.says(b"ready")
        await self.ask("signal", NS("TERM"))
        await self.ended
        self.assertEqual(ExitSignal(b"TERM", False, b"", b""), self.client.exitSignal)

    async def test_connectionLost(self) -> None:
        """
        The process ends with the connection.
        """
        await self.start("exec sleep 1000")
        server = self.channel()
        self.link.lose()
        await self.ended
        await self.gone(server)

    async def test_shell(self) -> None:
        """
        Without a terminal the shell reads commands from its standard input.
        """
        await self.ask("shell")
        self.client.write(b"echo $((6 * 7))\nexit 5\n")
        await self.ended
        self.assertEqual(b"42\n", self.client.received)
        self.assertEqual(5, self.client.exitStatus)

    async def test_noSuchShell(self) -> None:
        user = self.link.server.avatar
        user._openSession = lambda: ProcessSession(reactor, "/no/such/shell", "/")
        await self.run_("x")
        self.assertEqual(1, self.client.exitStatus)
