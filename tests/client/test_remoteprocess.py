"""
What runs with its streams: L{conchlite.client.remoteprocess} and
L{conchlite.client.remotestreams}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ProcessTerminated

from conchlite.client.commandresult import CommandExit
from conchlite.client.remotestreams import MAXIMUM_LINE, PAUSE_AT
from conchlite.error import (
    ChannelClosed,
    ChannelRequestFailed,
    CommandFailed,
    ConnectionEnded,
    InputEnded,
    LineTooLong,
    OutputTooLarge,
    UsageError,
)
from conchlite.ssh.session import parseRequest_pty_req, parseRequest_window_change
from tests.client.clientscenes import ClientTestCase
from tests.ssh.sessions import HalfCloseable


class ProcessTests(ClientTestCase):
    """
    From its beginning to its end.
    """

    def test_exit(self) -> None:
        process, session = self.opened("cat")
        self.assertEqual(b"cat", session.command)
        waiting, watching = process.wait(), process.whenEnded()
        self.assertNoResult(waiting)
        self.exited(session, 3)
        ended = CommandExit(b"cat", 3, None)
        for deferred in (waiting, watching, process.wait(), process.whenEnded()):
            self.assertEqual(ended, self.successResultOf(deferred))
        self.assertEqual(ended, process.exit)

    def test_cancelWaiting(self) -> None:
        """
        Not to wait any more ends nothing.
        """
        process, session = self.opened("cat")
        for waiting in (process.wait(), process.whenEnded()):
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
        self.exited(session)
        self.assertTrue(self.successResultOf(process.wait()).succeeded)

    def test_refused(self) -> None:
        opening = self.client.open("forbidden")
        self.network.flush()
        self.failureResultOf(opening, ChannelRequestFailed)
        self.unharmed()

    def test_cancelOpening(self) -> None:
        self.server.answering.close()
        opening = self.client.open("cat")
        session = self.begun(opening)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.server.answering.open()
        self.network.flush()
        self.assertIn("closed", session.events)
        self.unharmed()

    def test_lost(self) -> None:
        """
        What came is there; then comes what ended the connection.
        """
        process, session = self.opened("cat")
        session.write(b"one\ntwo")
        session.conn.sendRequest(session, b"exit-status", b"\0\0\0\0")
        self.network.flush()
        waiting = process.wait()
        self.network.cut()
        self.failureResultOf(waiting, ConnectionEnded)
        self.assertEqual(b"one\n", self.successResultOf(process.stdout.readLine()))
        self.failureResultOf(process.stdout.read(), ConnectionEnded)
        self.assertEqual(b"two", self.successResultOf(process.stdout.read(10)))
        self.failureResultOf(process.stdout.readExactly(1), ConnectionEnded)
        self.failureResultOf(process.stdin.write(b"x"), ChannelClosed)

    def test_signals(self) -> None:
        process, session = self.opened("cat")
        process.terminate()
        process.kill()
        process.sendSignal("SIGUSR1")
        process.resize((1, 2, 3, 4))
        self.network.flush()
        *signals, (_, size) = session.asked
        self.assertEqual([b"TERM", b"KILL", b"USR1"], [name for _, name in signals])
        self.assertEqual((1, 2, 3, 4), parseRequest_window_change(size))

    def test_close(self) -> None:
        """
        To close it fails who waits, at once.
        """
        process, session = self.opened("cat")
        waiting, reading = process.wait(), process.stdout.read()
        process.close()
        self.failureResultOf(waiting, ChannelClosed)
        self.failureResultOf(reading, ChannelClosed)
        self.network.flush()
        self.assertEqual([(b"signal", b"TERM")], session.asked)
        self.assertIn("closed", session.events)
        self.unharmed()

    def test_context(self) -> None:
        async def within() -> bytes:
            async with await self.client.open("cat") as process:
                return await process.stdout.readLine()

        reading = Deferred.fromCoroutine(within())
        session = self.begun(reading)
        session.write(b"line\n")
        self.network.flush()
        self.assertEqual(b"line\n", self.successResultOf(reading))
        self.assertIn("closed", session.events)

    def test_shell(self) -> None:
        """
        A shell has a terminal, unless it is to have none.
        """
        opening = self.client.shell()
        session = self.begun(opening)
        (pty, shell) = session.asked
        self.assertEqual((b"xterm", (24, 80, 0, 0), []), parseRequest_pty_req(pty[1]))
        self.assertEqual((b"shell", b""), shell)
        self.successResultOf(opening)
        opening = self.client.shell(terminal=None, environment={"A": "b"})
        session = self.begun(opening)
        self.assertEqual([(b"env", b"A", b"b"), (b"shell", b"")], session.asked)
        self.exited(session, 1)
        ended = self.successResultOf(self.successResultOf(opening).wait())
        error = self.assertRaises(CommandFailed, ended.check)
        self.assertEqual("the shell ended with status 1", str(error))

    def test_subsystem(self) -> None:
        opening = self.client.subsystem("sftp")
        session = self.begun(opening)
        self.assertEqual(b"sftp", session.command)
        self.assertEqual(b"sftp", self.successResultOf(opening).command)


class OutputTests(ClientTestCase):
    """
    Reading.
    """

    def setUp(self) -> None:
        super().setUp()
        self.process, self.session = self.opened("cat")
        self.stdout, self.stderr = self.process.stdout, self.process.stderr

    def says(self, data: bytes, errors: bytes = b"") -> None:
        self.session.write(data)
        self.session.errors(errors)
        self.network.flush()

    def test_read(self) -> None:
        reading = self.stdout.read(10)
        self.assertNoResult(reading)
        self.says(b"abc")
        self.assertEqual(b"abc", self.successResultOf(reading))
        self.says(b"d" * 15)
        self.assertEqual(b"d" * 10, self.successResultOf(self.stdout.read(10)))
        self.assertEqual(b"d" * 5, self.successResultOf(self.stdout.read(10)))
        self.assertEqual(b"", self.successResultOf(self.stdout.read(0)))
        self.exited(self.session)
        self.assertEqual(b"", self.successResultOf(self.stdout.read(10)))

    def test_readAll(self) -> None:
        reading = self.stdout.read()
        self.says(b"abc", b"xyz")
        self.says(b"def")
        self.assertNoResult(reading)
        self.exited(self.session)
        self.assertEqual(b"abcdef", self.successResultOf(reading))
        self.assertEqual(b"xyz", self.successResultOf(self.stderr.read()))
        self.assertEqual(b"", self.successResultOf(self.stdout.read()))

    def test_readLine(self) -> None:
        reading = self.stdout.readLine()
        self.says(b"one")
        self.assertNoResult(reading)
        self.says(b" line\n\nlast")
        self.assertEqual(b"one line\n", self.successResultOf(reading))
        self.assertEqual(b"\n", self.successResultOf(self.stdout.readLine()))
        last = self.stdout.readLine()
        self.assertNoResult(last)
        self.exited(self.session)
        self.assertEqual(b"last", self.successResultOf(last))
        self.assertEqual(b"", self.successResultOf(self.stdout.readLine()))

    def test_lineTooLong(self) -> None:
        reading = self.stdout.readLine()
        self.says(b"x" * (MAXIMUM_LINE + 1))
        self.failureResultOf(reading, LineTooLong)
        # It can be read otherwise.
        self.assertEqual(b"x" * 10, self.successResultOf(self.stdout.read(10)))

    def test_readExactly(self) -> None:
        reading = self.stdout.readExactly(5)
        self.says(b"abc")
        self.assertNoResult(reading)
        self.says(b"defg")
        self.assertEqual(b"abcde", self.successResultOf(reading))
        reading = self.stdout.readExactly(5)
        self.exited(self.session)
        error = self.failureResultOf(reading, InputEnded).value
        self.assertEqual((b"fg", "standard output ended after 2 of 5 bytes"), (error.data, str(error)))
        self.failureResultOf(self.stdout.readExactly(2**30), UsageError)

    def test_oneAtATime(self) -> None:
        reading = self.stdout.read(1)
        self.failureResultOf(self.stdout.read(1), UsageError)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.says(b"a")
        self.assertEqual(b"a", self.successResultOf(self.stdout.read(1)))

    def test_iterate(self) -> None:
        async def collect(source: Any) -> list[bytes]:
            return [piece async for piece in source]

        lines = Deferred.fromCoroutine(collect(self.stdout))
        chunks = Deferred.fromCoroutine(collect(self.stderr.chunks(2)))
        self.says(b"one\ntw", b"xyz")
        self.says(b"o\nthree", b"w")
        self.exited(self.session)
        self.assertEqual([b"one\n", b"two\n", b"three"], self.successResultOf(lines))
        self.assertEqual([b"xy", b"z", b"w"], self.successResultOf(chunks))

    def test_merged(self) -> None:
        for stderr, expected in (("merge", b"abc"), ("discard", b"ac")):
            process, session = self.opened("x", stderr=stderr)
            session.write(b"a")
            session.errors(b"b")
            session.write(b"c")
            self.exited(session)
            self.assertEqual(expected, self.successResultOf(process.stdout.read()))
            self.assertEqual(b"", self.successResultOf(process.stderr.read()))


class HoldingBackTests(ClientTestCase):
    """
    Nobody waits for ever, and memory is bounded.
    """

    def sent(self) -> int:
        """
        How much the server could send of a large output.
        """
        return self.size - self.session.conn.channels[self.session.id]._machine.outgoing.window.size

    def begin_(self, size: int, kind: int, **named: Any) -> None:
        self.size = size
        self.process, self.session = self.opened("x", **named)
        if kind:
            self.session.errors(b"e" * size)
        else:
            self.session.write(b"o" * size)
        self.network.flush()

    def test_heldBack(self) -> None:
        """
        While nobody waits, what runs is held back.
        """
        self.begin_(2**24, 0)
        held = self.sent()
        self.assertLess(held, 2**23)
        self.assertLess(self.process.stdout.unread, PAUSE_AT + 40000)
        watching = self.process.whenEnded()
        reading = self.process.stdout.readExactly(2**20)
        self.network.flush()
        self.assertEqual(2**20, len(self.successResultOf(reading)))
        self.exited(self.session)
        self.assertNoResult(watching)

        async def rest() -> int:
            return sum([len(piece) async for piece in self.process.stdout.chunks()])

        reading = Deferred.fromCoroutine(rest())
        self.network.flush()
        self.assertEqual(2**24 - 2**20, self.successResultOf(reading))
        self.assertEqual(0, self.successResultOf(watching).exitStatus)

    def test_otherStream(self) -> None:
        """
        Who reads one stream to its end, and then the other, gets all of both,
        whatever the order that they were written in.
        """
        self.begin_(2**22, 1)
        reading = self.process.stdout.read()
        self.network.flush()
        self.session.write(b"output")
        self.exited(self.session)
        self.assertEqual(b"output", self.successResultOf(reading))
        self.assertEqual(2**22, len(self.successResultOf(self.process.stderr.read())))
        self.assertTrue(self.successResultOf(self.process.wait()).succeeded)

    def test_otherStreamTooLarge(self) -> None:
        """
        What nobody reads is kept up to a limit. Who reads up to there is told.
        """
        self.begin_(2**20, 1, maxUnread=100000)
        reading = self.process.stdout.read()
        self.network.flush()
        self.session.write(b"output")
        self.exited(self.session)
        self.assertEqual(b"output", self.successResultOf(reading))
        error = self.failureResultOf(self.process.stderr.read(), OutputTooLarge).value
        self.assertEqual("nobody read standard error: what came behind 100000 bytes was dropped", str(error))
        self.assertEqual(100000, len(self.successResultOf(self.process.stderr.read(2**20))))
        self.failureResultOf(self.process.stderr.readLine(), OutputTooLarge)
        self.failureResultOf(self.process.stderr.read(1), OutputTooLarge)

    def test_nothingBehindAGap(self) -> None:
        """
        Where some was dropped is the end, though there is room again; and a
        protocol that wants all of it gets none.
        """
        self.begin_(2**20, 1, maxUnread=100000)
        reading = self.process.stdout.read()
        self.network.flush()
        self.assertEqual(60000, len(self.successResultOf(self.process.stderr.read(60000))))
        self.session.errors(b"behind")
        self.exited(self.session)
        self.assertEqual(b"", self.successResultOf(reading))
        self.assertRaises(UsageError, self.process.connectTo, Errors())
        self.assertEqual(b"e" * 40000, self.successResultOf(self.process.stderr.read(2**20)))
        self.failureResultOf(self.process.stderr.read(1), OutputTooLarge)

    def test_readTooMuch(self) -> None:
        """
        To read all of it is no way round that.
        """
        self.begin_(2**20, 0, maxUnread=100000)
        reading = self.process.stdout.read()
        self.network.flush()
        self.failureResultOf(reading, OutputTooLarge)

    def test_wait(self) -> None:
        """
        Who waits for the end gets there without reading.
        """
        self.begin_(2**22, 0)
        waiting = self.process.wait()
        self.exited(self.session)
        self.assertTrue(self.successResultOf(waiting).succeeded)
        self.assertEqual(2**22, len(self.successResultOf(self.process.stdout.read())))

    def test_waitNoMore(self) -> None:
        self.begin_(2**20, 0, maxUnread=2**24)
        waiting = self.process.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.session.write(b"o" * 2**24)
        self.size += 2**24
        self.network.flush()
        self.assertLess(self.sent(), 2**23)


class StandardInputTests(ClientTestCase):
    """
    Writing.
    """

    def test_write(self) -> None:
        process, session = self.opened("cat")
        self.successResultOf(process.stdin.write("t\u00e4xt"))
        self.network.flush()
        self.assertEqual("t\u00e4xt".encode(), session.received)
        process.stdin.close()
        process.stdin.close()
        self.network.flush()
        self.assertEqual(["eof"], session.events)
        self.failureResultOf(process.stdin.write(b"x"), UsageError)

    def test_flow(self) -> None:
        """
        When much waits to be sent, the Deferred says when more is welcome.
        """
        process, session = self.opened("cat")
        session.pauseProducing()
        first = process.stdin.write(bytes(2**23))
        given_up = process.stdin.write(b"x")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.network.flush()
        self.assertNoResult(first)
        session.resumeProducing()
        self.network.flush()
        self.successResultOf(first)
        self.assertEqual(2**23 + 1, len(session.received))

    def test_gone(self) -> None:
        """
        What runs may end meanwhile.
        """
        process, session = self.opened("head")
        session.pauseProducing()
        writing = process.stdin.write(bytes(2**24))
        self.assertNoResult(writing)
        session.abortConnection()
        self.network.flush()
        self.failureResultOf(writing, ChannelClosed)
        self.failureResultOf(process.stdin.write(b"x"), ChannelClosed)
        process.stdin.close()

    def test_pipe(self) -> None:
        """
        What one command writes can be what another reads.
        """
        process, session = self.opened("cat")
        running, other = self.run_("sort", process.stdout)
        session.write(b"no end of a line")
        self.exited(session)
        self.assertEqual((b"no end of a line", ["eof"]), (other.received, other.events))
        self.exited(other)
        self.successResultOf(running)

    def test_pipeThatBreaks(self) -> None:
        """
        What comes from a command that is cut off is no whole input.
        """
        first, _ = self.opened("first")
        running, second = self.run_("second", first.stdout)
        first.close()
        self.network.flush()
        self.failureResultOf(running, ChannelClosed)
        self.assertEqual(["closed"], second.events)

    def test_cancelledBefore(self) -> None:
        """
        For a command that was cancelled before it was granted, nothing is read.
        """
        read = []

        def pieces() -> Any:
            read.append(True)
            yield b"piece"

        self.server.answering.close()
        running, _ = self.run_("cat", pieces())
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.server.answering.open()
        self.network.flush()
        self.assertEqual([], read)
        self.unharmed()

    def test_inputNobodyWaitsFor(self) -> None:
        """
        When a command is over, so is the wait for its input.
        """
        for end in ("cancelled", "ended"):
            cancelled: list[object] = []

            async def pieces(cancelled: list[object] = cancelled) -> Any:
                yield b"piece"
                await Deferred(cancelled.append)

            running, session = self.run_("head", pieces())
            self.assertEqual((b"piece", []), (session.received, cancelled))
            if end == "ended":
                self.exited(session)
                self.successResultOf(running)
            else:
                running.cancel()
                self.failureResultOf(running, CancelledError)
            self.assertEqual(1, len(cancelled), end)
            self.network.flush()


class Errors(HalfCloseable):
    errors = b""

    def stderrReceived(self, data: bytes) -> None:
        self.errors += data


class ProtocolTests(ClientTestCase):
    """
    A protocol on what runs.
    """

    def test_protocol(self) -> None:
        process, session = self.opened("cat")
        session.write(b"before ")
        session.errors(b"hm")
        self.network.flush()
        protocol = Errors()
        protocol.greeting = b"hello"
        process.connectTo(protocol)
        session.write(b"behind")
        self.network.flush()
        self.assertEqual(
            (b"before behind", b"hm", b"hello"), (protocol.received, protocol.errors, session.received)
        )
        protocol.transport.loseConnection()
        self.network.flush()
        self.assertEqual(["eof"], session.events)
        self.exited(session, 3)
        (reason,) = protocol.lost
        self.assertTrue(protocol.ended)
        self.assertEqual(3, reason.trap(ProcessTerminated) and reason.value.exitCode)
        self.assertEqual(3, self.successResultOf(process.wait()).exitStatus)

    def test_late(self) -> None:
        """
        Whatever was held back comes; also if that is all that there was.
        """
        process, session = self.opened("yes")
        session.write(b"y" * 2**20)
        self.exited(session)
        protocol = Errors()
        process.connectTo(protocol)
        self.network.flush()
        self.assertEqual(2**20, len(protocol.received))
        (reason,) = protocol.lost
        self.assertTrue(reason.check(ConnectionDone) and protocol.ended)

    def test_read(self) -> None:
        """
        A stream is somebody's.
        """
        process, _ = self.opened("cat")
        reading = process.stdout.read()
        self.assertRaises(UsageError, process.connectTo, Errors())
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
