"""
The connection: opening channels, and whose message is for whom.
"""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError, Deferred, succeed

from conchlite.error import (
    ChannelClosed,
    ChannelOpenFailed,
    ConchError,
    ConnectionEnded,
    MalformedMessage,
    UsageError,
)
from conchlite.ssh import connection as module
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.wire import numbers
from conchlite.wire.connection import (
    ChannelClose,
    ChannelData,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    Message,
)
from tests.ssh.channels import Accepting, ConnectionTestCase, Recorder, joined, openPair
from tests.ssh.fakes import Link


class OpeningTests(ConnectionTestCase):
    def test_open(self) -> None:
        channel = Recorder(data=b"own")
        opened = self.client.openChannel(channel, b"extra")
        self.assertIs(self.client, channel.conn)
        self.assertEqual(0, channel.id)
        self.assertEqual([ChannelOpen(b"recorder", 0, 2097152, 32768, b"extra")], self.link.client.messages())
        self.link.client.deliver()
        self.assertEqual([ChannelOpenConfirmation(0, 0, 2097152, 32768, b"")], self.link.server.messages())
        self.assertEqual([], channel.events)
        self.assertNoResult(opened)
        self.link.pump()
        self.assertIs(channel, self.successResultOf(opened))
        self.assertEqual([("open", b"")], channel.events)
        server = self.server.opened[0]
        self.assertEqual([("open", b"extra")], server.events)
        self.assertEqual(
            (b"extra", 2097152, 32768), (server.data, server.remoteWindowLeft, server.remoteMaxPacket)
        )

    def test_specificData(self) -> None:
        class Specific(Recorder):
            def __init__(self, **kwargs: object) -> None:
                super().__init__(**kwargs)
                self.specificData = b"specific"

        self.server.make = Specific
        channel, _ = openPair(self.link)
        self.assertEqual([("open", b"specific")], channel.events)

    def test_nameAsBytes(self) -> None:
        channel = Recorder()
        channel.name = b"recorder"
        openPair(self.link, channel)
        self.assertEqual([("open", b"")], channel.events)

    def test_confirmationComesFirst(self) -> None:
        class Eager(Recorder):
            def channelOpen(self, specificData: bytes) -> None:
                self.write(b"hello")
                self.loseConnection()

        self.server.make = Eager
        self.client.openChannel(Recorder())
        self.link.client.deliver()
        self.assertEqual(
            ["CHANNEL_OPEN_CONFIRMATION", "CHANNEL_DATA", "CHANNEL_EOF"], self.link.server.names()
        )

    def test_misuse(self) -> None:
        self.assertRaises(UsageError, self.client.openChannel, SSHChannel())
        channel, _ = openPair(self.link)
        self.assertRaises(UsageError, self.client.openChannel, channel)

    def test_refused(self) -> None:
        channel = Recorder()
        channel.name = "unknown"
        opened = self.client.openChannel(channel)
        self.link.pump()
        failure = self.failureResultOf(opened, ChannelOpenFailed)
        self.assertIs(failure.value, channel.reason)
        self.assertEqual(
            (b"unknown channel", numbers.OPEN_UNKNOWN_CHANNEL_TYPE),
            (channel.reason.value, channel.reason.data),
        )
        self.assertEqual(["failed"], channel.events)
        self.assertEqual(({}, {}), (self.client.channels, self.server.channels))
        self.link.lose()
        self.assertEqual(["failed"], channel.events)

    def test_nobodyLooks(self) -> None:
        """
        A failure to open that only C{openFailed} is told of is not logged as
        unhandled; who looks later finds it.
        """
        channel = Recorder()
        channel.name = "unknown"
        later = self.client.openChannel(channel)
        other = SSHChannel()
        other.name = b"unknown"
        self.client.openChannel(other)
        self.link.pump()
        gc.collect()
        self.assertEqual([], self.flushLoggedErrors())
        self.failureResultOf(later, ChannelOpenFailed)

    def test_cancelled(self) -> None:
        channel = Recorder()
        opened = self.client.openChannel(channel)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.link.pump()
        self.assertEqual(["failed"], channel.events)
        self.assertEqual("closed", self.server.opened[0].events[-1])

    def test_cancelledAndRefused(self) -> None:
        channel = Recorder()
        channel.name = "unknown"
        opened = self.client.openChannel(channel)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.link.pump()
        self.assertEqual(["failed"], channel.events)

    def test_channelOpenRaises(self) -> None:
        class Raising(Recorder):
            def channelOpen(self, specificData: bytes) -> None:
                raise ZeroDivisionError

        opened = self.client.openChannel(Raising())
        self.link.pump()
        self.failureResultOf(opened, ChannelClosed)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual({}, self.client.channels)

    def test_numbersAreNotReused(self) -> None:
        """
        Row 101, from without.
        """
        numbers = []
        for _ in range(5):
            channel, _ = openPair(self.link)
            numbers.append(channel.id)
            channel.abortConnection()
            self.link.pump()
        self.assertEqual([0, 1, 2, 3, 4], numbers)

    def test_smallPackets(self) -> None:
        """
        Row 93: a peer that takes next to nothing in a packet.
        """
        self.send(self.link.server, ChannelOpen(b"recorder", 5, 1000, 255, b""))
        self.assertEqual(
            [ChannelOpenFailure(5, 2, b"maximum packet size too small", b"")], self.link.server.messages()
        )
        self.assertEqual([], self.server.opened)
        channel = Recorder()
        opened = self.client.openChannel(channel)
        self.send(self.link.client, ChannelOpenConfirmation(0, 0, 1000, 0, b""))
        self.checkEnded(self.link.client, MalformedMessage)
        self.link.client.lose()
        self.assertEqual(["failed"], channel.events)
        self.failureResultOf(opened, MalformedMessage)

    def test_smallestPackets(self) -> None:
        self.send(self.link.server, ChannelOpen(b"recorder", 5, 1000, 256, b""))
        self.assertEqual(["CHANNEL_OPEN_CONFIRMATION"], self.link.server.names())


class LookupTests(ConnectionTestCase):
    """
    What the server makes of a request to open.
    """

    def answer(self, result: object, name: bytes = b"recorder") -> list[Message]:
        def make(**kwargs: object) -> object:
            if isinstance(result, Exception):
                raise result
            return result

        self.server.make = make
        self.send(self.link.server, ChannelOpen(name, 5, 1000, 1000, b""))
        return self.link.server.take()

    def test_unknownNames(self) -> None:
        """
        Row 109: odd names are unknown types, and reach no attribute.
        """
        for name in (b"", b"nothing", b"Recorder", b"recorder\0", b"\xff", b"__init__", b"x" * 10000):
            self.assertEqual(
                [ChannelOpenFailure(5, 3, b"unknown channel", b"")], self.answer(Recorder(), name), name
            )

    def test_conchErrors(self) -> None:
        for arguments in (("not today", 1), (b"not today", 1), (1, "not today"), (1, b"not today")):
            self.assertEqual(
                [ChannelOpenFailure(5, 1, b"not today", b"")], self.answer(ConchError(*arguments))
            )

    def test_none(self) -> None:
        self.assertEqual([ChannelOpenFailure(5, 3, b"unknown channel", b"")], self.answer(None))

    def test_otherErrors(self) -> None:
        """
        The peer learns nothing of a program's defects.
        """
        for error in (ZeroDivisionError("secret"), ConchError("secret"), UsageError("secret")):
            self.assertEqual([ChannelOpenFailure(5, 2, b"unknown failure", b"")], self.answer(error))
            self.assertEqual(1, len(self.flushLoggedErrors(type(error))))

    def test_openedBefore(self) -> None:
        """
        A program that gives out a channel twice: the second time it is
        refused, and the first goes on.
        """
        channel = Recorder()
        self.answer(channel)
        for result in (channel, succeed(channel)):
            self.assertEqual([ChannelOpenFailure(5, 2, b"unknown failure", b"")], self.answer(result))
            self.assertEqual(1, len(self.flushLoggedErrors(UsageError)))
        self.assertEqual(({0: channel}, 0), (self.server.channels, channel.id))

    def test_malformedData(self) -> None:
        """
        Data that cannot be parsed is the peer's fault.
        """
        self.answer(MalformedMessage("truncated"))
        self.checkEnded(self.link.server, MalformedMessage)

    def test_nothingIsLeft(self) -> None:
        """
        Row 98: refused openings leave nothing behind.
        """
        for _ in range(1000):
            self.answer(ConchError("no", 1))
        self.assertEqual(({}, {}, []), (self.server.channels, self.server._ready, self.server._deciding))
        self.assertEqual(0, self.server.localChannelID)

    def test_later(self) -> None:
        decision: Deferred[SSHChannel] = Deferred()
        self.assertEqual([], self.answer(decision))
        channel = Recorder()
        decision.callback(channel)
        self.assertEqual([ChannelOpenConfirmation(5, 0, 2097152, 32768, b"")], self.link.server.messages())
        self.assertEqual([("open", b"")], channel.events)
        self.assertEqual(1000, channel.remoteWindowLeft)

    def test_laterRefused(self) -> None:
        for result, expected in ((ConchError("no", 1), (1, b"no")), (None, (3, b"unknown channel"))):
            decision: Deferred[SSHChannel] = Deferred()
            self.answer(decision)
            decision.errback(result) if isinstance(result, Exception) else decision.callback(None)
            self.assertEqual([ChannelOpenFailure(5, *expected, b"")], self.link.server.take())
        self.assertEqual([], self.server._deciding)

    def test_laterThanTheConnection(self) -> None:
        decision: Deferred[SSHChannel] = Deferred()
        self.answer(decision)
        self.link.lose()
        channel = Recorder()
        decision.callback(channel)
        self.assertEqual(["failed"], channel.events)
        self.assertIs(self.server, channel.conn)
        self.assertEqual({}, self.server.channels)

    def test_tooManyChannels(self) -> None:
        """
        Row 99: of all types together, those that are not decided included.
        """
        self.server.maxChannels = 3
        self.answer(Deferred())
        self.answer(Recorder())
        self.server.openChannel(Recorder())
        self.link.server.take()
        self.assertEqual([ChannelOpenFailure(5, 4, b"too many channels", b"")], self.answer(Recorder()))

    def test_tooManySessions(self) -> None:
        """
        Row 99 again.
        """
        self.server.maxSessions = 2
        type(self.server).channel_session = type(self.server).channel_recorder
        self.addCleanup(delattr, type(self.server), "channel_session")
        self.answer(Deferred(), b"session")
        self.answer(Recorder(), b"session")
        self.assertEqual(
            [ChannelOpenFailure(5, 4, b"too many channels", b"")], self.answer(Recorder(), b"session")
        )
        self.assertEqual(["ChannelOpenConfirmation"], [type(m).__name__ for m in self.answer(Recorder())])
        self.server.channels[0].abortConnection()
        self.send(self.link.server, ChannelClose(0))
        self.link.server.take()
        self.assertEqual(
            ["ChannelOpenConfirmation"], [type(m).__name__ for m in self.answer(Recorder(), b"session")]
        )

    def test_defaults(self) -> None:
        self.assertEqual(
            (256, 10, 64), (self.server.maxChannels, self.server.maxSessions, self.server.maxGlobalRequests)
        )

    def test_avatar(self) -> None:
        """
        Where there is an avatar, it alone decides.
        """

        class Avatar:
            def lookupChannel(self, *arguments: object) -> SSHChannel:
                self.asked = arguments
                return Recorder()

        avatar = self.link.server.avatar = Avatar()
        self.send(self.link.server, ChannelOpen(b"recorder", 5, 1000, 2000, b"data"))
        self.assertEqual((b"recorder", 1000, 2000, b"data"), avatar.asked)
        self.assertEqual([], self.server.opened)
        self.assertEqual(["CHANNEL_OPEN_CONFIRMATION"], self.link.server.names())


class ServiceTests(ConnectionTestCase):
    def test_constants(self) -> None:
        """
        Conch's programs find the numbers here.
        """
        for name in ("MSG_CHANNEL_DATA", "OPEN_UNKNOWN_CHANNEL_TYPE", "EXTENDED_DATA_STDERR"):
            self.assertEqual(getattr(numbers, name), getattr(module, name))

    def test_name(self) -> None:
        self.assertEqual(b"ssh-connection", SSHConnection.name)

    def test_avatarKnowsItsConnection(self) -> None:
        class Avatar:
            conn = None

        avatar = Avatar()
        link = Link(SSHConnection(), SSHConnection(), avatar)
        self.assertIs(link.server.service, avatar.conn)

    def test_unknownMessage(self) -> None:
        self.link.server.receive(83, b"")
        self.link.server.receive(101, b"")
        self.link.server.receive(200, b"")
        self.assertEqual(3, self.link.server.unimplemented)
        self.assertIsNone(self.link.server.closeReason)

    def test_lateAuthentication(self) -> None:
        """
        RFC 4252 section 5.1: a server ignores what comes behind its
        USERAUTH_SUCCESS; a client is never asked.
        """
        self.link.server.receive(numbers.MSG_USERAUTH_REQUEST, b"whatever")
        self.link.client.receive(numbers.MSG_USERAUTH_REQUEST, b"whatever")
        self.assertEqual((0, 1), (self.link.server.unimplemented, self.link.client.unimplemented))
        self.assertEqual(0, self.link.pump())

    def test_dataPath(self) -> None:
        fast = {
            numbers.MSG_CHANNEL_DATA,
            numbers.MSG_CHANNEL_EXTENDED_DATA,
            numbers.MSG_CHANNEL_WINDOW_ADJUST,
        }
        self.assertEqual(fast, set(SSHConnection().dataPath()))
        for number in fast:
            name = f"ssh_{numbers.messageName(number)}"
            cls = type("Own", (SSHConnection,), {name: lambda self, packet: None})
            self.assertEqual(fast - {number}, set(cls().dataPath()))
        cls = type("Own", (SSHConnection,), {"packetReceived": lambda self, number, packet: None})
        self.assertEqual({}, cls().dataPath())

    def test_ownHandlers(self) -> None:
        """
        A subclass that overrides a message's method gets the message, and may
        hand it on.
        """
        seen = []

        class Own(Accepting):
            def ssh_CHANNEL_DATA(self, packet: bytes) -> None:
                seen.append(packet)
                super().ssh_CHANNEL_DATA(packet)

        link = joined(Own())
        client, server = openPair(link)
        client.write(b"data")
        link.pump()
        self.assertEqual([ChannelData(0, b"data").pack()], seen)
        self.assertEqual(b"data", server.received)

    def test_conchsTables(self) -> None:
        client, _ = openPair(self.link)
        self.server.openChannel(Recorder())
        self.send(self.link.client, ChannelOpen(b"x", 900, 1000, 1000, b""))
        self.assertEqual({0: 0}, self.client.localToRemoteChannel)
        self.assertEqual({client: 0}, self.client.channelsToRemoteChannel)
        self.assertEqual({0: client}, self.client.channels)
        self.assertEqual(1, self.client.localChannelID)

    def test_replaced(self) -> None:
        """
        Another service takes over: everything ends, with an error that says
        so.
        """
        client, _ = openPair(self.link)
        self.client.serviceStopped()
        self.assertEqual("closed", client.events[-1])
        opened = self.client.openChannel(Recorder())
        self.failureResultOf(opened, ConnectionEnded)
