"""
Requests and replies: in order, whoever is slow.
"""

from __future__ import annotations

import itertools

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    ChannelClosed,
    ChannelRequestFailed,
    ConchError,
    ConnectionEnded,
    GlobalRequestFailed,
    MalformedMessage,
    UnexpectedMessage,
    UsageError,
)
from conchlite.ssh.channelmachine import MAXIMUM_WAITING_REQUESTS
from conchlite.wire import numbers
from conchlite.wire.connection import (
    ChannelFailure,
    ChannelRequest,
    ChannelSuccess,
    GlobalRequest,
    RequestFailure,
    RequestSuccess,
)
from tests.ssh.channels import Accepting, Recorder, joined, openPair
from tests.ssh.fakes import results


class Answering(Recorder):
    """
    Answers requests with what stands in C{answers}.
    """

    answers: dict[bytes, object] = {}

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        answer = self.answers[requestType]
        if isinstance(answer, Exception):
            raise answer
        return answer(self) if callable(answer) else answer


class ChannelRequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = joined()
        self.link.server.service.make = Answering
        self.client, self.server = openPair(self.link)
        self.server.answers = {}
        self.conn = self.client.conn

    def ask(self, name: bytes | str, wantReply: bool | int = True) -> Deferred[str]:
        return self.conn.sendRequest(self.client, name, b"data", wantReply=wantReply)

    def test_message(self) -> None:
        self.assertIsNone(self.conn.sendRequest(self.client, "exec", b"data"))
        self.conn.sendRequest(self.client, b"exec", b"data", wantReply=1)
        self.assertEqual(
            [ChannelRequest(0, b"exec", False, b"data"), ChannelRequest(0, b"exec", True, b"data")],
            self.link.client.messages(),
        )

    def test_success(self) -> None:
        self.server.answers = {b"a": True, b"b": 1, b"c": succeed(True)}
        for name in "abc":
            answer = self.ask(name)
            self.link.pump()
            self.assertEqual("", self.successResultOf(answer))

    def test_failure(self) -> None:
        self.server.answers = {b"a": False, b"b": None, b"c": 0, b"d": succeed(0), b"e": ConchError("no")}
        for name in "abcde":
            answer = self.ask(name)
            self.link.pump()
            self.failureResultOf(answer, ChannelRequestFailed)
        self.assertEqual([], self.flushLoggedErrors())

    def test_defects(self) -> None:
        """
        A defect of the program refuses, is logged, and ends nothing.
        """
        for reply in (True, False):
            self.server.answers = {b"a": ZeroDivisionError(), b"b": fail(ZeroDivisionError())}
            for name in "ab":
                answer = self.ask(name, reply)
                self.link.pump()
                if reply:
                    self.failureResultOf(answer, ChannelRequestFailed)
                self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertFalse(self.server.localClosed)

    def test_malformed(self) -> None:
        self.server.answers = {b"a": MalformedMessage("truncated")}
        answer = self.ask("a")
        self.link.pump()
        self.assertIsInstance(self.link.server.closeReason.value, MalformedMessage)
        self.link.lose()
        self.failureResultOf(answer)

    def test_unknown(self) -> None:
        """
        Row 109 and RFC 4254 section 5.4: what is not known is refused, by
        whatever name.
        """
        link = joined()
        client, _ = openPair(link)
        for name in (b"", b"unknown", b"__class__", b"received", b"\xff", b"YES", b"yes\0", b"x" * 100):
            answer = client.conn.sendRequest(client, name, b"", wantReply=True)
            link.pump()
            self.failureResultOf(answer, ChannelRequestFailed)
        answer = client.conn.sendRequest(client, "yes", b"", wantReply=True)
        link.pump()
        self.assertEqual("", self.successResultOf(answer))

    def test_inOrder(self) -> None:
        """
        The handlers decide in any order; the replies keep the requests'.
        """
        decisions: dict[bytes, Deferred[bool]] = {name: Deferred() for name in (b"a", b"b", b"c")}
        self.server.answers = {**decisions, b"d": True}
        answers = [self.ask(name) for name in (b"a", b"b", b"c", b"d")]
        self.link.pump()
        decisions[b"c"].callback(False)
        decisions[b"b"].callback(True)
        self.assertEqual(0, self.link.pump())
        decisions[b"a"].callback(False)
        self.assertEqual(
            [ChannelFailure(0), ChannelSuccess(0), ChannelFailure(0), ChannelSuccess(0)],
            self.link.server.messages(),
        )
        self.link.pump()
        self.failureResultOf(answers[0], ChannelRequestFailed)
        self.assertEqual("", self.successResultOf(answers[1]))
        self.failureResultOf(answers[2], ChannelRequestFailed)
        self.assertEqual("", self.successResultOf(answers[3]))

    def test_cancelled(self) -> None:
        """
        A cancelled request keeps its place: the others get their own replies.
        """
        self.server.answers = {b"a": False, b"b": True}
        first, second = self.ask("a"), self.ask("b")
        first.addErrback(lambda _: None)
        first.cancel()
        self.link.pump()
        self.assertEqual("", self.successResultOf(second))

    def test_beforeOpen(self) -> None:
        channel = Recorder()
        self.conn.openChannel(channel)
        self.assertRaises(UsageError, self.conn.sendRequest, channel, "exec", b"", wantReply=True)

    def test_closed(self) -> None:
        waiting = self.ask("never")
        self.server.answers = {b"never": Deferred()}
        self.link.pump()
        self.server.abortConnection()
        self.client.abortConnection()
        self.assertIsNone(self.ask("late"))
        self.assertNoResult(waiting)
        self.link.pump()
        failure = self.failureResultOf(waiting, ChannelClosed)
        self.assertEqual("Channel closed.", failure.value.value)
        self.assertIsNone(self.ask("late"))

    def test_peerClosed(self) -> None:
        """
        A peer that has closed answers nothing, but may be told something.
        """

        class Stubborn(Recorder):
            def closeReceived(self) -> None:
                pass

        client = Stubborn()
        openPair(self.link, client)[1].abortConnection()
        self.link.pump()
        self.failureResultOf(self.conn.sendRequest(client, "x", b"", wantReply=True), ChannelClosed)
        self.assertEqual(0, self.link.pump())
        self.assertIsNone(self.conn.sendRequest(client, "x", b""))
        self.assertEqual(1, self.link.pump())

    def test_unasked(self) -> None:
        """
        Row 96: a reply that nobody waits for.
        """
        for message in (ChannelSuccess(0), ChannelFailure(0)):
            self.setUp()
            self.link.client.receive(message.number, message.pack())
            self.assertIsInstance(self.link.client.closeReason.value, UnexpectedMessage)

    def test_repliesBeyondTheRequests(self) -> None:
        self.server.answers = {b"a": True}
        answer = self.ask("a")
        self.link.pump()
        self.successResultOf(answer)
        self.link.client.receive(numbers.MSG_CHANNEL_SUCCESS, ChannelSuccess(0).pack())
        self.assertIsInstance(self.link.client.closeReason.value, UnexpectedMessage)

    def test_tooMany(self) -> None:
        """
        A peer cannot pile up requests.
        """
        self.server.answers = {b"a": Deferred()}
        for _ in range(MAXIMUM_WAITING_REQUESTS):
            self.ask("a").addErrback(lambda _: None)
        self.link.pump()
        self.assertIsNone(self.link.server.closeReason)
        self.ask("a").addErrback(lambda _: None)
        self.link.pump()
        self.assertIsInstance(self.link.server.closeReason.value, UnexpectedMessage)
        self.link.lose()

    def test_replyBeforeEverything(self) -> None:
        """
        D6: whatever a handler does, the reply to its request comes first.
        """

        def busy(channel: Recorder) -> bool:
            channel.write(b"data")
            channel.conn.sendRequest(channel, "exit-status", b"\0\0\0\0")
            channel.conn.sendClose(channel)
            return True

        self.server.answers = {b"a": busy}
        self.ask("a")
        self.link.client.deliver()
        self.assertEqual(
            ["CHANNEL_SUCCESS", "CHANNEL_REQUEST", "CHANNEL_DATA", "CHANNEL_EOF", "CHANNEL_CLOSE"],
            self.link.server.names(),
        )

    def test_replyBeforeAbort(self) -> None:
        def abort(channel: Recorder) -> bool:
            channel.abortConnection()
            return False

        self.server.answers = {b"a": abort}
        answer = self.ask("a")
        self.link.pump()
        self.failureResultOf(answer, ChannelRequestFailed)
        self.assertEqual("closed", self.client.events[-1])

    def test_replyBeforeCloseWhenLater(self) -> None:
        """
        Data does not wait for a handler that takes its time; CLOSE does.
        """
        decision: Deferred[bool] = Deferred()
        self.server.answers = {b"a": decision}
        answer = self.ask("a")
        self.link.pump()
        self.server.write(b"data")
        self.server.conn.sendClose(self.server)
        self.link.pump()
        self.assertEqual([("data", b"data"), "eof"], self.client.events[-2:])
        decision.callback(True)
        self.link.pump()
        self.successResultOf(answer)
        self.assertEqual("closed", self.client.events[-1])

    def test_decidedTooLate(self) -> None:
        decision: Deferred[bool] = Deferred()
        self.server.answers = {b"a": decision}
        answer = self.ask("a")
        self.link.pump()
        self.client.abortConnection()
        self.link.pump()
        self.failureResultOf(answer, ChannelClosed)
        decision.callback(True)
        self.assertEqual(0, self.link.pump())

    def test_connectionLostInTheHandler(self) -> None:
        def lose(channel: Recorder) -> bool:
            self.link.server.lose()
            return True

        self.server.answers = {b"a": lose}
        self.ask("a").addErrback(lambda _: None)
        self.link.client.deliver()
        self.assertEqual("closed", self.server.events[-1])
        self.link.lose()

    def test_conchsSeams(self) -> None:
        server = self.server.conn
        server._cbChannelRequest(True, 0)
        server._ebChannelRequest(None, 0)
        self.assertEqual([ChannelSuccess(0), ChannelFailure(0)], self.link.server.take())
        self.assertRaises(ConchError, server._cbChannelRequest, False, 0)
        waiting = self.ask("a")
        self.assertEqual([waiting], self.conn.deferreds[0])
        self.assertEqual([], self.conn.deferreds["global"])
        waiting.addErrback(lambda _: None)
        self.link.lose()


class Global(Accepting):
    answers: dict[bytes, object] = {}

    def global_known(self, data: bytes) -> object:
        return (1, data[::-1])

    def global_hostkeys_00_openssh_com(self, data: bytes) -> object:
        return True

    def gotGlobalRequest(self, globalType: bytes, data: bytes) -> object:
        if globalType not in self.answers:
            return super().gotGlobalRequest(globalType, data)
        answer = self.answers[globalType]
        if isinstance(answer, Exception):
            raise answer
        return answer


class GlobalRequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Global()
        self.link = joined(self.server)
        self.conn = self.link.client.service

    def ask(self, name: bytes | str, data: bytes = b"data") -> Deferred[bytes]:
        return self.conn.sendGlobalRequest(name, data, wantReply=True)

    def test_message(self) -> None:
        self.assertIsNone(self.conn.sendGlobalRequest("name", b"data"))
        self.conn.sendGlobalRequest(b"name", b"data", wantReply=1).addErrback(lambda _: None)
        self.assertEqual(
            [GlobalRequest(b"name", False, b"data"), GlobalRequest(b"name", True, b"data")],
            self.link.client.messages(),
        )
        self.link.lose()

    def test_answers(self) -> None:
        self.server.answers = {
            b"a": True,
            b"b": 1,
            b"c": (1, b"with data"),
            b"d": succeed((True, b"later")),
            b"e": False,
            b"f": None,
            b"g": (0, b"not seen"),
            b"h": ConchError("no"),
            # Defects of the program.
            b"i": (1, "text"),
            b"j": (1, b"two", b"three"),
            b"k": succeed((1,)),
        }
        for name, expected in (("a", b""), ("b", b""), ("c", b"with data"), ("d", b"later")):
            answer = self.ask(name)
            self.link.pump()
            self.assertEqual(expected, self.successResultOf(answer))
        for name in "efghijk":
            answer = self.ask(name)
            self.link.pump()
            failure = self.failureResultOf(answer, GlobalRequestFailed)
            self.assertEqual(b"", failure.value.data)

    def test_methods(self) -> None:
        for name, data in (("known", b"atad"), (b"hostkeys-00@openssh.com", b"")):
            answer = self.ask(name)
            self.link.pump()
            self.assertEqual(data, self.successResultOf(answer))
        for name in (b"unknown", b"Known", b"known\0", b"", b"hostkeys_00_openssh_com", b"__init__"):
            answer = self.ask(name)
            self.link.pump()
            self.failureResultOf(answer, GlobalRequestFailed)

    def test_failureWithData(self) -> None:
        answer = self.ask("x")
        self.link.client.receive(numbers.MSG_REQUEST_FAILURE, RequestFailure(b"why").pack())
        self.assertEqual(b"why", self.failureResultOf(answer, GlobalRequestFailed).value.data)

    def test_inOrder(self) -> None:
        """
        Row 110: replies in the order of the requests, each Deferred fired
        once.
        """
        first: Deferred[object] = Deferred()
        second: Deferred[object] = Deferred()
        self.server.answers = {b"a": first, b"b": second, b"c": True}
        answers = [self.ask(name) for name in "abc"]
        self.link.pump()
        second.callback((1, b"second"))
        self.assertEqual(0, self.link.pump())
        first.callback(False)
        self.assertEqual(
            [RequestFailure(b""), RequestSuccess(b"second"), RequestSuccess(b"")],
            self.link.server.messages(),
        )
        self.link.pump()
        self.failureResultOf(answers[0], GlobalRequestFailed)
        self.assertEqual([b"second", b""], [self.successResultOf(answer) for answer in answers[1:]])

    def test_everyInterleaving(self) -> None:
        """
        Row 110: three requests that are decided in any order, one of which
        may be cancelled, on a connection that may be lost, at any moment: each
        Deferred fires once, with its own answer.
        """
        for order in itertools.permutations(range(3)):
            for cancelled, when, lost in itertools.product(range(-1, 3), range(4), range(-1, 4)):
                self.interleave(order, cancelled, when, lost)

    def interleave(self, order: tuple[int, ...], cancelled: int, when: int, lost: int) -> None:
        """
        @param order: in which the requests are decided.
        @param cancelled: which one is cancelled, or -1.
        @param when: behind how many decisions.
        @param lost: behind how many the connection is lost, or -1.
        """
        self.setUp()
        decisions: list[Deferred[object]] = [Deferred() for _ in order]
        self.server.answers = {b"%d" % number: decision for number, decision in enumerate(decisions)}
        answers = [self.ask(str(number)) for number in range(3)]
        fired = [results(answer) for answer in answers]
        self.link.pump()
        expected: list[object] = [None] * 3
        for step in range(4):
            if step == when and cancelled >= 0:
                answers[cancelled].cancel()
                expected[cancelled] = expected[cancelled] or CancelledError
            if step == lost:
                self.link.lose()
                expected = [outcome or ConnectionEnded for outcome in expected]
            if step < 3:
                decisions[order[step]].callback((True, b"%d" % order[step]))
                self.link.pump()
                for number in itertools.takewhile({*order[: step + 1]}.__contains__, range(3)):
                    expected[number] = expected[number] or b"%d" % number
        found = [[getattr(result, "type", result) for result in outcome] for outcome in fired]
        self.assertEqual(
            [[outcome] if outcome else [] for outcome in expected], found, (order, cancelled, when, lost)
        )

    def test_withoutReply(self) -> None:
        self.server.answers = {b"a": True, b"b": False, b"c": succeed(True)}
        for name in "abc":
            self.conn.sendGlobalRequest(name, b"")
        self.link.pump()
        self.assertEqual(0, len(self.link.server.outbox))

    def test_defects(self) -> None:
        self.server.answers = {b"a": ZeroDivisionError(), b"b": fail(ZeroDivisionError())}
        for name in "ab":
            answer = self.ask(name)
            self.link.pump()
            self.failureResultOf(answer, GlobalRequestFailed)
            self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_unasked(self) -> None:
        """
        Row 96.
        """
        for number in (numbers.MSG_REQUEST_SUCCESS, numbers.MSG_REQUEST_FAILURE):
            self.setUp()
            self.link.client.receive(number, b"")
            self.assertIsInstance(self.link.client.closeReason.value, UnexpectedMessage)

    def test_tooMany(self) -> None:
        self.server.answers = {b"a": Deferred()}
        for _ in range(64):
            self.ask("a").addErrback(lambda _: None)
        self.link.pump()
        self.assertIsNone(self.link.server.closeReason)
        self.ask("a").addErrback(lambda _: None)
        self.link.pump()
        self.assertIsInstance(self.link.server.closeReason.value, UnexpectedMessage)
        self.link.lose()

    def test_tooManyWithoutReplies(self) -> None:
        """
        A program is asked to decide no more at a time if nobody wants to hear
        what it decides.
        """
        decision: Deferred[bool] = Deferred()
        self.server.answers = {b"a": decision}
        for _ in range(100):
            self.link.client.service.sendGlobalRequest("known", b"")
        for _ in range(64):
            self.link.client.service.sendGlobalRequest("a", b"")
        self.link.pump()
        self.assertIsNone(self.link.server.closeReason)
        self.link.client.service.sendGlobalRequest("a", b"")
        self.link.pump()
        self.assertIsInstance(self.link.server.closeReason.value, UnexpectedMessage)
        self.link.lose()

    def test_cancelled(self) -> None:
        first, second = self.ask("known", b"1"), self.ask("known", b"2")
        first.addErrback(lambda _: None)
        first.cancel()
        self.link.pump()
        self.assertEqual(b"2", self.successResultOf(second))

    def test_decidedTooLate(self) -> None:
        decision: Deferred[bool] = Deferred()
        self.server.answers = {b"a": decision}
        answer = self.ask("a")
        self.link.pump()
        self.link.lose()
        self.failureResultOf(answer)
        decision.callback(True)
        self.assertEqual(0, len(self.link.server.outbox))

    def test_avatar(self) -> None:
        class Avatar:
            def gotGlobalRequest(self, *arguments: bytes) -> object:
                self.asked = arguments
                return (True, b"from the avatar")

        link = joined()
        link.server.avatar = Avatar()
        answer = link.client.service.sendGlobalRequest("known", b"data", wantReply=True)
        link.pump()
        self.assertEqual((b"known", b"data"), link.server.avatar.asked)
        self.assertEqual(b"from the avatar", self.successResultOf(answer))
