"""
Tests for L{conchlite.ssh.lograte}.
"""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from conchlite.limits import MAXIMUM_LOG_LINES
from conchlite.ssh.lograte import LogRate


class LogRateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rate = LogRate()

    def permitted(self, address: str, now: float, times: int) -> int:
        return [self.rate.permits(address, now) for _ in range(times)].count(True)

    def test_perAddress(self) -> None:
        self.assertEqual(MAXIMUM_LOG_LINES, self.permitted("a", 0.5, 100))
        self.assertEqual(3, self.permitted("b", 0.5, 3))

    def test_perSecond(self) -> None:
        """
        Each second has its lines, and the summary of the one before.
        """
        self.permitted("a", 0.0, 100)
        with capturedLogs() as logged:
            self.assertEqual(MAXIMUM_LOG_LINES, self.permitted("a", 1.0, 100))
        self.assertEqual(
            ["left out 80 lines about a"], [event["log_format"].format(**event) for event in logged]
        )

    def test_several(self) -> None:
        """
        The summary is one line, however many it is about.
        """
        for address in "abc":
            self.permitted(address, 0.0, 30)
        with capturedLogs() as logged:
            self.rate.stop()
            self.rate.stop()
        self.assertEqual(
            ["left out 30 lines about a and 2 others"],
            [event["log_format"].format(**event) for event in logged],
        )

    def test_manyAddresses(self) -> None:
        """
        A flood from everywhere takes no more memory, and writes no more than
        so many addresses may.
        """
        permitted = sum(self.permitted(str(number), 0.0, 1) for number in range(10_000))
        self.assertEqual(1024 + MAXIMUM_LOG_LINES, permitted)
