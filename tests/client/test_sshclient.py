"""
Commands that run to their end: L{conchlite.client.sshclient}.
"""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

import conchlite
from conchlite.client.commandresult import CommandResult
from conchlite.client.localuser import localUser
from conchlite.client.login import Login
from conchlite.client.sshclient import LoginArguments, SSHClient, connect
from conchlite.error import (
    AuthenticationFailed,
    ChannelOpenFailed,
    ChannelRequestFailed,
    ClientClosed,
    CommandFailed,
    CommandTimedOut,
    ConnectionEnded,
    Disconnected,
    HostKeyUnknown,
    OutputTooLarge,
    PeerSilent,
    UsageError,
)
from conchlite.interfaces import ExitedBySignal, Terminal, TerminalSize
from conchlite.ssh.session import parseRequest_pty_req
from tests.client.clientscenes import ClientTestCase
from tests.endpointscenes import HOST, USER_KEY, LoginTestCase


class ConnectTests(LoginTestCase):
    """
    Connecting, by the shortest way.
    """

    def connect(self, **named: Any) -> Deferred[SSHClient]:
        usual = {"username": "alice", "keys": [USER_KEY], "knownHosts": self.knownHosts}
        return conchlite.connect(self.network, HOST, **{**usual, **named})

    def begun(self, **named: Any) -> Deferred[SSHClient]:
        connecting = self.connect(**named)
        self.network.accept()
        self.network.flush()
        return connecting

    def test_connect(self) -> None:
        client = self.successResultOf(self.begun())
        self.assertIsInstance(client, SSHClient)
        self.assertEqual([b"alice"], self.server.users)
        self.assertIsNone(client.lost)

    def test_ownName(self) -> None:
        """
        Who does not say who he is, is who he is.
        """
        connecting = self.begun(username=None, keys=[], password="x")
        self.network.wait()
        failure = self.failureResultOf(connecting, AuthenticationFailed)
        self.assertIn(f"did not authenticate '{localUser()}'", str(failure.value))

    def test_usualKeys(self) -> None:
        """
        Who does not say what he logs in with, does so with the keys in the
        usual files.
        """
        home = Path(self.mktemp())
        (home / ".ssh").mkdir(parents=True)
        USER_KEY.toFile(home / ".ssh" / "id_ed25519")
        self.patch(os, "environ", {**os.environ, "HOME": str(home.absolute()), "SSH_AUTH_SOCK": ""})
        connecting = conchlite.connect(self.network, HOST, "alice", knownHosts=self.knownHosts)
        self.network.accept()
        self.network.flush()
        self.assertIsInstance(self.successResultOf(connecting), SSHClient)

    def test_usualAgent(self) -> None:
        """
        And the agent is asked before.
        """
        self.patch(os, "environ", {**os.environ, "HOME": self.mktemp(), "SSH_AUTH_SOCK": "/agent"})
        connecting = conchlite.connect(self.network, HOST, "alice", knownHosts=self.knownHosts)
        ((path, factory, *_),) = self.network.unixClients
        self.assertEqual("/agent", path)
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.network.accept()
        self.network.flush()
        failure = self.failureResultOf(connecting, AuthenticationFailed)
        self.assertIn("there is no agent", str(failure.value))

    def test_strict(self) -> None:
        """
        A server that is not known is refused.
        """
        connecting = self.begun(knownHosts=self.mktemp())
        self.failureResultOf(connecting, HostKeyUnknown)

    def test_wrong(self) -> None:
        """
        What is wrong with the arguments, the Deferred fails with.
        """
        self.failureResultOf(self.connect(keys=[USER_KEY.public()]), UsageError)

    def test_cancel(self) -> None:
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.network.tcpClients.clear()
        self.server.checking.close()
        connecting = self.begun()
        connecting.cancel()
        self.network.flush()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(1, self.server.lost)

    def test_keepAlive(self) -> None:
        """
        A server that says nothing any more is noticed.
        """
        client = self.successResultOf(self.begun(keepAlive=5))
        lost = client.whenLost()
        running = client.run("sleep")
        self.network.flush()
        for _ in range(4):
            self.network.advance(5)
        self.assertNoResult(running)
        self.network.advance(5)
        self.network.flush()
        self.assertIsInstance(self.successResultOf(lost), PeerSilent)
        self.failureResultOf(running, PeerSilent)

    def test_arguments(self) -> None:
        """
        What C{connect} takes is what L{Login} takes, with the same types.
        """
        parameters = inspect.signature(Login.__init__).parameters
        expected = {name: parameter.annotation for name, parameter in parameters.items()}
        for name in ("self", "reactor", "username", "hostname", "port"):
            del expected[name]
        self.assertEqual(expected, {n: t.__forward_arg__ for n, t in LoginArguments.__annotations__.items()})
        self.assertEqual(frozenset(), LoginArguments.__required_keys__)

    def test_costsNothing(self) -> None:
        """
        The short name is looked up when it is wanted.
        """
        self.assertIs(connect, conchlite.connect)
        with self.assertRaises(AttributeError):
            conchlite.nothing  # noqa: B018
        code = "import conchlite, sys; print('twisted' in sys.modules, 'conchlite.client' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual("False False\n", done.stdout)


class RunTests(ClientTestCase):
    """
    What comes of a command.
    """

    def test_result(self) -> None:
        running, session = self.run_("sort -r")
        self.assertEqual((b"sort -r", ["eof"]), (session.command, session.events))
        session.write(b"b\na\xff\n")
        session.errors(b"hm")
        self.assertNoResult(running)
        self.exited(session)
        result = self.successResultOf(running)
        self.assertEqual(CommandResult(b"sort -r", 0, None, b"b\na\xff\n", b"hm"), result)
        self.assertTrue(result.succeeded)
        self.assertIs(result, result.check())
        self.assertEqual(("b\na\ufffd\n", ["b", "a\ufffd"]), (result.text, result.lines))
        with self.assertRaises(AttributeError):
            result.stdout = b""

    def test_await(self) -> None:
        """
        It can be awaited as well.
        """

        async def twice() -> list[str]:
            first = await self.client.run("one")
            return first.lines + (await self.client.run("two")).lines

        running = Deferred.fromCoroutine(twice())
        for _ in range(2):
            session = self.begun(running)
            session.write(session.command + b"\n")
            self.exited(session)
        self.assertEqual(["one", "two"], self.successResultOf(running))

    def test_failed(self) -> None:
        """
        A status is no error, unless somebody asks for it.
        """
        running, session = self.run_("false")
        self.exited(session, 3)
        result = self.successResultOf(running)
        self.assertEqual((3, False), (result.exitStatus, result.succeeded))
        self.assertRaises(CommandFailed, result.check)

    def test_check(self) -> None:
        """
        The error says which command it was, how it ended, and what it said
        last, safe to print.
        """
        running, session = self.run_("ls \x1b[1m", check=True)
        session.errors(b"x" * 1000 + b"no \x1b[31msuch file\n")
        self.exited(session, 2)
        error = self.failureResultOf(running, CommandFailed).value
        self.assertTrue(str(error).startswith("'ls \\x1b[1m' ended with status 2: xxx"), str(error))
        self.assertTrue(str(error).endswith("xxxno \\x1b[31msuch file"), str(error))
        self.assertLess(len(str(error)), 600)
        self.assertEqual(2, error.result.exitStatus)

    def test_checkSucceeds(self) -> None:
        running, session = self.run_("true", check=True)
        self.exited(session)
        self.assertTrue(self.successResultOf(running).succeeded)

    def test_signal(self) -> None:
        running, session = self.run_("sleep", check=True)
        session.die(b"KILL")
        self.network.flush()
        error = self.failureResultOf(running, CommandFailed).value
        self.assertEqual("'sleep' was ended by signal KILL: killed by \\x1b[31mtest", str(error))
        self.assertEqual(
            (None, ExitedBySignal("KILL", False, "killed by \\x1b[31mtest")),
            (error.result.exitStatus, error.result.exitSignal),
        )

    def test_unknown(self) -> None:
        """
        A command of which nobody says how it ended has not succeeded.
        """
        running, session = self.run_("mute")
        session.loseConnection()
        self.network.flush()
        result = self.successResultOf(running)
        self.assertEqual((None, None, False), (result.exitStatus, result.exitSignal, result.succeeded))
        error = self.assertRaises(CommandFailed, result.check)
        self.assertEqual("'mute' ended, and the server did not say how", str(error))

    def test_lost(self) -> None:
        """
        A connection that is lost is no end of a command, even behind its
        status.
        """
        running, session = self.run_("sleep")
        waiting = [self.client.run("x") for _ in range(12)]
        session.conn.sendRequest(session, b"exit-status", b"\0\0\0\0")
        self.network.flush()
        self.network.cut()
        for deferred in (running, *waiting):
            self.failureResultOf(deferred, ConnectionEnded)

    def test_lostIsKnown(self) -> None:
        """
        Who hears of the end by a command that fails with it finds it in
        C{lost}, and can run nothing more.
        """
        seen: list[object] = []

        def failed(failure: Failure) -> Deferred[CommandResult]:
            seen.append(self.client.lost is failure.value)
            return self.client.run("true")

        running, _ = self.run_("sleep")
        running.addErrback(failed)
        self.network.cut()
        self.assertEqual([True], seen)
        self.failureResultOf(running, ClientClosed)

    def test_list(self) -> None:
        """
        A command is no list, as it is for processes of one's own.
        """
        for asked in (self.client.run, self.client.open):
            failure = self.failureResultOf(asked(["ls", "-l"]), UsageError)
            self.assertIn("shlex.join", str(failure.value))

    def test_refused(self) -> None:
        running = self.client.run("forbidden")
        self.network.flush()
        self.failureResultOf(running, ChannelRequestFailed)
        self.assertEqual(["closed"], [e for e in self.server.sessions[0].events if e == "closed"])
        self.unharmed()

    def test_noSession(self) -> None:
        """
        Where there is no session of ours, a refusal is one.
        """
        self.server.refusesSessions = True
        running = self.client.run("true")
        self.network.flush()
        self.failureResultOf(running, ChannelOpenFailed)
        self.server.refusesSessions = False
        self.unharmed()

    def test_streams(self) -> None:
        """
        Standard error among the standard output, in its order; or nowhere.
        """
        for stderr, expected in (("merge", (b"abc", b"")), ("discard", (b"ac", b""))):
            running, session = self.run_("x", stderr=stderr)
            session.write(b"a")
            session.errors(b"b")
            session.write(b"c")
            session.writeExtended(7, b"of a kind that nobody knows")
            self.exited(session)
            result = self.successResultOf(running)
            self.assertEqual(expected, (result.stdout, result.stderr))

    def test_environment(self) -> None:
        """
        Variables and a terminal are there before the command is.
        """
        terminal = Terminal(b"vt100", TerminalSize(50, 100), ((53, 0),))
        running, session = self.run_("x", environment={"LANG": "C"}, terminal=terminal)
        pty, variable = session.asked
        self.assertEqual(b"pty-req", pty[0])
        self.assertEqual((b"vt100", (50, 100, 0, 0), [(53, 0)]), parseRequest_pty_req(pty[1]))
        self.assertEqual((b"env", b"LANG", b"C"), variable)
        self.exited(session)
        self.successResultOf(running)

    def test_environmentRefused(self) -> None:
        """
        A command does not run without what it was to have.
        """
        self.server.refuses = frozenset((b"env", b"pty-req"))
        running, session = self.run_("x", environment={"A": "1", "B": "2"})
        failure = self.failureResultOf(running, ChannelRequestFailed)
        self.assertEqual("the server refused env A", str(failure.value))
        self.assertIsNone(session.command)
        self.unharmed()


class InputTests(ClientTestCase):
    """
    What a command reads.
    """

    def sent(self, source: object) -> bytes:
        running, session = self.run_("cat", source)
        self.assertEqual(["eof"], session.events)
        self.exited(session)
        self.assertTrue(self.successResultOf(running).succeeded)
        return session.received

    def test_kinds(self) -> None:
        self.assertEqual(b"", self.sent(None))
        self.assertEqual(b"", self.sent(b""))
        self.assertEqual(b"abc", self.sent(b"abc"))
        self.assertEqual("\u00e4".encode(), self.sent("\u00e4"))
        self.assertEqual(b"abc", self.sent([b"a", "b", b"", b"c"]))
        self.assertEqual(b"012", self.sent(str(number) for number in range(3)))
        self.assertEqual(b"x" * 200000, self.sent(io.BytesIO(b"x" * 200000)))
        self.assertEqual(b"text", self.sent(io.StringIO("text")))

    def test_asynchronous(self) -> None:
        ready: Deferred[bytes] = Deferred()

        async def pieces() -> Any:
            yield b"first "
            yield await ready

        running, session = self.run_("cat", pieces())
        self.assertEqual((b"first ", []), (session.received, session.events))
        ready.callback(b"second")
        self.network.flush()
        self.assertEqual((b"first second", ["eof"]), (session.received, session.events))
        self.exited(session)
        self.successResultOf(running)

    def unread(self, command: str, source: object) -> Any:
        """
        Run a command that does not read its input.
        """
        self.server.answering.close()
        running, session = self.run_(command, source)
        session.pauseProducing()
        self.server.answering.open()
        self.network.flush()
        return running, session

    def test_bounded(self) -> None:
        """
        A file is read as fast as the command reads, and not at once.
        """
        source = Zeros()
        running, session = self.unread("cat", source)
        self.assertGreater(source.given, 0)
        self.assertLess(source.given, source.size / 2)
        session.resumeProducing()
        self.network.flush()
        self.assertEqual((source.size, ["eof"]), (len(session.received), session.events))
        self.exited(session)
        self.successResultOf(running)

    def test_notRead(self) -> None:
        """
        A command that ends before it has read its input has not failed.
        """
        running, session = self.unread("true", Zeros())
        self.exited(session)
        session.abortConnection()
        self.network.flush()
        self.assertTrue(self.successResultOf(running).succeeded)
        self.unharmed()

    def test_readNoMore(self) -> None:
        """
        OpenSSH's server says when the input is closed at its end.
        """
        source = Zeros()
        running, session = self.unread("head", source)
        session.conn.sendRequest(session, b"eow@openssh.com", b"")
        self.network.flush()
        given = source.given
        session.resumeProducing()
        self.network.flush()
        self.assertEqual(given, source.given)
        self.assertLess(given, source.size)
        self.exited(session)
        self.assertTrue(self.successResultOf(running).succeeded)

    def test_fails(self) -> None:
        """
        What reading the input raises ends the command.
        """

        def pieces() -> Any:
            yield b"a"
            raise ZeroDivisionError

        running, session = self.run_("cat", pieces())
        self.failureResultOf(running, ZeroDivisionError)
        self.assertEqual(["closed"], session.events)
        self.unharmed()


class Zeros:
    """
    A large file.

    @ivar given: how many bytes were read.
    """

    size = 2**23
    given = 0

    def read(self, size: int) -> bytes:
        piece = bytes(min(size, self.size - self.given))
        self.given += len(piece)
        return piece


class BoundsTests(ClientTestCase):
    """
    How long a command may take, and how much it may write.
    """

    def test_timeout(self) -> None:
        """
        A command that takes too long is told to end, and what it wrote is
        there.
        """
        running, session = self.run_("sleep", timeout=10)
        session.write(b"one")
        session.errors(b"two")
        self.network.flush()
        self.network.advance(9)
        self.assertNoResult(running)
        self.network.advance(1)
        error = self.failureResultOf(running, CommandTimedOut).value
        self.assertEqual("'sleep' was not over after 10 seconds", str(error))
        self.assertEqual(
            (b"one", b"two", None), (error.result.stdout, error.result.stderr, error.result.exitStatus)
        )
        self.network.flush()
        self.assertEqual([(b"signal", b"TERM")], session.asked)
        self.assertIn("closed", session.events)
        self.unharmed()

    def test_inTime(self) -> None:
        before = list(self.network.getDelayedCalls())
        running, session = self.run_("sleep", timeout=10)
        self.assertGreater(len(self.network.getDelayedCalls()), len(before))
        self.exited(session)
        self.successResultOf(running)
        self.assertEqual(before, self.network.getDelayedCalls())

    def test_timeoutOpening(self) -> None:
        """
        A server that does not answer takes too long as well.
        """
        self.server.opening.close()
        running = self.client.run("sleep", timeout=10)
        self.network.flush()
        self.network.advance(10)
        self.failureResultOf(running, CommandTimedOut)
        self.server.opening.open()
        self.network.flush()
        self.assertEqual([None], [session.command for session in self.server.sessions])
        self.unharmed()

    def test_timeoutInRow(self) -> None:
        """
        The time runs from when it is the command's turn.
        """
        self.server.maximumSessions = 1
        first, session = self.run_("first")
        second = self.client.run("second", timeout=10)
        self.network.flush()
        for _ in range(30):
            self.network.advance(1)
            self.network.flush()
        self.assertNoResult(second)
        self.exited(session)
        self.successResultOf(first)
        session = self.begun(second)
        self.assertEqual(b"second", session.command)
        self.network.advance(9)
        self.assertNoResult(second)
        self.network.advance(1)
        self.failureResultOf(second, CommandTimedOut)

    def test_tooLarge(self) -> None:
        """
        What is kept is bounded, and the channel closed at once.
        """
        running, session = self.run_("yes", maxOutput=1000)
        session.write(b"x" * 900)
        session.errors(b"y" * 100)
        self.network.flush()
        self.assertNoResult(running)
        session.write(b"z" * 100000)
        self.network.flush()
        error = self.failureResultOf(running, OutputTooLarge).value
        self.assertEqual("'yes' wrote more than 1000 bytes", str(error))
        self.assertEqual((b"x" * 900, b"y" * 100), (error.result.stdout, error.result.stderr))
        self.assertIn("closed", session.events)
        self.unharmed()

    def test_tooLargeInPart(self) -> None:
        running, session = self.run_("yes", maxOutput=10)
        session.write(b"x" * 11)
        self.network.flush()
        self.assertEqual(b"x" * 10, self.failureResultOf(running, OutputTooLarge).value.result.stdout)

    def test_exactly(self) -> None:
        running, session = self.run_("yes", maxOutput=10)
        session.write(b"x" * 10)
        self.exited(session)
        self.assertEqual(b"x" * 10, self.successResultOf(running).stdout)

    def test_cancel(self) -> None:
        """
        To cancel closes the channel at once, and tells the command to end.
        """
        running, session = self.run_("sleep")
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.network.flush()
        self.assertEqual([(b"signal", b"TERM")], session.asked)
        self.assertIn("closed", session.events)
        self.unharmed()

    def test_cancelOpening(self) -> None:
        for gate in (self.server.opening, self.server.answering):
            gate.close()
            running = self.client.run("sleep")
            self.network.flush()
            running.cancel()
            self.failureResultOf(running, CancelledError)
            gate.open()
            self.network.flush()
            self.unharmed()


class CloseTests(ClientTestCase):
    """
    The end of the connection.
    """

    def test_close(self) -> None:
        """
        The good-bye is waited for; what runs fails with it, and later calls
        say so.
        """
        running, _ = self.run_("sleep")
        lost = self.client.whenLost()
        closing = self.client.close()
        self.failureResultOf(self.client.run("true"), ClientClosed)
        self.network.flush()
        self.successResultOf(closing)
        self.failureResultOf(running, Disconnected)
        self.assertIsInstance(self.successResultOf(lost), Disconnected)
        self.assertEqual([(11, b"disconnected by user")], self.server.goodbyes)
        failure = self.failureResultOf(self.client.run("true"), ClientClosed)
        self.assertIn("disconnected by user", str(failure.value))
        self.failureResultOf(self.client.open("true"), ClientClosed)
        self.successResultOf(self.client.close())
        self.assertIs(self.client.lost, self.successResultOf(self.client.whenLost()))

    def test_lost(self) -> None:
        lost = self.client.whenLost()
        gone = self.client.whenLost()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.network.cut()
        self.assertIsInstance(self.successResultOf(lost), ConnectionEnded)
        self.assertIsInstance(self.client.lost, ConnectionEnded)

    def test_context(self) -> None:
        async def within() -> str:
            async with self.client as client:
                self.assertIs(self.client, client)
                return (await client.run("echo")).text

        running = Deferred.fromCoroutine(within())
        session = self.begun(running)
        session.write(b"done")
        self.exited(session)
        self.assertEqual("done", self.successResultOf(running))
        self.assertEqual(1, self.server.lost)

    def test_lostInRow(self) -> None:
        """
        Who waits for his turn is told why it never comes.
        """
        self.server.maximumSessions = 1
        running = [self.client.run("sleep") for _ in range(500)]
        self.network.flush()
        self.network.cut()
        for deferred in running:
            self.failureResultOf(deferred, ConnectionEnded)
        self.assertEqual([], self.network.getDelayedCalls())
