"""
What stands between a session and what runs in it.
"""

from __future__ import annotations

import signal

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import (
    ITransport,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.error import ChannelClosed
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.session import SSHSessionProcessProtocol
from conchlite.wire.connection import ExitSignal
from tests.ssh.sessions import (
    FakeProcess,
    FakeSession,
    Memorising,
    SessionTestCase,
)


class ProcessProtocolTests(SessionTestCase):
    """
    Processes, without any: what L{SSHSessionProcessProtocol} makes of them.
    """

    def setUp(self) -> None:
        self.process = FakeProcess()
        self.open(FakeSession())
        self.made.answer = lambda proto: proto.makeConnection(self.process)
        self.agreed("exec", NS("x"))
        self.proto: SSHSessionProcessProtocol = self.made.proto

    def test_streams(self) -> None:
        self.client.write(b"in")
        self.proto.outReceived(b"out")
        self.proto.errReceived(b"err")
        self.link.pump()
        self.assertEqual(b"in", self.process.written)
        self.assertEqual([("data", b"out"), ("ext 1", b"err")], self.client.events[1:])

    def test_eofBehindBoth(self) -> None:
        """
        EOF when both outputs have ended, and D3: behind what waits.
        """
        self.proto.outReceived(bytes(3_000_000))
        self.proto.outConnectionLost()
        self.link.pump()
        self.assertNotIn("eof", self.client.events)
        self.proto.errReceived(b"last words")
        self.proto.errConnectionLost()
        self.link.pump()
        self.assertEqual([("ext 1", b"last words"), "eof"], self.client.events[-2:])
        self.assertEqual(3_000_000, len(self.client.received))

    def end(self, reason: Exception) -> None:
        self.proto.processEnded(Failure(reason))
        self.link.pump()
        self.assertEqual(["eof", "close", "closed"], self.client.events[-3:])

    def test_exitStatus(self) -> None:
        self.end(ProcessTerminated(exitCode=7))
        self.assertEqual(7, self.client.exitStatus)

    def test_done(self) -> None:
        self.end(ProcessDone(0))
        self.assertEqual(0, self.client.exitStatus)

    def test_oddStatus(self) -> None:
        self.end(ProcessTerminated(exitCode=-1))
        self.assertEqual(2**32 - 1, self.client.exitStatus)

    def test_exitSignal(self) -> None:
        self.end(ProcessTerminated(signal=signal.SIGTERM, status=signal.SIGTERM))
        self.assertEqual(ExitSignal(b"TERM", False, b"", b""), self.client.exitSignal)

    def test_coreDumped(self) -> None:
        self.end(ProcessTerminated(signal=signal.SIGSEGV, status=signal.SIGSEGV | 0x80))
        self.assertEqual(ExitSignal(b"SEGV", True, b"", b""), self.client.exitSignal)

    def test_unknownSignals(self) -> None:
        """
        RFC 4254 section 6.10: signals that it does not name have a domain.
        """
        self.end(ProcessTerminated(signal=signal.SIGWINCH, status=signal.SIGWINCH))
        self.assertTrue(self.client.exitSignal.signalName.startswith(b"WINCH@"))
        self.setUp()
        self.end(ProcessTerminated(signal=64 + 60, status=1))
        self.assertTrue(self.client.exitSignal.signalName.startswith(b"124@"))

    def test_everySignalIsKnownToPython(self) -> None:
        for name in session.SUPPORTED_SIGNALS:
            self.assertTrue(hasattr(signal, "SIG" + name))

    def test_otherEnds(self) -> None:
        for reason in (Failure(ZeroDivisionError()), None):
            self.setUp()
            self.proto.processEnded(reason)
            self.link.pump()
            self.assertEqual("closed", self.client.events[-1])
            self.assertFalse(hasattr(self.client, "exitStatus"))

    def test_connectionLost(self) -> None:
        self.proto.connectionLost()
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])

    def test_outputIsPaused(self) -> None:
        self.client.pauseProducing()
        self.link.pump()
        self.proto.outReceived(bytes(2 * 1024 * 1024))
        self.assertFalse(self.process.paused)
        self.proto.outReceived(bytes(256 * 1024 + 1))
        self.assertTrue(self.process.paused)
        self.link.pump()
        self.client.resumeProducing()
        self.link.pump()
        self.assertFalse(self.process.paused)

    def test_inputIsPaused(self) -> None:
        self.process.producer.pauseProducing()
        self.client.write(bytes(5_000_000))
        self.link.pump()
        self.assertEqual(b"", self.process.written)
        self.assertEqual(0, self.client.remoteWindowLeft)
        self.process.producer.resumeProducing()
        self.link.pump()
        self.assertEqual(5_000_000, len(self.process.written))

    def test_inputIsClosedByTheProcess(self) -> None:
        """
        A process that wants no more input may go on for long: what the user
        sends, and his EOF, pass.
        """
        self.process.producer.pauseProducing()
        self.client.write(bytes(5_000_000))
        self.client.loseWriteConnection()
        self.link.pump()
        self.process.producer.stopProducing()
        self.link.pump()
        self.assertIn("eof", self.made.calls)
        self.proto.outReceived(b"still here")
        self.link.pump()
        self.assertEqual(b"still here", self.client.received)

    def test_clientGoes(self) -> None:
        """
        The process loses its ends, even when it is behind in either
        direction.
        """
        self.process.producer.pauseProducing()
        self.proto.outReceived(bytes(3_000_000))
        self.assertTrue(self.process.paused)
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual((True, None, False), (self.process.lost, self.process.producer, self.process.paused))
        self.assertEqual("closed", self.made.calls[-1])
        self.proto.outReceived(b"to nobody")
        self.proto.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(0, self.link.pump())

    def closeOnEOF(self) -> None:
        """
        The user closes on the end of the output, before the process is known
        to have ended.
        """
        self.client.loseConnection()
        self.link.pump()
        self.proto.outConnectionLost()
        self.proto.errConnectionLost()
        self.link.pump()
        self.assertNotIn("closed", self.client.events)

    def test_statusBehindTheUsersClose(self) -> None:
        """
        A user who closes on the end of the output is told how the process
        ended, which is noticed a moment later.
        """
        self.closeOnEOF()
        self.proto.processEnded(Failure(ProcessTerminated(signal=signal.SIGKILL)))
        self.link.pump()
        self.assertEqual(b"KILL", self.client.exitSignal.signalName)
        self.assertEqual("closed", self.client.events[-1])
        self.assertEqual("closed", self.made.calls[-1])
        self.assertEqual([], self.link.clock.getDelayedCalls())

    def test_outputThatEndsLongBeforeTheProcess(self) -> None:
        self.closeOnEOF()
        self.link.clock.advance(self.server.exitGrace)
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])
        self.assertEqual("closed", self.made.calls[-1])
        self.proto.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(0, self.link.pump())

    def test_lostWhileTheStatusIsAwaited(self) -> None:
        self.closeOnEOF()
        self.link.server.service.serviceStopped()
        self.assertEqual("closed", self.made.calls[-1])
        self.assertEqual(
            0, len([c for c in self.link.clock.getDelayedCalls() if c.func == self.server.loseConnection])
        )

    def test_noRequestsBehindThePeersClose(self) -> None:
        """
        Nothing is asked of a peer that has closed: it would not answer.
        """
        self.closeOnEOF()
        asked = self.server.conn.sendRequest(self.server, "any", b"", wantReply=True)
        self.failureResultOf(asked, ChannelClosed)

    def test_noDataBehindTheEnd(self) -> None:
        self.proto.outConnectionLost()
        self.proto.errConnectionLost()
        self.proto.processEnded(Failure(ProcessDone(0)))
        self.proto.outReceived(b"ghost")
        self.link.pump()
        self.assertEqual(1, self.client.events.count("eof"))
        self.assertEqual(["close", "closed"], self.client.events[-2:])


class WrapperTests(SynchronousTestCase):
    def test_wrapProcessProtocol(self) -> None:
        plain = ProcessProtocol()
        self.assertIs(plain, session.wrapProcessProtocol(plain))
        program = Memorising()
        wrapped = session.wrapProcessProtocol(program)
        process = FakeProcess()
        wrapped.makeConnection(process)
        self.assertIs(process, program.transport)
        wrapped.outReceived(b"out")
        self.assertEqual(b"out", program.received)
        reason = Failure(ProcessDone(0))
        wrapped.processEnded(reason)
        self.assertEqual([reason], program.lost)

    def test_wrapProtocol(self) -> None:
        program = Memorising()
        process = FakeProcess()
        program.makeConnection(process)
        wrapped = session.wrapProtocol(program)
        verifyObject(ITransport, wrapped)
        wrapped.writeSequence([b"a", b"b"])
        self.assertEqual(b"ab", program.received)
        wrapped.loseConnection()
        wrapped.loseConnection()
        self.assertEqual(1, len(program.lost))

    def test_sessionClient(self) -> None:
        client = session.SSHSessionClient()
        client.dataReceived(b"nowhere")
        process = FakeProcess()
        client.makeConnection(process)
        client.dataReceived(b"data")
        self.assertEqual(b"data", process.written)
