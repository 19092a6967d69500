"""
A command on the other host, with our streams for its own.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorFDSet
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.commands.oneshot import STATUS_BROKEN_PIPE
from conchlite.commands.streams import DescriptorReader, DescriptorWriter
from conchlite.error import ChannelOpenFailed, ChannelRequestFailed, ConchError
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS, getNS
from conchlite.wire.connection import ExitStatus
from conchlite.wire.numbers import EXTENDED_DATA_STDERR

if TYPE_CHECKING:
    from conchlite.ssh.connection import SSHConnection


class RemoteCommand(SSHChannel):
    """
    One command, from its request to its exit status.

    Whatever is full pauses what fills it, and nothing is collected: our
    standard input is read as fast as the server takes it, and the server
    sends as fast as our standard output and error are read.

    @ivar finished: fires with the exit status when the command has ended and
        all that it printed is written; fails with a L{ConchError} when there
        is no status because something went wrong. Cancelling it closes the channel.
    """

    name = b"session"

    def __init__(
        self,
        conn: SSHConnection,
        command: bytes,
        reactor: IReactorFDSet,
        descriptors: tuple[int | None, int | None, int | None],
    ) -> None:
        """
        @param descriptors: what the command has as standard input, output
            and error; L{None} for no input, and for output that nobody wants.
        """
        super().__init__(conn=conn)
        self._command = command
        self._reactor = reactor
        self._stdin, stdout, stderr = descriptors
        self._input: DescriptorReader | None = None
        self._gate = ProducerGate(self)
        self._output = self._writer(stdout, self._outputLost)
        self._errors = self._writer(stderr, self._errorsLost)
        self._status: int | None = None
        self._failure: Failure | None = None
        self._isClosed = False
        self.finished: Deferred[int] = Deferred(lambda _: self.abortConnection())

    def _writer(self, descriptor: int | None, lost: Callable[[Failure], None]) -> DescriptorWriter | None:
        if descriptor is None:
            return None
        writer = DescriptorWriter(self._reactor, descriptor, lost)
        writer.registerProducer(self._gate.consumer(), True)
        return writer

    def channelOpen(self, specificData: bytes) -> None:
        """
        Ask for the command.
        """
        replied = self.conn.sendRequest(self, b"exec", NS(self._command), wantReply=True)
        if replied is not None:
            replied.addCallbacks(self._started, self._notStarted)

    def openFailed(self, reason: ConchError) -> None:
        """
        There is no session.
        """
        if isinstance(reason, ChannelOpenFailed):
            reason = ConchError(f"the server opens no session: {reason}")
        self._failure = Failure(reason)
        self._closed()

    def _started(self, reply: object) -> None:
        if self._stdin is None:
            self.loseWriteConnection()
            return
        self._input = DescriptorReader(self._reactor, self._stdin, self.write, self._inputEnded)
        self.registerProducer(self._input, True)
        FileDescriptor.resumeProducing(self._input)

    def _notStarted(self, failure: Failure) -> None:
        if failure.check(ChannelRequestFailed):
            self._failure = Failure(ConchError("the server refuses to run the command"))
            self.abortConnection()

    def _inputEnded(self) -> None:
        self.unregisterProducer()
        self.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        The command printed something.
        """
        if self._output is not None:
            self._output.write(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """
        The command printed something to standard error.
        """
        if dataType == EXTENDED_DATA_STDERR and self._errors is not None:
            self._errors.write(data)

    def request_exit_status(self, data: bytes) -> bool:
        """
        The command ended by itself, RFC 4254 section 6.10.
        """
        # More than a process here can end with: an error, and no success modulo 256.
        self._status = min(ExitStatus.unpack(data).exitStatus, 255)
        return True

    def request_exit_signal(self, data: bytes) -> bool:
        """
        The command was ended by a signal.
        """
        name = getNS(data)[0]
        number = getattr(signal, "SIG" + name.decode("ascii", "replace"), None)
        self._status = 128 + number if isinstance(number, signal.Signals) else 255
        return True

    def _outputLost(self, reason: Failure) -> None:
        self._output = None
        self._writerDone("output", reason)

    def _errorsLost(self, reason: Failure) -> None:
        self._errors = None
        self._writerDone("error", reason)

    def _writerDone(self, name: str, reason: Failure) -> None:
        error = reason.value
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            # What was printed is lost, although somebody wants it: whatever
            # the command's status is, this was no success.
            if self._failure is None:
                self._failure = Failure(ConchError(f"cannot write standard {name}: {error.strerror}"))
            if not self._isClosed:
                self.abortConnection()
        elif not self._isClosed and error is not CONNECTION_DONE and self._output is None:
            # As for a program whose output is piped into head(1).
            if self._status is None:
                self._status = STATUS_BROKEN_PIPE
            self.abortConnection()
        if self._isClosed:
            self._finish()

    def closed(self) -> None:
        """
        The command has ended, or the connection.
        """
        reason = self.conn.transport.closeReason
        if self._status is None and self._failure is None:
            self._failure = reason or Failure(ConchError("the session ended without an exit status"))
        self._closed()

    def _closed(self) -> None:
        self._isClosed = True
        if self._input is not None:
            self._input.stopProducing()
        for writer in (self._output, self._errors):
            if writer is not None:
                writer.unregisterProducer()
                FileDescriptor.loseConnection(writer)
        self._finish()

    def _finish(self) -> None:
        if self._output is not None or self._errors is not None or self.finished.called:
            return
        if self._failure is not None:
            self.finished.errback(self._failure)
        elif self._status is not None:
            self.finished.callback(self._status)


class ProducerGate:
    """
    Lets several consumers have one producer: it runs while none of them has
    paused it.
    """

    def __init__(self, producer: IPushProducer) -> None:
        self._producer = producer
        self._pausing: set[object] = set()

    def consumer(self) -> IPushProducer:
        """
        What one of the consumers is given for its producer.
        """
        return _Share(self)

    def pause(self, share: object) -> None:
        """
        One of the consumers has enough.
        """
        if not self._pausing:
            self._producer.pauseProducing()
        self._pausing.add(share)

    def resume(self, share: object) -> None:
        """
        One of the consumers wants more, or nothing any more.
        """
        if share in self._pausing:
            self._pausing.discard(share)
            if not self._pausing:
                self._producer.resumeProducing()


@implementer(IPushProducer)
class _Share:
    def __init__(self, gate: ProducerGate) -> None:
        self._gate = gate

    def pauseProducing(self) -> None:
        self._gate.pause(self)

    def resumeProducing(self) -> None:
        self._gate.resume(self)

    def stopProducing(self) -> None:
        self._gate.resume(self)
