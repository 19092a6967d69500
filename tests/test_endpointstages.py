"""
Tests for L{conchlite.endpoints}: what happens halfway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.filepath import FilePath

from conchlite.client.knownhosts import KnownHostsFile
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import (
    AuthenticationFailed,
    ConchError,
    ConnectionEnded,
)
from tests.endpointscenes import (
    UI,
    EndpointTestCase,
    Gate,
    Recorder,
)


class StagesTests(EndpointTestCase):
    """
    To cancel, and to lose the connection, at every stage.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ui = UI()
        self.gate = Gate()

    def asking(self) -> SSHCommandClientEndpoint:
        return self.endpoint(knownHosts=KnownHostsFile.fromPath(FilePath(self.mktemp())), ui=self.ui)

    def resolving(self) -> Deferred[Any]:
        self.gate = self.network.nameResolver.gate
        self.gate.close()
        return self.run_(accept=False)

    def connecting(self) -> Deferred[Any]:
        return self.run_(accept=False)

    def exchanging(self) -> Deferred[Any]:
        connecting = self.endpoint().connect(self.factory)
        self.network.accept()
        return connecting

    def questioning(self) -> Deferred[Any]:
        return self.run_(self.asking())

    def loggingIn(self) -> Deferred[Any]:
        self.gate = self.server.checking
        self.gate.close()
        return self.run_()

    def opening(self) -> Deferred[Any]:
        self.gate = self.server.opening
        self.gate.close()
        return self.run_()

    def executing(self) -> Deferred[Any]:
        self.gate = self.server.answering
        self.gate.close()
        connecting = self.run_()
        self.server.sessions[0].write(b"early")
        self.network.flush()
        return connecting

    def leaveNothing(self) -> None:
        """
        Whatever comes late changes nothing, and nothing waits any more.
        """
        self.network.flush()
        self.gate.open()
        self.network.flush()
        self.assertEqual(len(self.network.pumps), self.server.lost)
        self.assertEqual(len(self.ui.questions), self.ui.cancelled)
        self.assertEqual([], self.network.getDelayedCalls())

    def cancelled(self, reach: Callable[[], Deferred[Any]]) -> None:
        connecting = reach()
        self.assertNoResult(connecting)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.leaveNothing()

    def lost(self, reach: Callable[[], Deferred[Any]]) -> ConchError:
        connecting = reach()
        results: list[object] = []
        connecting.addBoth(results.append)
        self.assertEqual([], results)
        self.network.cut()
        (failure,) = results
        self.leaveNothing()
        self.assertEqual(1, len(results))
        return failure.value

    def test_cancelResolving(self) -> None:
        self.cancelled(self.resolving)
        self.assertEqual([], self.network.tcpClients)

    def test_cancelConnecting(self) -> None:
        self.cancelled(self.connecting)

    def test_cancelExchanging(self) -> None:
        self.cancelled(self.exchanging)

    def test_cancelQuestioning(self) -> None:
        self.cancelled(self.questioning)
        self.assertEqual(1, self.ui.cancelled)

    def test_cancelLoggingIn(self) -> None:
        self.cancelled(self.loggingIn)

    def test_cancelOpening(self) -> None:
        self.cancelled(self.opening)

    def test_cancelExecuting(self) -> None:
        self.cancelled(self.executing)

    def test_cancelRunning(self) -> None:
        """
        When the protocol is there, it is too late to cancel.
        """
        connecting = self.run_()
        connecting.cancel()
        self.network.flush()
        self.assertEqual(["made"], self.successResultOf(connecting).events)
        self.assertEqual(0, self.server.lost)

    def test_cancelWithinBuildProtocol(self) -> None:
        """
        Whoever cancels while the protocol is made or connected has cancelled;
        a protocol that was connected learns that it is not any more.
        """
        made: list[Recorder] = []

        class Cancelling(Recorder):
            def connectionMade(protocol) -> None:
                made.append(protocol)
                protocol.events.append("made")
                self.cancelled_.cancel()

        self.factory.protocol = Cancelling
        self.cancelled_ = self.endpoint().connect(self.factory)
        self.network.accept()
        self.network.flush()
        self.failureResultOf(self.cancelled_, CancelledError)
        self.leaveNothing()
        self.assertEqual([["made", "lost"]], [protocol.events for protocol in made])

    def test_cancelWithinFailingFactory(self) -> None:
        def buildProtocol(address: object) -> None:
            self.cancelled_.cancel()

        self.factory.buildProtocol = buildProtocol
        self.cancelled_ = self.endpoint().connect(self.factory)
        self.network.accept()
        self.network.flush()
        self.failureResultOf(self.cancelled_, CancelledError)
        self.leaveNothing()

    def test_loseExchanging(self) -> None:
        self.assertIsInstance(self.lost(self.exchanging), ConnectionEnded)

    def test_loseQuestioning(self) -> None:
        self.assertIsInstance(self.lost(self.questioning), ConnectionEnded)
        self.assertEqual(1, self.ui.cancelled)

    def test_loseLoggingIn(self) -> None:
        error = self.lost(self.loggingIn)
        self.assertIsInstance(error, AuthenticationFailed)
        self.assertIsInstance(error.data, ConnectionEnded)

    def test_loseOpening(self) -> None:
        self.assertIsInstance(self.lost(self.opening), ConnectionEnded)

    def test_loseExecuting(self) -> None:
        self.assertIsInstance(self.lost(self.executing), ConnectionEnded)
