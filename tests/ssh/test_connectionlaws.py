"""
What a peer may not do to a connection, and what becomes of a lost one.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from conchlite.error import (
    ConchError,
    ConnectionEnded,
    Disconnected,
    FlowControlViolation,
    MalformedMessage,
    UnexpectedMessage,
)
from conchlite.sansio.channels import ChannelState
from conchlite.ssh.channel import SSHChannel
from conchlite.wire.connection import (
    ChannelClose,
    ChannelData,
    ChannelEOF,
    ChannelExtendedData,
    ChannelFailure,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
)
from tests.ssh.channels import ConnectionTestCase, Recorder, joined, openPair


class LawTests(ConnectionTestCase):
    """
    What the peer may not do.
    """

    def channelIn(self, state: ChannelState) -> Recorder:
        """
        A server's channel in a state, by messages alone, with a request of
        ours that waits for its reply where there can be one.
        """
        self.setUp()
        server = self.link.server
        if state is ChannelState.OPENING:
            channel = Recorder()
            self.server.openChannel(channel)
            return channel

        class Stubborn(Recorder):
            def closeReceived(self) -> None:
                pass

        self.server.make = Stubborn
        self.send(server, ChannelOpen(b"recorder", 7, 10_000, 1000, b""))
        channel = self.server.opened[0]
        self.server.sendRequest(channel, "question", b"", wantReply=True).addErrback(lambda _: None)
        if state in (ChannelState.EOF_SENT, ChannelState.EOF_BOTH):
            channel.loseWriteConnection()
        if state in (ChannelState.EOF_RECEIVED, ChannelState.EOF_BOTH, ChannelState.CLOSE_SENT_AFTER_EOF):
            self.send(server, ChannelEOF(0))
        if state in (ChannelState.CLOSE_SENT, ChannelState.CLOSE_SENT_AFTER_EOF, ChannelState.CLOSED):
            self.server.sendClose(channel)
        if state in (ChannelState.CLOSE_RECEIVED, ChannelState.CLOSED):
            self.send(server, ChannelClose(0))
        self.assertIs(state, channel._machine.life.state)
        server.outbox.clear()
        channel.events.clear()
        return channel

    def test_everyStateEveryMessage(self) -> None:
        """
        Rows 97 and 100: the whole product. A message that the state does not
        allow ends the connection with code 2, one that it allows does not.
        """
        opening = [ChannelOpenConfirmation(0, 3, 1000, 1000, b""), ChannelOpenFailure(0, 1, b"", b"")]
        flowing = [
            ChannelWindowAdjust(0, 10),
            ChannelData(0, b"data"),
            ChannelExtendedData(0, 1, b"data"),
            ChannelEOF(0),
            ChannelRequest(0, b"yes", True, b""),
            ChannelSuccess(0),
            ChannelFailure(0),
        ]
        everything = [*opening, *flowing, ChannelClose(0)]
        for state in ChannelState:
            lawful = [*flowing, ChannelClose(0)]
            if state is ChannelState.OPENING:
                lawful = opening
            elif state is ChannelState.CLOSE_RECEIVED:
                lawful = flowing
            elif state is ChannelState.CLOSED:
                lawful = []
            for message in everything:
                for fast in (True, False):
                    channel = self.channelIn(state)
                    if not fast:
                        self.link.server._dataPath = {}
                    self.send(self.link.server, message)
                    if message in lawful:
                        self.assertIsNone(self.link.server.closeReason, (state, message))
                    else:
                        self.checkEnded(self.link.server, UnexpectedMessage)
                        self.assertEqual([], channel.events, (state, message))

    def test_behindTheirClose(self) -> None:
        """
        Row 100: what comes behind the peer's CLOSE calls nothing, and is not
        answered.
        """
        channel = self.channelIn(ChannelState.CLOSE_RECEIVED)
        self.send(
            self.link.server,
            ChannelData(0, b"x"),
            ChannelExtendedData(0, 1, b"x"),
            ChannelEOF(0),
            ChannelRequest(0, b"yes", True, b""),
            ChannelSuccess(0),
            ChannelWindowAdjust(0, 10),
        )
        self.assertEqual(([], []), (channel.events, self.link.server.messages()))
        self.assertIsNone(self.link.server.closeReason)

    def test_behindOurClose(self) -> None:
        """
        What was on its way when we closed is delivered; requests are not
        answered any more.
        """
        channel = self.channelIn(ChannelState.CLOSE_SENT)
        self.send(
            self.link.server,
            ChannelData(0, b"x"),
            ChannelRequest(0, b"yes", True, b""),
            ChannelEOF(0),
            ChannelClose(0),
        )
        self.assertEqual([("data", b"x"), ("request", b"yes", b""), "eof", "closed"], channel.events)
        self.assertEqual([], self.link.server.messages())

    def test_behindOurAbort(self) -> None:
        channel = self.channelIn(ChannelState.OPEN)
        channel.abortConnection()
        self.send(
            self.link.server,
            ChannelData(0, b"x"),
            ChannelExtendedData(0, 1, b"x"),
            ChannelRequest(0, b"yes", True, b""),
            ChannelEOF(0),
            ChannelClose(0),
        )
        self.assertEqual(["closed"], channel.events)
        self.assertEqual([ChannelClose(7)], self.link.server.messages())

    def test_unknownChannel(self) -> None:
        """
        Row 101: numbers that were never given, and those of closed channels.
        """
        for message in (
            ChannelOpenConfirmation(9, 3, 1000, 1000, b""),
            ChannelOpenFailure(9, 1, b"", b""),
            ChannelWindowAdjust(9, 10),
            ChannelData(9, b"data"),
            ChannelExtendedData(9, 1, b"data"),
            ChannelEOF(9),
            ChannelClose(9),
            ChannelRequest(9, b"yes", True, b""),
            ChannelSuccess(9),
            ChannelFailure(9),
        ):
            self.channelIn(ChannelState.OPEN)
            self.send(self.link.server, message)
            self.checkEnded(self.link.server, UnexpectedMessage)

    def test_windowTooLarge(self) -> None:
        """
        Row 92.
        """
        channel = self.channelIn(ChannelState.OPEN)
        self.send(self.link.server, ChannelWindowAdjust(0, 2**32 - 1 - 10_000))
        self.assertEqual(2**32 - 1, channel.remoteWindowLeft)
        self.assertIsNone(self.link.server.closeReason)
        self.send(self.link.server, ChannelWindowAdjust(0, 1))
        self.checkEnded(self.link.server, FlowControlViolation)

    def test_beyondTheWindow(self) -> None:
        """
        Row 94: whether the program reads, is paused, or has given up.
        """
        for before in (lambda c: None, SSHChannel.pauseProducing, SSHChannel.abortConnection):
            for message in (ChannelData(0, bytes(1001)), ChannelExtendedData(0, 1, bytes(1001))):
                channel = self.channelIn(ChannelState.OPEN)
                channel._machine.incoming.window.left = 1000
                before(channel)
                self.send(self.link.server, message)
                self.checkEnded(self.link.server, FlowControlViolation)
                self.assertEqual([], channel.events)

    def test_beyondThePacketSize(self) -> None:
        """
        Row 94 again.
        """
        channel = self.channelIn(ChannelState.OPEN)
        self.send(self.link.server, ChannelData(0, bytes(32769)))
        self.checkEnded(self.link.server, FlowControlViolation)
        self.assertEqual([], channel.events)

    def test_malformed(self) -> None:
        """
        Every message, truncated at every byte and with one too many.
        """
        for message in (
            ChannelOpen(b"recorder", 1, 1000, 1000, b""),
            ChannelOpenConfirmation(0, 3, 1000, 1000, b""),
            ChannelOpenFailure(0, 1, b"no", b"en"),
            ChannelWindowAdjust(0, 10),
            ChannelData(0, b"data"),
            ChannelExtendedData(0, 1, b"data"),
            ChannelEOF(0),
            ChannelClose(0),
            ChannelRequest(0, b"yes", True, b""),
            ChannelSuccess(0),
            ChannelFailure(0),
        ):
            payload = message.pack()
            wrong = [payload[:size] for size in range(len(payload))]
            if not isinstance(message, ChannelOpen | ChannelOpenConfirmation | ChannelRequest):
                wrong.append(payload + b"x")
            for body in wrong:
                self.channelIn(
                    ChannelState.OPENING
                    if isinstance(message, ChannelOpenConfirmation | ChannelOpenFailure)
                    else ChannelState.OPEN
                )
                self.link.server.receive(message.number, body)
                self.checkEnded(self.link.server, MalformedMessage)


class LossTests(ConnectionTestCase):
    def test_everythingFiresOnce(self) -> None:
        """
        Every Deferred fires with what ended the connection, and every channel
        is told, in Conch's order: open channels, opening ones, global
        requests.
        """
        order: list[object] = []

        class Ordered(Recorder):
            def openFailed(self, reason: ConchError) -> None:
                super().openFailed(reason)
                order.append(("failed", self.id))

            def closed(self) -> None:
                super().closed()
                order.append(("closed", self.id))

        def note(deferred: Deferred[object], name: str) -> None:
            deferred.addErrback(lambda failure: order.append((name, failure.value)))

        reason = Disconnected(11, b"enough")
        channel = Ordered()
        openPair(self.link, channel)
        note(self.client.sendGlobalRequest("global", b"", wantReply=True), "global")
        note(self.client.openChannel(Ordered()), "opened")
        note(self.client.sendRequest(channel, "one", b"", wantReply=True), "request")
        note(self.client.sendRequest(channel, "two", b"", wantReply=True), "request")
        self.link.lose(reason)
        self.assertEqual(
            [
                ("request", reason),
                ("request", reason),
                ("closed", 0),
                ("failed", 1),
                ("opened", reason),
                ("global", reason),
            ],
            order,
        )
        self.client.serviceStopped()
        self.assertEqual(6, len(order))

    def test_afterwards(self) -> None:
        """
        Who asks for something on a connection that is gone is told at once.
        """
        channel, _ = openPair(self.link)
        reason = ConnectionEnded("gone")
        self.link.lose(reason)
        late = Recorder()
        self.assertIs(reason, self.failureResultOf(self.client.openChannel(late)).value)
        self.assertEqual((["failed"], reason), (late.events, late.reason))
        self.assertIsNone(self.client.sendRequest(channel, "x", b"", wantReply=True))
        request = self.client.sendGlobalRequest("x", b"", wantReply=True)
        self.assertIs(reason, self.failureResultOf(request).value)
        self.assertIsNone(self.client.sendGlobalRequest("x", b""))

    def test_openingWithinClosed(self) -> None:
        """
        A program that opens a channel as soon as another is closed does not
        loop when the connection is lost.
        """
        test = self

        class Again(Recorder):
            def closed(self) -> None:
                super().closed()
                test.again = Recorder()
                self.conn.openChannel(test.again)

        openPair(self.link, Again())
        self.link.lose()
        self.assertEqual(["failed"], self.again.events)

    def test_cutAnywhere(self) -> None:
        """
        The same conversation, cut behind each of its messages.
        """
        for count in range(100):
            link = joined()
            opened = link.server.service.opened
            channel = Recorder()
            fired: list[object] = []
            link.client.service.openChannel(channel).addBoth(fired.append)
            asked = 1
            for step in range(count):
                if step == 2:
                    asked = 3
                    conn = channel.conn
                    conn.sendRequest(channel, "yes", b"", wantReply=True).addBoth(fired.append)
                    conn.sendGlobalRequest("x", b"", wantReply=True).addBoth(fired.append)
                    channel.write(b"data")
                    channel.loseConnection()
                    opened[0].loseConnection()
                for side in (link.client, link.server):
                    if side.outbox:
                        side.deliver()
                        break
            whole = asked == 3 and not (link.client.outbox or link.server.outbox)
            link.lose()
            self.assertEqual(asked, len(fired), count)
            self.assertEqual(1, channel.events.count("closed") + channel.events.count("failed"))
            self.assertIn(channel.events[-1], ("closed", "failed"))
            for server in opened:
                self.assertEqual(1, server.events.count("closed"))
                self.assertEqual("closed", server.events[-1])
            self.assertEqual([], link.clock.getDelayedCalls())
            if whole:
                break
        self.assertGreater(count, 10)
        self.assertLess(count, 20)
