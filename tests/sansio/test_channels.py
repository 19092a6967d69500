"""
The life of a channel, its numbers, and what may be asked.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import UnexpectedMessage
from conchlite.sansio.channels import (
    RECEIVED,
    SENT,
    ChannelLife,
    ChannelNumbers,
    ChannelState,
    ReplyQueue,
    methodFor,
)
from conchlite.wire.numbers import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
)

S = ChannelState
OPENED = {MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE}
DATA = {MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA}
ANY_TIME = {MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE}
CLOSING = {MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE}


class ChannelLifeTests(SynchronousTestCase):
    def test_everyStateEveryMessage(self) -> None:
        """
        The whole product of states and messages: what is not listed is
        C{UnexpectedMessage} and changes nothing.
        """
        lawful = {
            S.OPENING: OPENED,
            S.OPEN: DATA | ANY_TIME | CLOSING,
            S.EOF_SENT: DATA | ANY_TIME | CLOSING,
            S.EOF_RECEIVED: DATA | ANY_TIME | CLOSING,
            S.EOF_BOTH: DATA | ANY_TIME | CLOSING,
            S.CLOSE_SENT: DATA | ANY_TIME | CLOSING,
            S.CLOSE_SENT_AFTER_EOF: DATA | ANY_TIME | CLOSING,
            S.CLOSE_RECEIVED: DATA | ANY_TIME | {MSG_CHANNEL_EOF},
            S.CLOSED: set(),
        }
        self.assertEqual(set(S), set(lawful))
        for state in S:
            for number in range(256):
                life = ChannelLife(state)
                if number in lawful[state]:
                    life.received(number)
                else:
                    error = self.assertRaises(UnexpectedMessage, life.received, number)
                    self.assertIn(state.value, str(error))
                    self.assertIs(state, life.state)

    def test_nothingChangesByWhatIsNoStep(self) -> None:
        for state in S:
            for number in DATA | ANY_TIME:
                self.assertIs(state, RECEIVED[state].get(number, state))
                self.assertIs(state, SENT[state].get(number, state))

    def test_everyOrderEndsClosed(self) -> None:
        """
        Each side sends EOF or not, then CLOSE: every interleaving is lawful,
        and CLOSED is reached when CLOSE has gone both ways and not before.
        """
        seen = set()

        def walk(life: ChannelLife, ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
            seen.add(life.state)
            if not ours and not theirs:
                self.assertIs(S.CLOSED, life.state)
                return
            self.assertIsNot(S.CLOSED, life.state)
            if ours:
                after = ChannelLife(life.state)
                if after.maySend(ours[0]):
                    after.sent(ours[0])
                else:
                    # EOF is pointless behind the peer's CLOSE.
                    self.assertEqual((MSG_CHANNEL_EOF, S.CLOSE_RECEIVED), (ours[0], life.state))
                walk(after, ours[1:], theirs)
            if theirs:
                after = ChannelLife(life.state)
                after.received(theirs[0])
                walk(after, ours, theirs[1:])

        for ours in ((MSG_CHANNEL_CLOSE,), (MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE)):
            for theirs in ((MSG_CHANNEL_CLOSE,), (MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE)):
                walk(ChannelLife(S.OPEN), ours, theirs)
        self.assertEqual(set(S) - {S.OPENING}, seen)

    def test_sending(self) -> None:
        """
        No data behind our EOF, nothing behind our CLOSE, each once.
        """
        both = DATA | ANY_TIME | CLOSING
        lawful = {
            S.OPENING: set(),
            S.OPEN: both,
            S.EOF_SENT: ANY_TIME | {MSG_CHANNEL_CLOSE},
            S.EOF_RECEIVED: both,
            S.EOF_BOTH: ANY_TIME | {MSG_CHANNEL_CLOSE},
            S.CLOSE_SENT: set(),
            S.CLOSE_SENT_AFTER_EOF: set(),
            S.CLOSE_RECEIVED: {MSG_CHANNEL_REQUEST, MSG_CHANNEL_CLOSE},
            S.CLOSED: set(),
        }
        for state in S:
            life = ChannelLife(state)
            self.assertEqual(lawful[state], {number for number in range(256) if life.maySend(number)})

    def test_openIsNoMessageOfAChannel(self) -> None:
        for state in S:
            self.assertNotIn(MSG_CHANNEL_OPEN, RECEIVED[state])


class ChannelNumbersTests(SynchronousTestCase):
    def test_notReusedSoon(self) -> None:
        """
        Row 101: a number comes again only after all the others.
        """
        numbers = ChannelNumbers()
        self.assertEqual(list(range(2**16 + 10)), [numbers.take(()) for _ in range(2**16 + 10)])

    def test_wrapsAroundTheUsed(self) -> None:
        numbers = ChannelNumbers()
        numbers.next = 2**32 - 1
        self.assertEqual(2**32 - 1, numbers.take({0, 1}))
        self.assertEqual(2, numbers.take({0, 1}))


class ReplyQueueTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.permutations(range(8)))
    def test_inTheOrderOfTheRequests(self, order: list[int]) -> None:
        queue: ReplyQueue[int] = ReplyQueue(8)
        replies = [queue.asked() for _ in range(8)]
        due: list[int] = []
        for number in order:
            due += queue.decided(replies[number], number)
            self.assertEqual(8 - len(due), len(queue))
        self.assertEqual(list(range(8)), due)

    def test_limitWithoutReplies(self) -> None:
        """
        Requests that want no reply count as the others do.
        """
        queue: ReplyQueue[str] = ReplyQueue(3)
        wanted = queue.asked()
        for _ in range(2):
            self.assertIsNone(queue.asked(False))
        for wantReply in (True, False):
            self.assertRaises(UnexpectedMessage, queue.asked, wantReply)
        self.assertEqual([], queue.decided(None, "nobody hears it"))
        queue.asked(False)
        self.assertEqual(["yes"], queue.decided(wanted, "yes"))
        queue.asked()
        self.assertRaises(UnexpectedMessage, queue.asked)

    def test_limit(self) -> None:
        queue: ReplyQueue[int] = ReplyQueue(2)
        first = queue.asked()
        queue.asked()
        self.assertRaises(UnexpectedMessage, queue.asked)
        self.assertEqual([1], queue.decided(first, 1))
        queue.asked()


class Asked:
    request_shown_elsewhere = "no method"

    def __init__(self) -> None:
        self.request_instance = lambda data: data

    def request_pty_req(self, data: bytes) -> bytes:
        return b"pty" + data

    def request_eow_openssh_com(self, data: bytes) -> bytes:
        return b"eow"

    request_shell = None


class MethodForTests(SynchronousTestCase):
    def test_found(self) -> None:
        method = methodFor(Asked(), "request_", b"pty-req")
        assert method is not None
        self.assertEqual(b"pty!", method(b"!"))
        self.assertIsNotNone(methodFor(Asked(), "request_", b"eow@openssh.com"))

    def test_odd(self) -> None:
        """
        Row 109: odd names reach no attribute.
        """
        for name in (
            b"",
            b"pty_req",
            b"PTY-REQ",
            b"pty.req",
            b"eow-openssh-com-",
            b"pty-req\x00",
            b"pty-req\n",
            b"eow@openssh@com",
            b"eow@openssh_com",
            b"a" * 65,
            b"\xff",
            b"pty-r\xc3\xa9q",
            b"shown-elsewhere",
            b"instance",
            b"shell",
            b"unknown",
        ):
            self.assertIsNone(methodFor(Asked(), "request_", name), name)

    def test_longest(self) -> None:
        """
        Row 109: a longer name than any is not even looked for.
        """
        cls = type("Long", (), {"request_" + "a" * size: lambda self, data: data for size in (64, 65)})
        found = [methodFor(cls(), "request_", b"a" * size) is not None for size in (64, 65)]
        self.assertEqual([True, False], found)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=70))
    def test_anyBytes(self, name: bytes) -> None:
        found = methodFor(Asked(), "request_", name)
        self.assertEqual(name in (b"pty-req", b"eow@openssh.com"), found is not None)
