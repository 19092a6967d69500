"""
The programs that sessions can run.
"""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer, IProcessProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from zope.interface.verify import verifyObject

from conchlite.interfaces import ISession
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.programs import Cat, ProgramSession
from tests.ssh.sessions import HalfCloseable, Memorising, SessionTestCase


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
