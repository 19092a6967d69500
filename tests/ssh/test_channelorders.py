"""
The ends of a channel, all of them: whatever the peer sends, in every order that
is lawful, and whatever the program does between any two of its messages.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.connection import (
    ChannelClose,
    ChannelData,
    ChannelEOF,
    ChannelExtendedData,
    ChannelOpenConfirmation,
    ChannelRequest,
    ChannelSuccess,
    ExitStatus,
    Message,
)
from tests.ssh.channels import Recorder
from tests.ssh.fakes import Link

#: What the peer sends, and what the program hears of it.
MESSAGES: dict[str, Message] = {
    "data": ChannelData(0, b"out"),
    "ext": ChannelExtendedData(0, 1, b"err"),
    "eof": ChannelEOF(0),
    "status": ChannelRequest(0, b"exit-status", False, ExitStatus(7).pack()),
    "question": ChannelRequest(0, b"yes", True, b""),
    "close": ChannelClose(0),
}
HEARD: dict[str, object] = {
    "data": ("data", b"out"),
    "ext": ("ext 1", b"err"),
    "eof": "eof",
    "status": ("request", b"exit-status", ExitStatus(7).pack()),
    "question": ("request", b"yes", b""),
    "close": "close",
}
#: What a paused program does not hear.
HELD = ("data", "ext", "eof")

#: What our program does.
ACTIONS: dict[str, Callable[[SSHChannel], object]] = {
    "nothing": lambda channel: None,
    "write": lambda channel: channel.write(b"ours"),
    "end": lambda channel: channel.conn.sendEOF(channel),
    "write and end": lambda channel: (channel.write(b"ours"), channel.loseWriteConnection()),
    "lose": SSHChannel.loseConnection,
    "write and lose": lambda channel: (channel.write(b"ours"), channel.loseConnection()),
    "close": lambda channel: channel.conn.sendClose(channel),
    "abort": SSHChannel.abortConnection,
    "lose, then abort": lambda channel: (channel.loseConnection(), channel.abortConnection()),
}


def orders() -> Iterator[tuple[str, ...]]:
    """
    Everything that a peer may send until it closes: no data behind EOF, no
    message twice.
    """
    before = [name for name in MESSAGES if name != "close"]
    for count in range(len(before) + 1):
        for order in itertools.permutations(before, count):
            if "eof" not in order or not {"data", "ext"} & {*order[order.index("eof") :]}:
                yield (*order, "close")


class Expected:
    """
    What the documentation says of a channel, with as few words as it takes.

    @ivar heard: the callbacks.
    @ivar sent: the messages to the peer, step by step.
    """

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.sent: list[Message] = []
        self._held: list[str] = []
        self._paused = self._aborted = self._losing = False
        self._ended = self._closed = self._theirEnd = self._theirClose = self._told = False

    def act(self, action: str) -> None:
        if "write" in action and not self._ended:
            self.sent.append(ChannelData(5, b"ours"))
        if action not in ("nothing", "write", "abort"):
            self._end()
        if "lose" in action:
            self._losing = True
            self._closeIfDone()
        if action == "close" or "abort" in action:
            self._close()
        if "abort" in action and not self._told:
            self._aborted = True
            if "close" in self._held:
                self._held = []
                self._hear("close")

    def receive(self, name: str) -> None:
        if name == "close":
            # Nobody takes anything of ours any more.
            self._ended = self._theirClose = True
            self._closeIfDone()
        if name == "question" and not (self._closed or self._aborted):
            self.sent.append(ChannelSuccess(5))
        if self._paused and (name in HELD or (self._held and name == "close")) and not self._aborted:
            self._held.append(name)
        else:
            self._hear(name)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        held, self._held = self._held, []
        for name in held:
            self._hear(name)

    def _hear(self, name: str) -> None:
        if not self._aborted:
            self.heard.append(HEARD[name])
        if name == "eof":
            self._theirEnd = True
            self._closeIfDone()
        if name == "close":
            self._close()
            self._told = True
            self.heard.append("closed")

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.sent.append(ChannelEOF(5))

    def _closeIfDone(self) -> None:
        if self._losing and (self._theirEnd or self._theirClose):
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = self._ended = True
            self.sent.append(ChannelClose(5))


class OrderTests(SynchronousTestCase):
    def opened(self, before: str = "nothing") -> tuple[Link, Recorder]:
        """
        A channel that is open, and what it was opened on.

        @param before: what the program did while it opened.
        """
        link = Link(SSHConnection(), SSHConnection())
        channel = Recorder()
        link.client.service.openChannel(channel)
        link.client.take()
        ACTIONS[before](channel)
        self.assertEqual([], link.client.messages())
        self.receive(link, ChannelOpenConfirmation(0, 5, 1000, 1000, b""))
        if channel.events == [("open", b"")]:
            channel.events.clear()
        return link, channel

    def receive(self, link: Link, message: Message) -> None:
        link.client.receive(message.number, message.pack())

    def run_(self, order: Sequence[str], action: str, position: int, pausedUntil: int = -1) -> None:
        """
        @param position: behind how many messages the program acts, or -1: while
            the channel opens.
        @param pausedUntil: behind how many it resumes, if it has paused.
        """
        if position < 0:
            link, channel = self.opened(action)
        else:
            link, channel = self.opened()
        expected = Expected()
        if pausedUntil >= 0:
            channel.pauseProducing()
            expected.pause()
        scene = (order, action, position, pausedUntil)
        for step in range(len(order) + 1):
            if step == position:
                ACTIONS[action](channel)
            if step == max(position, 0):
                expected.act(action)
            if step == pausedUntil:
                channel.resumeProducing()
                expected.resume()
            self.assertEqual(expected.sent, link.client.messages(), (scene, step))
            if step < len(order):
                self.receive(link, MESSAGES[order[step]])
                expected.receive(order[step])
                self.assertEqual(expected.sent, link.client.messages(), (scene, step))
        self.assertEqual(expected.heard, channel.events, scene)
        self.assertEqual("closed", channel.events[-1])
        self.assertIsNone(link.client.closeReason, scene)
        self.assertEqual(({}, []), (link.client.service.channels, link.clock.getDelayedCalls()), scene)

    def test_everyOrder(self) -> None:
        """
        Each callback comes in its order and once, C{closed} last; each message
        of ours goes out when it may, and none behind our CLOSE.
        """
        count = 0
        for order in orders():
            for position in range(len(order) + 1):
                for action in ACTIONS:
                    self.run_(order, action, position)
                    count += 1
        self.assertEqual(8_757, count)

    def test_whileItOpens(self) -> None:
        """
        What the program does before the channel is open counts from when it
        is; one that was aborted does not open.
        """
        for order in orders():
            for action in ACTIONS:
                if "abort" not in action:
                    self.run_(order, action, -1)
                    continue
                link, channel = self.opened(action)
                for name in order:
                    self.assertEqual([ChannelClose(5)], link.client.messages())
                    self.receive(link, MESSAGES[name])
                self.assertEqual((["failed"], {}), (channel.events, link.client.service.channels))

    def test_everyOrderPaused(self) -> None:
        """
        The same for a program that has paused the channel at the beginning,
        and resumes it behind any message.
        """
        count = 0
        for order in orders():
            if len(order) <= 4:
                for position, until in itertools.product(range(len(order) + 1), repeat=2):
                    for action in ACTIONS:
                        self.run_(order, action, position, until)
                        count += 1
        self.assertEqual(12_933, count)
