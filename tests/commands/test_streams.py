"""
Tests for L{conchlite.commands.streams}.
"""

import errno
import fcntl
import os
import sys

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.commands import streams
from conchlite.commands.streams import (
    BlockingState,
    DescriptorReader,
    DescriptorWriter,
    complain,
    say,
    standardDescriptor,
    writeLine,
)
from conchlite.error import ConchError
from tests.ssh.channels import PushProducer


class FakeReactor:
    """
    Knows who wants to read and to write.
    """

    def __init__(self) -> None:
        self.readers: set[object] = set()
        self.writers: set[object] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard

    def run(self) -> None:
        """
        Let everything be read and written that can be.
        """
        for wanted, action in ((self.readers, "doRead"), (self.writers, "doWrite")):
            for descriptor in list(wanted):
                reason = getattr(descriptor, action)()
                if reason is not None:
                    descriptor.connectionLost(Failure(reason))


class PipeTestCase(SynchronousTestCase):
    """
    @ivar source: what is written to C{target} can be read here.
    """

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.source, self.target = os.pipe()
        self.opened = {self.source, self.target}
        self.addCleanup(lambda: [os.close(descriptor) for descriptor in self.opened])
        for descriptor in self.opened:
            os.set_blocking(descriptor, False)

    def close(self, descriptor: int) -> None:
        self.opened.remove(descriptor)
        os.close(descriptor)


class WriteLineTests(PipeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(streams, "standardDescriptor", lambda number: self.target)

    def test_line(self) -> None:
        writeLine("h\xe9llo \udcff")
        self.assertEqual(os.read(self.source, 100), b"h\xc3\xa9llo \\udcff\n")

    def test_fullPipe(self) -> None:
        """
        What a full pipe does not take at once is not lost.
        """
        text = "x" * (fcntl.fcntl(self.target, fcntl.F_GETPIPE_SZ) + 1000)
        read = bytearray()

        def select(readers: object, writers: object, rest: object) -> None:
            read.extend(os.read(self.source, 2**20))

        self.patch(streams.select, "select", select)
        writeLine(text)
        read.extend(os.read(self.source, 2**20))
        self.assertEqual(bytes(read), text.encode() + b"\n")

    def test_nobodyReads(self) -> None:
        self.close(self.source)
        self.assertRaises(BrokenPipeError, writeLine, "x")
        complain("x")

    def test_say(self) -> None:
        """
        A full disk is something to tell a person, a broken pipe is not.
        """
        say("done")
        self.assertEqual(os.read(self.source, 100), b"done\n")
        self.close(self.source)
        self.assertRaises(BrokenPipeError, say, "x")
        with open("/dev/full", "wb") as full:
            self.patch(streams, "standardDescriptor", lambda number: full.fileno())
            error = self.assertRaises(ConchError, say, "x")
        self.assertEqual(str(error), "standard output: No space left on device")

    def test_complain(self) -> None:
        complain("it broke")
        self.assertEqual(os.read(self.source, 100), b"conchlite: it broke\n")


class StandardDescriptorTests(SynchronousTestCase):
    def test_open(self) -> None:
        self.patch(sys, "__stdin__", object())
        self.assertEqual(standardDescriptor(0), 0)

    def test_closed(self) -> None:
        """
        The number of a stream that was closed at the start is somebody else's.
        """
        for number, name in enumerate(("__stdin__", "__stdout__", "__stderr__")):
            self.patch(sys, name, None)
            self.assertIsNone(standardDescriptor(number))
        writeLine("to nobody", 1)


class BlockingStateTests(PipeTestCase):
    def test_restored(self) -> None:
        """
        Two descriptors of one open file are left as it was found.
        """
        os.set_blocking(self.target, True)
        twin = os.dup(self.target)
        self.opened.add(twin)
        state = BlockingState([self.target, twin])
        state.setNonBlocking()
        self.assertFalse(os.get_blocking(self.target))
        state.restore()
        self.assertTrue(os.get_blocking(self.target))
        self.assertTrue(os.get_blocking(twin))

    def test_regularFile(self) -> None:
        with open(self.mktemp(), "w") as file:
            BlockingState([file.fileno()]).setNonBlocking()
            self.assertTrue(os.get_blocking(file.fileno()))


class DescriptorReaderTests(PipeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[object] = []
        self.reader = DescriptorReader(
            self.reactor, self.source, self.events.append, lambda: self.events.append("end")
        )

    def test_readsWhenAllowed(self) -> None:
        os.write(self.target, b"one")
        self.reactor.run()
        self.assertEqual(self.events, [])
        self.reader.resumeProducing()
        self.reactor.run()
        self.assertEqual(self.events, [b"one"])
        self.reader.pauseProducing()
        os.write(self.target, b"two")
        self.reactor.run()
        self.assertEqual(self.events, [b"one"])
        self.reader.resumeProducing()
        self.reactor.run()
        self.assertEqual(self.events, [b"one", b"two"])

    def test_end(self) -> None:
        self.reader.resumeProducing()
        self.reactor.run()
        self.assertEqual(self.events, [])
        self.close(self.target)
        self.reactor.run()
        self.assertEqual(self.events, ["end"])
        self.assertEqual(self.reactor.readers, set())

    def test_unreadable(self) -> None:
        """
        A descriptor that cannot be read has come to its end.
        """
        directory = os.open(".", os.O_RDONLY)
        self.opened.add(directory)
        reader = DescriptorReader(
            self.reactor, directory, self.events.append, lambda: self.events.append("end")
        )
        reader.resumeProducing()
        self.reactor.run()
        self.assertEqual(self.events, ["end"])

    def test_stopped(self) -> None:
        """
        Nobody is told of an end that nobody waits for.
        """
        self.reader.resumeProducing()
        self.reader.stopProducing()
        self.assertEqual(self.reactor.readers, set())
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.events, [])


class DescriptorWriterTests(PipeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lost: list[Failure] = []
        self.writer = DescriptorWriter(self.reactor, self.target, self.lost.append)

    def test_writesInOrder(self) -> None:
        self.writer.write(b"one ")
        self.writer.writeSequence([b"two ", b"three"])
        self.reactor.run()
        self.assertEqual(os.read(self.source, 100), b"one two three")
        self.assertEqual(self.lost, [])

    def test_backpressure(self) -> None:
        """
        The producer is paused while nobody reads, and everything arrives.
        """
        producer = PushProducer()
        self.writer.registerProducer(producer, True)
        data = os.urandom(2**20)
        self.writer.write(data)
        self.assertEqual(producer.calls, ["pause"])
        read = b""
        self.reactor.run()
        self.assertEqual(producer.calls, ["pause"])
        while len(read) < len(data):
            read += os.read(self.source, 2**20)
            self.reactor.run()
        self.assertEqual(read, data)
        self.assertEqual(producer.calls, ["pause", "resume"])

    def test_fullPipe(self) -> None:
        """
        To be told that nothing was taken is no error.
        """
        self.writer.write(b"x" * 2**20)
        for _ in range(3):
            self.reactor.run()
        self.assertEqual(self.lost, [])
        self.assertIn(self.writer, self.reactor.writers)

    def test_flushedAtTheEnd(self) -> None:
        self.writer.write(b"last words")
        self.writer.loseConnection()
        self.assertEqual(self.lost, [])
        self.reactor.run()
        self.assertEqual(os.read(self.source, 100), b"last words")
        self.assertEqual(len(self.lost), 1)
        self.lost[0].trap(ConnectionDone)

    def test_nobodyReads(self) -> None:
        producer = PushProducer()
        self.writer.registerProducer(producer, True)
        self.close(self.source)
        self.writer.write(b"x")
        self.reactor.run()
        (reason,) = self.lost
        self.assertEqual(reason.value.errno, errno.EPIPE)
        self.assertEqual(producer.calls, ["stop"])
