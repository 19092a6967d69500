"""
Channels and connections that remember what happened to them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import ConchError
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.connection import Message
from tests.ssh.fakes import FakeTransport, Link


class Recorder(SSHChannel):
    """
    @ivar events: the callbacks, in their order: a name, or a name and what
        came with it. Neighbouring data is joined.
    """

    name = "recorder"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.events: list[object] = []
        self.received = bytearray()

    def channelOpen(self, specificData: bytes) -> None:
        self.events.append(("open", specificData))

    def openFailed(self, reason: ConchError) -> None:
        self.events.append("failed")
        self.reason = reason

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._append("data", data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        self._append(f"ext {dataType}", data)

    def _append(self, kind: str, data: bytes) -> None:
        assert type(data) is bytes
        last = self.events[-1] if self.events else None
        if isinstance(last, tuple) and last[0] == kind:
            last[1].extend(data)
        else:
            self.events.append((kind, bytearray(data)))

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        self.events.append(("request", requestType, data))
        return super().requestReceived(requestType, data)

    def request_yes(self, data: bytes) -> object:
        return True

    def eofReceived(self) -> None:
        self.events.append("eof")

    def closeReceived(self) -> None:
        self.events.append("close")
        super().closeReceived()

    def closed(self) -> None:
        self.events.append("closed")

    def stopWriting(self) -> None:
        self.events.append("stop")

    def startWriting(self) -> None:
        self.events.append("start")


class Accepting(SSHConnection):
    """
    A server's end that opens a channel for every request.

    @ivar opened: the channels.
    """

    make: Callable[..., SSHChannel] = Recorder

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[SSHChannel] = []

    def channel_recorder(self, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        channel = self.make(remoteWindow=windowSize, remoteMaxPacket=maxPacket, data=data)
        self.opened.append(channel)
        return channel


def joined(server: SSHConnection | None = None) -> Link:
    """
    A client's connection and a server's, joined.
    """
    return Link(SSHConnection(), server or Accepting())


def openPair(link: Link, channel: SSHChannel | None = None) -> tuple[SSHChannel, SSHChannel]:
    """
    Open a channel, and let everything pass.

    @return: the client's channel and the server's.
    """
    channel = channel or Recorder()
    link.client.service.openChannel(channel)
    link.pump()
    return channel, link.server.service.opened[-1]


class ChannelTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = joined()
        self.client, self.server = openPair(self.link)
        self.client.events.clear()
        self.server.events.clear()

    def small(self, window: int, maximumPacketSize: int = 32768) -> tuple[Recorder, Recorder]:
        """
        A channel on which the server takes little.
        """

        class Small(Recorder):
            localWindowSize = window
            localMaxPacket = maximumPacketSize

        link = self.link = joined()
        link.server.service.make = Small
        client, server = openPair(link)
        client.events.clear()
        server.events.clear()
        return client, server


class PushProducer:
    """
    @ivar calls: what was asked of it.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class PullProducer:
    """
    Gives so many pieces.
    """

    def __init__(self, consumer: SSHChannel, pieces: int, size: int = 5000) -> None:
        self.consumer = consumer
        self.pieces = pieces
        self.size = size
        self.calls = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        self.calls += 1
        self.consumer.write(bytes((self.calls & 0xFF,)) * self.size)
        if self.calls == self.pieces:
            self.consumer.unregisterProducer()

    def stopProducing(self) -> None:
        self.stopped = True


class ConnectionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = joined()
        self.client: SSHConnection = self.link.client.service
        self.server: Accepting = self.link.server.service

    def send(self, transport: FakeTransport, *messages: Message) -> None:
        """
        Messages arrive at a transport, whoever sent them.
        """
        for message in messages:
            transport.receive(message.number, message.pack())

    def checkEnded(self, transport: FakeTransport, error: type[Exception], code: int = 2) -> None:
        """
        A connection ended by the peer's fault.
        """
        assert transport.closeReason is not None, "the connection goes on"
        self.assertIsInstance(transport.closeReason.value, error)
        self.assertEqual([code], [reason for reason, _ in transport.disconnects])
