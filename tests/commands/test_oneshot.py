"""
Tests for L{conchlite.commands.oneshot}.
"""

import atexit
import io
import os
import signal
import sys

from twisted.application.service import Application
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher

from conchlite.commands import oneshot
from conchlite.commands.oneshot import STATUS_DEFECT, OneShotOptions, OneShotService
from conchlite.error import ConchError
from tests.commands.capture import CapturingTestCase


class FakeReactor:
    """
    Runs what is to run when it runs, and counts how often it is stopped.
    """

    def __init__(self) -> None:
        self.starting: list[object] = []
        self.stopped = 0

    def callWhenRunning(self, function: object) -> None:
        self.starting.append(function)

    def callFromThread(self, function: object, *arguments: object) -> None:
        function(*arguments)

    def run(self) -> None:
        for function in self.starting:
            function()

    def stop(self) -> None:
        self.stopped += 1
        if self.stopped > 1:
            raise ReactorNotRunning()


class OneShotServiceTests(CapturingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.options = OneShotOptions()
        self.options.parseOptions([])
        self.handlers: dict[int, object] = {}
        self.ignored: set[int] = set()
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(
            signal,
            "getsignal",
            lambda number: signal.SIG_IGN if number in self.ignored else signal.SIG_DFL,
        )
        self.atExit: list[tuple[object, ...]] = []
        self.patch(atexit, "register", lambda *call: self.atExit.append(call))

    def start(self, result: Deferred[int]) -> OneShotService:
        service = OneShotService(self.options, self.reactor, lambda: result, 255)
        service.startService()
        self.assertIsNone(service.status)
        self.reactor.run()
        return service

    def test_status(self) -> None:
        service = self.start(succeed(7))
        self.assertEqual(service.status, 7)
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(self.printed(2), "")
        self.assertEqual(self.atExit, [])

    def test_later(self) -> None:
        result: Deferred[int] = Deferred()
        service = self.start(result)
        self.assertEqual((service.status, self.reactor.stopped), (None, 0))
        result.callback(0)
        self.assertEqual((service.status, self.reactor.stopped), (0, 1))

    def test_hosted(self) -> None:
        """
        Where another program returns, the status is given by an exit function.
        """
        self.options.hosted = True
        self.start(succeed(7))
        self.assertEqual(self.atExit, [(oneshot.exitNow, 7)])

    def test_hostedSuccess(self) -> None:
        self.options.hosted = True
        self.start(succeed(0))
        self.assertEqual(self.atExit, [])

    def test_failed(self) -> None:
        """
        What a person can understand is one line.
        """
        service = self.start(fail(ConchError("no such host")))
        self.assertEqual(service.status, 255)
        self.assertEqual(self.printed(2), "conchlite: no such host\n")
        self.assertEqual(self.reactor.stopped, 1)

    def test_defect(self) -> None:
        """
        Anything else is ours, and goes with its traceback into the log.
        """
        service = self.start(fail(ZeroDivisionError()))
        self.assertEqual(service.status, STATUS_DEFECT)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.reactor.stopped, 1)

    def test_nobodyReads(self) -> None:
        """
        As with any program in a pipe: it ends, without a word.
        """
        service = self.start(fail(BrokenPipeError()))
        self.assertEqual((service.status, self.reactor.stopped), (128 + signal.SIGPIPE, 1))
        self.assertEqual(self.printed(2), "")

    def test_raised(self) -> None:
        def work() -> Deferred[int]:
            raise ConchError("at once")

        service = OneShotService(self.options, self.reactor, work, 1)
        service.startService()
        self.reactor.run()
        self.assertEqual((service.status, self.reactor.stopped), (1, 1))

    def test_interrupted(self) -> None:
        """
        A signal cancels the work, and is the status whatever comes of that.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.reactor = FakeReactor()
            result: Deferred[int] = Deferred()
            failures: list[object] = []
            service = self.start(result)
            result.addErrback(failures.append)
            self.handlers[number](number, None)
            self.assertEqual(service.status, 128 + number)
            self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(self.printed(2), "")

    def test_interruptedTwice(self) -> None:
        """
        Whoever cleans up is not waited for the second time.
        """
        closing: Deferred[None] = Deferred()

        async def work() -> int:
            try:
                await Deferred()
            except CancelledError:
                await closing
            return 0

        service = self.start(Deferred.fromCoroutine(work()))
        self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(self.reactor.stopped, 0)
        self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(service.status, 130)
        closing.callback(None)
        self.assertEqual(service.status, 130)

    def test_ignoredSignal(self) -> None:
        """
        What nohup has ignored stays ignored.
        """
        self.ignored = {signal.SIGHUP}
        self.start(Deferred())
        self.assertEqual(sorted(self.handlers), [signal.SIGINT, signal.SIGTERM])

    def test_stoppedByOthers(self) -> None:
        """
        When something else stops the reactor, the work is cancelled, and was no success.
        """
        service = self.start(Deferred())
        service.stopService()
        self.assertEqual(service.status, 255)

    def test_stoppedAfterwards(self) -> None:
        service = self.start(succeed(3))
        service.stopService()
        self.assertEqual(service.status, 3)

    def test_twistdLogs(self) -> None:
        """
        twistd's log is a command's, unless twistd was asked for another.
        """
        for wanted in (True, False):
            self.patch(OneShotOptions, "logsByItself", wanted)
            service = OneShotService(self.options, self.reactor, lambda: succeed(0), 1)
            application = Application("conchlite")
            service.setServiceParent(application)
            self.assertEqual(application.getComponent(ILogObserver, None) is not None, wanted)


class LogObserverTests(CapturingTestCase):
    def log(self, *arguments: str) -> str:
        options = OneShotOptions()
        options.parseOptions(list(arguments))
        file = io.StringIO()
        publisher = LogPublisher(options.logObserver(file))
        log = Logger(observer=publisher)
        for level in LogLevel.iterconstants():
            log.emit(level, "an event of level {log_level.name}")
        return file.getvalue()

    def test_quiet(self) -> None:
        """
        What is no defect of ours is not shown.
        """
        self.assertEqual(self.log().count("an event"), 1)
        self.assertIn("level critical", self.log())

    def test_verbose(self) -> None:
        for flag in ("-v", "--verbose"):
            self.assertEqual(self.log(flag).count("an event"), len(list(LogLevel.iterconstants())))


class ExitNowTests(CapturingTestCase):
    def test_flushed(self) -> None:
        """
        What Python's own streams hold is not lost, and a stream that fails
        does not change the status.
        """

        class Stream:
            flushed = False

            def flush(self) -> None:
                self.flushed = True
                raise OSError("broken pipe")

        statuses: list[int] = []
        stream = Stream()
        self.patch(os, "_exit", statuses.append)
        self.patch(sys, "__stdout__", stream)
        self.patch(sys, "__stderr__", None)
        oneshot.exitNow(9)
        self.assertEqual((statuses, stream.flushed), ([9], True))
