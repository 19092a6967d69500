"""
Questions at the terminal, while the reactor runs.

A thread that waits in getpass cannot be told to stop, so the terminal is one
more descriptor of the reactor. It is opened as /dev/tty, whatever standard
input is, and left as it was found: after the answer, when the question is
cancelled, and when the reactor shuts down. Where a person stops the program
(Ctrl-Z) and has it go on, the question is asked anew.
"""

from __future__ import annotations

import os
import signal
import termios
import threading
from types import FrameType
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorCore, IReactorFDSet, IReactorFromThreads
from twisted.python.failure import Failure

from conchlite.error import NoAnswer

#: The most bytes that an answer may have.
MAXIMUM_ANSWER_SIZE = 1024

_LFLAG = 3  # The place of the local modes in what termios calls attributes.


class ITerminalReactor(IReactorCore, IReactorFDSet, IReactorFromThreads):
    """
    What a question asks of the reactor.
    """


class Terminal:
    """
    Where a person can be asked, one question after the other.
    """

    def __init__(self, reactor: ITerminalReactor, path: str = "/dev/tty") -> None:
        self._reactor = reactor
        self._path = path
        self._lock = DeferredLock()

    def isThere(self) -> bool:
        """
        Whether there is anybody to ask.
        """
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def ask(self, prompt: str, echo: bool = False) -> Deferred[bytes]:
        """
        Ask one question.

        @param prompt: what is printed. Never a peer's text.
        @param echo: whether what is typed is shown.
        @return: fires with the line that was typed, without its end. Fails with
            L{NoAnswer} where there is no terminal and where the terminal says
            that there is no more to come (Ctrl-D). Cancelling it takes the
            question back.
        """
        return self._lock.run(maybeDeferred, self._ask, prompt, echo)

    def _ask(self, prompt: str, echo: bool) -> Deferred[bytes]:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as e:
            raise NoAnswer(f"there is no terminal to ask at: {e.strerror}") from e
        return _Question(self._reactor, descriptor, prompt, echo).start()


class _Question(FileDescriptor):
    """
    One question, from the prompt to the answer.
    """

    connected = 1

    def __init__(self, reactor: ITerminalReactor, descriptor: int, prompt: str, echo: bool) -> None:
        """
        @param descriptor: the terminal, open for this question alone.
        """
        FileDescriptor.__init__(self, reactor)
        self._core = reactor
        self._descriptor = descriptor
        self._prompt = prompt.encode("utf-8", "backslashreplace")
        self._echo = echo
        self._typed = b""
        self._before: list[Any] | None = None
        self._trigger: Any = None
        self._watchesContinue = False
        self.answer: Deferred[bytes] = Deferred(self._cancelled)

    def start(self) -> Deferred[bytes]:
        """
        Ask.

        @return: L{answer}.
        """
        try:
            before = termios.tcgetattr(self._descriptor)
            self._trigger = self._core.addSystemEventTrigger("before", "shutdown", self._shutDown)
            self._before = before
            self._watchContinue()
            self._show(before)
        except (OSError, termios.error) as e:
            self._end(NoAnswer(f"the terminal cannot be asked: {e}"))
        else:
            self._core.addReader(self)
        return self.answer

    def _show(self, before: list[Any]) -> None:
        if not self._echo:
            silent = list(before)
            silent[_LFLAG] &= ~(termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL)
            # What was typed before the question is no answer to it.
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, silent)
        os.write(self._descriptor, self._prompt)

    def _watchContinue(self) -> None:
        # Only the main thread may set a handler, and another's is left alone.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGCONT, self._signalled)
            self._watchesContinue = True

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._core.callFromThread(self._continued)

    def _continued(self) -> None:
        """
        The program was stopped and goes on; meanwhile the shell has set the
        terminal as the shell likes it.
        """
        if not self.connected or self._before is None or not self._isInForeground():
            return
        self._typed = b""
        try:
            self._show(self._before)
        except (OSError, termios.error) as e:
            self._end(NoAnswer(f"the terminal cannot be asked: {e}"))

    def _isInForeground(self) -> bool:
        # In the background, setting the terminal would only stop us again.
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            # It does not control us, and so it does not stop us either.
            return True

    def fileno(self) -> int:
        """
        The descriptor, for the reactor.
        """
        return self._descriptor

    def doRead(self) -> None:
        """
        Read what was typed; the terminal gives whole lines.
        """
        try:
            data = os.read(self._descriptor, MAXIMUM_ANSWER_SIZE)
        except BlockingIOError:
            return
        except OSError as e:
            self._end(NoAnswer(f"the terminal is gone: {e.strerror}"))
            return
        self._typed += data
        line, newline, _ = self._typed.partition(b"\n")
        if newline:
            self._end(line)
        elif not data:
            self._end(NoAnswer("no answer at the terminal"))
        elif len(line) >= MAXIMUM_ANSWER_SIZE:
            self._end(NoAnswer(f"an answer of more than {MAXIMUM_ANSWER_SIZE} bytes"))

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor gave the terminal up.
        """
        self._end(NoAnswer(f"the terminal is gone: {reason.getErrorMessage()}"))

    def _shutDown(self) -> None:
        self._trigger = None
        self._end(NoAnswer("no answer: the program ends"))

    def _cancelled(self, answer: Deferred[bytes]) -> None:
        self._restore()

    def _end(self, result: bytes | NoAnswer) -> None:
        if self._restore():
            if isinstance(result, bytes):
                self.answer.callback(result)
            else:
                self.answer.errback(result)

    def _restore(self) -> bool:
        """
        Leave the terminal as it was, and say whether that was still to be done.
        """
        if not self.connected:
            return False
        self.connected = 0
        self._core.removeReader(self)
        if self._watchesContinue:
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
        if self._trigger is not None:
            self._core.removeSystemEventTrigger(self._trigger)
        try:
            if self._before is not None:
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
            if not self._echo:
                # The end of the line that was typed was not shown.
                os.write(self._descriptor, b"\n")
        except (OSError, termios.error):
            # The terminal hung up: there is nothing left to restore.
            pass
        finally:
            os.close(self._descriptor)
        return True
