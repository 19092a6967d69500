"""
Whole connections: real transports, logged in, with the connection protocol and
channels on them.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from conchlite.ssh.connection import SSHConnection
from tests.ssh.channels import Accepting, Recorder
from tests.ssh.links import Client, Link, RecordingService


class Stream(Recorder):
    """
    A channel that is full duplex: it sends bytes from a seed as a producer,
    and adds up what comes.

    @ivar arrived: how many bytes came.
    @ivar digest: their SHA-256.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arrived = 0
        self.digest = hashlib.sha256()
        self.pauses = 0
        self._left = 0
        self._paused = False

    def dataReceived(self, data: bytes) -> None:
        self.arrived += len(data)
        self.digest.update(data)

    def begin(self, seed: int, size: int) -> None:
        """
        Send C{size} bytes.
        """
        self._block = random.Random(seed).randbytes(32768)
        self._size = self._left = size
        self.registerProducer(Producer(self), True)
        self.resumeProducingStream()

    def digestOfSent(self) -> bytes:
        """
        The SHA-256 of all that L{begin} sends.
        """
        digest = hashlib.sha256()
        for _ in range(self._size // len(self._block)):
            digest.update(self._block)
        digest.update(self._block[: self._size % len(self._block)])
        return digest.digest()

    def resumeProducingStream(self) -> None:
        self._paused = False
        while self._left and not self._paused:
            piece = self._block[: self._left]
            self._left -= len(piece)
            self.write(piece)
        if not self._left and not self._paused:
            self._paused = True
            self.unregisterProducer()


class Producer:
    """
    What a channel pauses and resumes, kept apart from the channel, which has
    methods of these names for what it receives.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def pauseProducing(self) -> None:
        self._stream.pauses += 1
        self._stream._paused = True

    def resumeProducing(self) -> None:
        self._stream.resumeProducingStream()

    def stopProducing(self) -> None:
        self._stream._paused = True


def connected(
    channels: int, link: Link | None = None, make: type[Stream] = Stream, **attributes: Any
) -> tuple[Link, list[Stream]]:
    """
    A client and a server that are logged in.

    @param channels: how many channels are opened.
    @param make: their class.
    @param attributes: of both transports.
    @return: the link, and both ends of each channel, one behind the other.
    """
    link = loggedIn(link, **attributes)
    accepting = Accepting()
    accepting.make = make
    link.server.setService(accepting)
    link.client.setService(SSHConnection())
    ends: list[Stream] = []
    for _ in range(channels):
        channel = make()
        link.client.service.openChannel(channel)
        link.flush()
        ends += (channel, accepting.opened[-1])
    return link, ends


def loggedIn(link: Link | None = None, **attributes: Any) -> Link:
    """
    A client and a server that are logged in, and have no service yet.

    @param attributes: of both transports.
    """
    client = link.client if link else Client()
    client.requested = RecordingService()
    link = link or Link(client)
    for end in (link.client, link.server):
        for name, value in attributes.items():
            setattr(end, name, value)
    link.secure()
    for end in (link.client, link.server):
        end.isAuthenticated = True
    return link
