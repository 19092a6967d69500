"""
Commands that do one thing and end, whoever runs the reactor.

C{twistd} and C{twist} are made for daemons: they fork, write a pid file, log to
standard output, and have no way to return a status. A command of this module
asks them for none of that, and is as the console script C{conchlite} has it:

  - it stays in the foreground, and writes no pid file;
  - its standard output is its own;
  - on standard error there are lines for a person, and the log only with C{--verbose};
  - its exit status is what it says.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, ClassVar, NoReturn, TextIO

from twisted.application.service import Service
from twisted.copyright import version as twistedVersion
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorThreads, IReactorTime, IReactorUNIX
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    textFileLogObserver,
)
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from conchlite import __version__ as conchliteVersion
from conchlite.client.terminal import ITerminalReactor
from conchlite.commands.streams import complain, writeLine
from conchlite.error import ConchError

if TYPE_CHECKING:
    from twisted.application.service import IServiceCollection

#: The status of a command line that cannot be understood: EX_USAGE of sysexits.h.
STATUS_USAGE = 64

#: The status of a command that ended by a defect of ours: EX_SOFTWARE.
STATUS_DEFECT = 70

#: The status of a command whose output nobody reads any more.
STATUS_BROKEN_PIPE = 128 + signal.SIGPIPE


class ICommandReactor(ITerminalReactor, IReactorTime, IReactorThreads, IReactorUNIX):
    """
    What a command asks of the reactor: all of it, on POSIX.
    """


class CommandLine(usage.Options):
    """
    Options that explain themselves on standard output, even where nobody reads
    all of it.
    """

    # Without it, usage shows the docstring of whatever program is running.
    longdesc = ""

    def __init__(self) -> None:
        usage.Options.__init__(self)

    def opt_help(self) -> NoReturn:
        """
        Print this help and exit.
        """
        _explain(str(self))

    def opt_version(self) -> NoReturn:
        """
        Print the version and exit.
        """
        _explain(f"conchlite {conchliteVersion} (Twisted {twistedVersion})")


def _explain(text: str) -> NoReturn:
    try:
        writeLine(text.rstrip())
    except OSError as e:
        raise SystemExit(1) from e
    raise SystemExit(0)


class OneShotOptions(CommandLine):
    """
    The options of a command that does one thing and ends.

    @ivar hosted: whether twistd or twist runs the reactor, and not we.
    """

    optFlags: ClassVar[list[list[str | None]]] = [["verbose", "v", "Show the log on standard error."]]

    hosted = False

    def postOptions(self) -> None:
        """
        Ask the program that hosts us to be one that runs a command. What its
        user asked it for by an option of its own remains.
        """
        host = self._host
        if host is None:
            return
        self.hosted = True
        if "nodaemon" in host:
            host["nodaemon"] = True
            if host["pidfile"] == "twistd.pid":
                host["pidfile"] = ""
        if host.get("logFile") is sys.stdout:
            host["logFile"] = sys.stderr
            host["fileLogObserverFactory"] = self.logObserver

    @property
    def _host(self) -> usage.Options | None:
        return self.parent.parent if self.parent is not None else None

    @property
    def logsByItself(self) -> bool:
        """
        Whether our own log is wanted, and the host was not asked for another.
        """
        host = self._host
        return host is None or not any(host.get(name) for name in ("logfile", "logger", "syslog"))

    def logObserver(self, file: TextIO) -> ILogObserver:
        """
        What shows the log: all of it for C{--verbose}, else our own defects alone.
        """
        level = LogLevel.debug if self["verbose"] else LogLevel.critical
        predicate = LogLevelFilterPredicate(defaultLogLevel=level)
        return FilteringLogObserver(textFileLogObserver(file), [predicate])


class OneShotService(Service):
    """
    Does a command's work, then stops the reactor.

    @ivar status: the exit status, or L{None} as long as it is not known.
    """

    _log = Logger()

    status: int | None = None

    def __init__(
        self,
        options: OneShotOptions,
        reactor: ICommandReactor,
        work: Callable[[], Deferred[int]],
        failedStatus: int,
    ) -> None:
        """
        @param work: does the work when the reactor runs; fires with the exit
            status. It is cancelled when the command is interrupted.
        @param failedStatus: the exit status where it fails with a
            L{ConchError}, whose text is shown to a person. L{BrokenPipeError}
            is L{STATUS_BROKEN_PIPE}, and anything else L{STATUS_DEFECT}.
        """
        self._options = options
        self._reactor = reactor
        self._work = work
        self._failedStatus = failedStatus
        self._working: Deferred[None] | None = None

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """
        Have twistd log where a command logs.
        """
        Service.setServiceParent(self, parent)
        if self._options.logsByItself and isinstance(parent, Componentized):
            Componentized.setComponent(parent, ILogObserver, self._options.logObserver(sys.stderr))

    def startService(self) -> None:
        """
        Begin as soon as the reactor runs.
        """
        Service.startService(self)
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        # Twisted's own handlers would make twistd kill itself with the signal,
        # past every exit function.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Whoever starts us with a signal ignored, as nohup does, means it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signalled)
        self._working = maybeDeferred(self._work).addCallbacks(self._done, self._failed)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._interrupt, number)

    def _interrupt(self, number: int) -> None:
        again = self.status is not None
        self.status = 128 + number
        working = self._working
        if again or working is None or working.called:
            self._stop()
        else:
            working.cancel()

    def _done(self, status: int) -> None:
        if self.status is None:
            self.status = status
        self._stop()

    def _failed(self, failure: Failure) -> None:
        if self.status is None:
            if failure.check(ConchError):
                complain(str(failure.value))
                self.status = self._failedStatus
            elif failure.check(BrokenPipeError):
                # Python ignores SIGPIPE, which would have ended another program.
                self.status = STATUS_BROKEN_PIPE
            else:
                self._log.failure("the command failed by a defect of conchlite", failure)
                self.status = STATUS_DEFECT
        self._stop()

    def _stop(self) -> None:
        if self._options.hosted and self.status:
            # Nothing that a callback or a shutdown trigger may raise reaches
            # the status of a process that twistd or twist runs.
            atexit.register(exitNow, self.status)
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            # Something else has stopped it already.
            pass

    def stopService(self) -> None:
        """
        Cancel what is still to be done, where something else stops the reactor.
        """
        Service.stopService(self)
        working, self._working = self._working, None
        if working is not None and not working.called:
            self.status = self.status if self.status is not None else self._failedStatus
            working.cancel()


def exitNow(status: int) -> NoReturn:
    """
    End the process with this status, from an exit function.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # Nobody reads it any more.
            pass
    os._exit(status)
