"""
A hundred channels on one connection, and everything at once.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.chaos import Scene


class ChaosTests(SynchronousTestCase):
    def test_nothingIsLost(self) -> None:
        """
        Writes, producers of both sorts, pauses, requests, key exchanges and
        ends of every kind on both sides: each byte and each answer comes,
        where it belongs, and nothing is left behind.
        """
        count: Counter[str] = Counter()
        for seed in range(3):
            count += Scene(seed).run()
        self.assertGreater(count["open"], 400)
        self.assertGreater(count["exchange"], 100)
        self.assertGreater(count["full"], 10)
        self.assertGreater(count["whole"], 400)

    def test_cut(self) -> None:
        """
        The connection is lost in the midst of it: everybody is told, once.
        """
        for seed in range(3, 5):
            Scene(seed, actions=2000).run(cut=True)
