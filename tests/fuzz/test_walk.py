"""
Hostile peers that walk at random: the part that runs in the suite.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.walk import Walk


class WalkTests(SynchronousTestCase):
    def test_walks(self) -> None:
        """
        Two thousand walks from fixed seeds: the target stays healthy, or ends
        with an error of ours; nothing waits, and nothing is logged as our bug.
        """
        outcomes = Counter(Walk(seed).run() for seed in range(2000))
        # They get far enough to be refused for many reasons, and for none.
        self.assertGreater(outcomes["healthy"], 100)
        self.assertGreater(outcomes["UnexpectedMessage"], 100)
        self.assertGreater(outcomes["MalformedMessage"], 100)
        self.assertGreater(outcomes["BadPacketLength"], 50)
