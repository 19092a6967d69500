"""
Tests for L{conchlite.commands.remotecommand}: a command on a server in memory,
with pipes for its streams.
"""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Protocol

from conchlite.commands.oneshot import STATUS_BROKEN_PIPE
from conchlite.commands.remotecommand import ProducerGate, RemoteCommand
from conchlite.error import ConchError, ConnectionEnded
from conchlite.ssh.common import NS
from conchlite.ssh.programs import Cat
from tests.client.test_connecting import ConnectingTestCase
from tests.commands.test_streams import FakeReactor
from tests.ssh.channels import PushProducer


class Printer(Protocol):
    """
    Prints what it is made with, and ends.
    """

    def __init__(self, output: bytes = b"", errors: bytes = b"", status: int = 0) -> None:
        self.output, self.errors, self.status = output, errors, status

    def connectionMade(self) -> None:
        self.transport.write(self.output)
        self.transport.writeErr(self.errors)
        self.transport.exit(self.status)


class Deaf(Protocol):
    """
    Reads something once, and never ends.
    """

    def dataReceived(self, data: bytes) -> None:
        self.transport.pauseProducing()


class RemoteCommandTestCase(ConnectingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.opened: set[int] = set()
        self.addCleanup(lambda: [os.close(descriptor) for descriptor in self.opened])
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        self.connection = self.successResultOf(d)

    def pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self.opened.update(ends)
        for end in ends:
            os.set_blocking(end, False)
        return ends

    def close(self, descriptor: int) -> None:
        self.opened.remove(descriptor)
        os.close(descriptor)

    def start(self, command: bytes = b"cat") -> RemoteCommand:
        """
        Start a command. What is written to C{self.input} it gets;
        C{self.output} and C{self.errors} are what it prints.
        """
        stdin, self.input = self.pipe()
        self.output, stdout = self.pipe()
        self.errors, stderr = self.pipe()
        return self.open(command, (stdin, stdout, stderr))

    def open(self, command: bytes, descriptors: tuple[int | None, int | None, int | None]) -> RemoteCommand:
        remote = RemoteCommand(self.connection, command, self.reactor, descriptors)
        self.connection.openChannel(remote)
        self.step()
        return remote

    def step(self) -> None:
        """
        Let everything move that can.
        """
        for _ in range(5):
            self.endpoint.flush()
            self.reactor.run()
        self.endpoint.flush()

    def read(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 2**20)
        except BlockingIOError:
            return b""


class RemoteCommandTests(RemoteCommandTestCase):
    def test_throughCat(self) -> None:
        remote = self.start()
        os.write(self.input, b"one line\n")
        self.step()
        self.assertEqual(self.read(self.output), b"one line\n")
        self.assertNoResult(remote.finished)
        self.close(self.input)
        self.step()
        self.assertEqual(self.successResultOf(remote.finished), 0)
        self.assertEqual((self.reactor.readers, self.reactor.writers), (set(), set()))

    def test_everythingGoesWhereItBelongs(self) -> None:
        self.server.programs[b"print"] = lambda command: Printer(b"out", b"err", 7)
        remote = self.start(b"print")
        self.assertEqual(self.successResultOf(remote.finished), 7)
        self.assertEqual((self.read(self.output), self.read(self.errors)), (b"out", b"err"))

    def test_noInput(self) -> None:
        """
        Closed standard input is the end of the input.
        """
        self.output, stdout = self.pipe()
        remote = self.open(b"cat", (None, stdout, None))
        self.assertEqual(self.successResultOf(remote.finished), 0)

    def test_nobodyWantsOutput(self) -> None:
        self.server.programs[b"print"] = lambda command: Printer(b"out", b"err", 3)
        remote = self.open(b"print", (None, None, None))
        self.assertEqual(self.successResultOf(remote.finished), 3)

    def test_fullOutput(self) -> None:
        """
        While nobody reads what the command prints, the server is not read
        either, and nothing piles up here.
        """
        data = os.urandom(8 * 2**20)
        self.server.programs[b"print"] = lambda command: Printer(data, b"", 0)
        remote = self.start(b"print")
        self.assertNoResult(remote.finished)
        self.assertLess(len(remote._output.dataBuffer) + remote._output._tempDataLen, 2**20)
        received = b""
        while len(received) < len(data):
            chunk = self.read(self.output)
            self.assertTrue(chunk)
            received += chunk
            self.step()
        self.assertEqual(received, data)
        self.assertEqual(self.successResultOf(remote.finished), 0)

    def test_fullInput(self) -> None:
        """
        While the command reads nothing, our input is not read either.
        """
        self.server.programs[b"deaf"] = lambda command: Deaf()
        remote = self.start(b"deaf")
        written = 0
        # The server's window, what waits in the channel, and the pipe.
        while written < 8 * 2**20:
            try:
                written += os.write(self.input, b"x" * 65536)
            except BlockingIOError:
                break
            self.step()
        self.assertLess(written, 8 * 2**20)
        self.assertEqual(self.reactor.readers, set())
        self.server.connections[0].abortConnection()
        self.step()
        self.failureResultOf(remote.finished, ConnectionEnded)

    def test_endsBeforeItsInput(self) -> None:
        """
        A command that ends does not wait for input that nobody reads.
        """
        self.server.programs[b"print"] = lambda command: Printer(b"", b"", 4)
        remote = self.start(b"print")
        os.write(self.input, b"more")
        self.step()
        self.assertEqual(self.successResultOf(remote.finished), 4)
        self.assertEqual(self.reactor.readers, set())

    def test_nobodyReads(self) -> None:
        """
        The command is ended when nobody reads its output any more.
        """
        remote = self.start()
        self.close(self.output)
        os.write(self.input, b"x")
        self.step()
        self.assertEqual(self.successResultOf(remote.finished), STATUS_BROKEN_PIPE)

    def test_nobodyReadsErrors(self) -> None:
        """
        Without standard error it goes on.
        """
        self.server.programs[b"print"] = lambda command: Printer(b"out", b"err", 0)
        stdin, self.input = self.pipe()
        self.output, stdout = self.pipe()
        errors, stderr = self.pipe()
        self.close(errors)
        remote = self.open(b"print", (stdin, stdout, stderr))
        self.assertEqual(self.successResultOf(remote.finished), 0)
        self.assertEqual(self.read(self.output), b"out")

    def full(self) -> int:
        descriptor = os.open("/dev/full", os.O_WRONLY)
        self.opened.add(descriptor)
        return descriptor

    def test_cannotWrite(self) -> None:
        """
        Where what it prints cannot be written, the command is ended, and that
        is a failure.
        """
        stdin, self.input = self.pipe()
        remote = self.open(b"cat", (stdin, self.full(), None))
        os.write(self.input, b"x")
        self.step()
        error = self.failureResultOf(remote.finished, ConchError).value
        self.assertEqual(str(error), "cannot write standard output: No space left on device")
        self.assertEqual(dict(self.connection.channels), {})

    def test_nothingToWrite(self) -> None:
        """
        That nothing could be written is no failure of a command that prints nothing.
        """
        self.server.programs[b"print"] = lambda command: Printer()
        remote = self.open(b"print", (None, self.full(), self.full()))
        self.assertEqual(self.successResultOf(remote.finished), 0)

    def test_cannotWriteTheRest(self) -> None:
        """
        It is one as well where the command has ended by then, with success.
        """
        for number, name in [(1, "output"), (2, "error")]:
            printed = [b"", b""]
            printed[number - 1] = b"x"
            self.server.programs[b"print"] = lambda command, printed=printed: Printer(*printed)
            remote = self.open(b"print", (None, self.full(), self.full()))
            error = self.failureResultOf(remote.finished, ConchError).value
            self.assertEqual(str(error), f"cannot write standard {name}: No space left on device")

    def test_refused(self) -> None:
        remote = self.start(b"nonsense")
        error = self.failureResultOf(remote.finished, ConchError).value
        self.assertEqual(str(error), "the server refuses to run the command")

    def test_noSession(self) -> None:
        """
        The server's reason is told.
        """
        self.connection.transport.service.maxSessions = 1
        self.server.connections[0].service.maxSessions = 1
        first = self.start()
        second = self.start()
        error = self.failureResultOf(second.finished, ConchError).value
        self.assertIn("the server opens no session: ", str(error))
        self.assertNoResult(first.finished)

    def test_lost(self) -> None:
        """
        When the connection ends, its reason is the failure.
        """
        remote = self.start()
        self.server.connections[0].abortConnection()
        self.step()
        self.failureResultOf(remote.finished, ConnectionEnded)
        self.assertEqual((self.reactor.readers, self.reactor.writers), (set(), set()))

    def test_lostBeforeItOpens(self) -> None:
        self.server.connections[0].abortConnection()
        remote = self.start()
        self.failureResultOf(remote.finished, ConnectionEnded)

    def test_noStatus(self) -> None:
        class Silent(Protocol):
            def connectionMade(self) -> None:
                self.transport.exitStatus = None
                self.transport.loseConnection()

        self.server.programs[b"silent"] = lambda command: Silent()
        remote = self.start(b"silent")
        error = self.failureResultOf(remote.finished, ConchError).value
        self.assertEqual(str(error), "the session ended without an exit status")

    def test_cancel(self) -> None:
        remote = self.start()
        remote.finished.cancel()
        self.failureResultOf(remote.finished, CancelledError)
        self.step()
        self.assertEqual(dict(self.connection.channels), {})

    def test_exitSignal(self) -> None:
        """
        A signal is 128 and its number; one that is not known here is an error.
        """
        for name, status in [(b"TERM", 143), (b"KILL", 137), (b"USR1@openssh.com", 255), (b"_DFL", 255)]:
            self.server.programs[b"wait"] = lambda command: Cat()
            remote = self.start(b"wait")
            self.assertTrue(remote.request_exit_signal(NS(name) + b"\0" + NS(b"") + NS(b"")))
            self.close(self.input)
            remote.request_exit_status = lambda data: True
            self.step()
            self.assertEqual(self.successResultOf(remote.finished), status)

    def test_largeStatus(self) -> None:
        """
        What does not fit in an exit status does not become success.
        """
        self.server.programs[b"print"] = lambda command: Printer(b"", b"", 256)
        self.assertEqual(self.successResultOf(self.start(b"print").finished), 255)


class ProducerGateTests(ConnectingTestCase):
    def test_pausedByAny(self) -> None:
        producer = PushProducer()
        gate = ProducerGate(producer)
        one, two = gate.consumer(), gate.consumer()
        one.pauseProducing()
        two.pauseProducing()
        one.pauseProducing()
        self.assertEqual(producer.calls, ["pause"])
        one.resumeProducing()
        one.resumeProducing()
        self.assertEqual(producer.calls, ["pause"])
        two.resumeProducing()
        self.assertEqual(producer.calls, ["pause", "resume"])

    def test_lostConsumer(self) -> None:
        """
        A consumer that is gone holds nothing up.
        """
        producer = PushProducer()
        gate = ProducerGate(producer)
        one, two = gate.consumer(), gate.consumer()
        one.pauseProducing()
        one.stopProducing()
        two.stopProducing()
        self.assertEqual(producer.calls, ["pause", "resume"])
