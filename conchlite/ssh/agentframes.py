"""
Messages to and from an agent: each behind its length, in both directions.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import ConchError, MalformedMessage, PeerError
from conchlite.limits import MAXIMUM_AGENT_FRAME
from conchlite.wire import agent
from conchlite.wire.codec import Message
from conchlite.wire.types import packString


@implementer(IPushProducer)
class AgentFrames(Protocol):
    """
    What both ends of an agent's connection have in common.

    A peer that does not read its answers is not read from.

    @cvar maximumFrame: the most bytes of a message; a peer that announces more
        is left before it has sent them.
    """

    _log = Logger()
    maximumFrame = MAXIMUM_AGENT_FRAME

    def __init__(self) -> None:
        self._received = bytearray()
        self._delivering = False
        self._ended = False
        # Why nothing is read: each of the two reasons once.
        self._deciding = False
        self._congested = False

    def connectionMade(self) -> None:
        register = getattr(self.transport, "registerProducer", None)
        if register is not None:
            register(self, True)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        try:
            while not (self._ended or self._deciding or self._congested):
                frame = self._nextFrame()
                if frame is None:
                    break
                self.frameReceived(frame)
        except PeerError as error:
            self.protocolBroken(error)
        finally:
            self._delivering = False

    def _nextFrame(self) -> bytes | None:
        received = self._received
        if len(received) < 4:
            return None
        size = int.from_bytes(received[:4], "big")
        if not 0 < size <= self.maximumFrame:
            raise MalformedMessage(f"an agent's message of {size} bytes: at most {self.maximumFrame}")
        if len(received) < 4 + size:
            return None
        frame = bytes(received[4 : 4 + size])
        del received[: 4 + size]
        return frame

    def frameReceived(self, frame: bytes) -> None:
        """
        A message came.

        @raise PeerError: it should not have; the connection ends.
        """
        raise NotImplementedError

    def protocolBroken(self, error: PeerError) -> None:
        """
        What came is no agent's protocol: leave.
        """
        self._log.warn("an agent's connection is left: {error}", error=str(error))
        self._end()
        if self.transport is not None:
            self.transport.loseConnection()

    def sendMessage(self, message: Message) -> None:
        """
        Send a message; once the connection is over, this does nothing.
        """
        self.sendFrame(message.packPayload())

    def sendFrame(self, frame: bytes) -> None:
        """
        Send a message that is packed.
        """
        if not self._ended and self.transport is not None:
            self.transport.write(packString(frame))

    def _end(self) -> None:
        self._ended = True
        self._received.clear()

    # While somebody decides about a message, the next ones wait.

    def _decide(self) -> None:
        self._deciding = True
        self._read(False)

    def _decided(self) -> None:
        self._deciding = False
        self._read(not self._congested)

    # As a producer of answers.

    def pauseProducing(self) -> None:
        """
        The peer does not read: do not read either.
        """
        self._congested = True
        self._read(False)

    def resumeProducing(self) -> None:
        """
        The peer reads again.
        """
        self._congested = False
        self._read(not self._deciding)

    def stopProducing(self) -> None:
        """
        The connection is over.
        """
        self._end()

    def _read(self, reading: bool) -> None:
        if self._ended:
            return
        method = getattr(self.transport, "resumeProducing" if reading else "pauseProducing", None)
        if method is not None:
            method()
        if reading:
            self._deliver()


class AgentAnswers(AgentFrames):
    """
    Answers requests one by one. What cannot be read, is not known, or not
    allowed, is answered with FAILURE, and the log says why.
    """

    def __init__(self) -> None:
        super().__init__()
        self._answering: Deferred[Any] | None = None

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._end()
        if self._answering is not None:
            self._answering.cancel()

    def frameReceived(self, frame: bytes) -> None:
        self._work(Deferred.fromCoroutine(self._answer(frame)))

    def _work(self, answering: Deferred[Message | None]) -> None:
        # Until it is done, the next request waits.
        if not answering.called:
            self._decide()
            self._answering = answering
        answering.addCallbacks(self._answered, self._ebAnswer)

    def _answered(self, answer: Message | None) -> None:
        if answer is not None:
            self.sendMessage(answer)
        if self._answering is not None:
            self._answering = None
            self._decided()

    def _ebAnswer(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._log.failure("an agent could not answer", failure)
        self._answered(agent.Failure())

    async def _answer(self, frame: bytes) -> Message:
        try:
            return await self.answer(frame)
        except ConchError as error:
            self._log.info("an agent refuses: {error}", error=str(error))
            return agent.ExtensionFailure() if frame[0] == agent.EXTENSION else agent.Failure()

    async def answer(self, frame: bytes) -> Message:
        """
        The answer to a request.

        @raise ConchError: it is refused.
        """
        raise NotImplementedError
