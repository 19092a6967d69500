"""
What a program does with a channel that is not open yet.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import ChannelClosed, ChannelOpenFailed, ConnectionEnded
from conchlite.ssh.channel import SSHChannel
from tests.ssh.channels import Recorder, joined


class BeforeOpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = joined()
        self.channel = Recorder()

    def open(self) -> Recorder:
        self.link.client.service.openChannel(self.channel)
        self.link.pump()
        return self.link.server.service.opened[-1]

    def test_write(self) -> None:
        self.channel.write(b"before it is even asked for, ")
        self.link.client.service.openChannel(self.channel)
        self.channel.write(b"and while it opens")
        self.channel.loseWriteConnection()
        self.link.pump()
        server = self.link.server.service.opened[-1]
        self.assertEqual(
            [("open", b""), ("data", b"before it is even asked for, and while it opens"), "eof"],
            server.events,
        )

    def test_loseConnection(self) -> None:
        """
        D5: it closes when it is open.
        """
        self.link.client.service.openChannel(self.channel)
        self.channel.write(b"data")
        self.channel.loseConnection()
        self.link.pump()
        server = self.link.server.service.opened[-1]
        self.assertEqual([("open", b""), ("data", b"data"), "eof"], server.events)
        server.loseConnection()
        self.link.pump()
        self.assertEqual([("open", b""), "eof", "close", "closed"], self.channel.events[-4:])

    def test_sendClose(self) -> None:
        """
        D5 again.
        """
        self.link.client.service.openChannel(self.channel)
        self.channel.conn.sendClose(self.channel)
        self.link.pump()
        self.assertEqual("closed", self.channel.events[-1])

    def abort(self) -> Deferred[SSHChannel]:
        opened = self.link.client.service.openChannel(self.channel)
        self.channel.write(b"never sent")
        self.channel.abortConnection()
        self.assertNoResult(opened)
        self.link.pump()
        self.assertIs(self.channel.reason, self.failureResultOf(opened).value)
        return opened

    def test_abort(self) -> None:
        """
        An aborted channel does not open: C{openFailed} is all that is called,
        when the peer has decided, whatever comes until it has closed too.
        """
        self.abort()
        self.assertEqual(["failed"], self.channel.events)
        self.assertIsInstance(self.channel.reason, ChannelClosed)
        self.assertEqual([("open", b""), "close", "closed"], self.link.server.service.opened[-1].events)
        self.assertEqual({}, self.link.client.service.channels)

    def test_abortAndWhatComes(self) -> None:
        class Eager(Recorder):
            def channelOpen(self, specificData: bytes) -> None:
                self.write(b"data")
                self.writeExtended(1, b"data")
                self.conn.sendRequest(self, "yes", b"")
                self.loseConnection()

        self.link.server.service.make = Eager
        self.abort()
        self.assertEqual(["failed"], self.channel.events)

    def test_abortAndRefusal(self) -> None:
        """
        The peer's reason comes before ours.
        """
        self.channel.name = "unknown"
        self.abort()
        self.assertEqual(["failed"], self.channel.events)
        self.assertIsInstance(self.channel.reason, ChannelOpenFailed)

    def test_abortAndLoss(self) -> None:
        """
        Whether the connection is lost before the peer has decided or behind
        that, C{openFailed} is called once.
        """
        for decided in (False, True):
            self.setUp()
            self.link.client.service.openChannel(self.channel)
            self.channel.abortConnection()
            if decided:
                self.link.client.deliver()
                self.link.server.deliver()
            self.assertEqual(["failed"] if decided else [], self.channel.events)
            self.link.lose()
            self.assertEqual(["failed"], self.channel.events)
            self.assertIsInstance(self.channel.reason, ChannelClosed if decided else ConnectionEnded)

    def test_abortedByThePeersProgram(self) -> None:
        """
        What holds for a channel that we open holds for one that the peer does,
        when the program aborts what it will return.
        """
        deciding: Deferred[SSHChannel] = Deferred()
        server = Recorder()
        self.link.server.service.make = lambda **_: deciding
        self.link.client.service.openChannel(self.channel)
        self.link.pump()
        server.abortConnection()
        deciding.callback(server)
        self.link.pump()
        self.assertEqual(["failed"], server.events)
        self.assertEqual([("open", b""), "close", "closed"], self.channel.events)
