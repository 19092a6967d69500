"""
The process's own three streams, as descriptors.

While a daemon runner is at work C{sys.stdout} and C{sys.stderr} are the log's,
so what a command prints, and what another host sends through it, goes past them.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import sys
from collections.abc import Callable

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer, IReactorFDSet
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import ConchError


def standardDescriptor(number: int) -> int | None:
    """
    The descriptor of standard input, output or error (0, 1, 2), or L{None}
    where the process was started with it closed: then the number may belong
    to something else by now, such as the reactor.
    """
    stream = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[number]
    return None if stream is None else number


def writeLine(text: str, number: int = 1) -> None:
    """
    Write a line to standard output or error, and wait until it is written.

    @param number: 1 for standard output, 2 for standard error.
    @raise OSError: it cannot be written.
    """
    descriptor = standardDescriptor(number)
    if descriptor is None:
        return
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Somebody who shares the descriptor with us made it non-blocking.
            select.select([], [descriptor], [])


def say(text: str) -> None:
    """
    Write a line to standard output.

    @raise BrokenPipeError: nobody reads it.
    @raise ConchError: it cannot be written for another reason.
    """
    try:
        writeLine(text)
    except BrokenPipeError:
        raise
    except OSError as e:
        raise ConchError(f"standard output: {e.strerror}") from e


def complain(text: str) -> None:
    """
    Tell a person, on standard error, what went wrong.
    """
    try:
        writeLine("conchlite: " + text, 2)
    except OSError:
        # Nobody is there to be told; the exit status says it as well.
        pass


class BlockingState:
    """
    Whether the descriptors wait, as it was and is to be again.

    The descriptor of a terminal, or one that a parent gave to several
    processes, is the same open file for all of them: what is left
    non-blocking stays so for the shell when we are gone.
    """

    def __init__(self, descriptors: list[int]) -> None:
        """
        Remember how the descriptors are. All of them at once: two may be one open file.
        """
        self._flags = {descriptor: fcntl.fcntl(descriptor, fcntl.F_GETFL) for descriptor in descriptors}

    def setNonBlocking(self) -> None:
        """
        From now on, no descriptor waits. Regular files never do.
        """
        for descriptor, flags in self._flags.items():
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)

    def restore(self) -> None:
        """
        Leave the descriptors as they were found.
        """
        for descriptor, flags in self._flags.items():
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


@implementer(IPushProducer)
class DescriptorReader(FileDescriptor):
    """
    Reads a descriptor to its end, as fast as it is allowed to.
    """

    connected = 1

    readSize = 64 * 1024

    def __init__(
        self,
        reactor: IReactorFDSet,
        descriptor: int,
        dataReceived: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        """
        @param ended: called once, when there is nothing more to read.
        """
        super().__init__(reactor)
        self._descriptor = descriptor
        self._dataReceived = dataReceived
        self._ended: Callable[[], None] | None = ended

    def fileno(self) -> int:
        """
        The descriptor, for the reactor.
        """
        return self._descriptor

    def doRead(self) -> Exception | None:
        """
        Read what there is, once.
        """
        try:
            data = os.read(self._descriptor, self.readSize)
        except BlockingIOError:
            return None
        except OSError as e:
            return e
        if not data:
            return CONNECTION_DONE
        self._dataReceived(data)
        return None

    def stopProducing(self) -> None:
        """
        Nobody wants to have any more.
        """
        self._ended = None
        FileDescriptor.stopReading(self)

    def connectionLost(self, reason: Failure) -> None:
        """
        Reading came to the end, or failed: for the other side it is the same.
        """
        ended, self._ended = self._ended, None
        FileDescriptor.connectionLost(self, reason)
        if ended is not None:
            ended()


class DescriptorWriter(FileDescriptor):
    """
    Writes to a descriptor, and pauses its producer while that takes no more.
    """

    connected = 1

    def __init__(self, reactor: IReactorFDSet, descriptor: int, lost: Callable[[Failure], None]) -> None:
        """
        @param lost: called once: with C{ConnectionDone} when all was written
            after C{loseConnection}, with an L{OSError} when nobody reads it.
        """
        super().__init__(reactor)
        self._descriptor = descriptor
        self._lost = lost

    def fileno(self) -> int:
        """
        The descriptor, for the reactor.
        """
        return self._descriptor

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """
        Write as much as is taken at once.
        """
        if not data:
            # Asked for before the end; a device may refuse even nothing.
            return 0
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as e:
            return e

    def connectionLost(self, reason: Failure) -> None:
        """
        All is written, or nobody reads it.
        """
        FileDescriptor.connectionLost(self, reason)
        self._lost(reason)
