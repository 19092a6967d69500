"""
Tests for L{conchlite.ssh.patterns}.
"""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import InvalidEntry
from conchlite.ssh.patterns import matchesList, matchesPattern, parseTime


class MatchesPatternTests(SynchronousTestCase):
    def test_matches(self) -> None:
        for name, pattern in [
            (b"a", b"a"),
            (b"", b""),
            (b"", b"*"),
            (b"host.example.com", b"*.example.com"),
            (b"host7", b"host?"),
            (b"aXbXc", b"a*b*c"),
            (b"*x", b"**"),
            (b"[h]:22", b"[*]:22"),
        ]:
            self.assertTrue(matchesPattern(name, pattern), (name, pattern))

    def test_doesNotMatch(self) -> None:
        for name, pattern in [
            (b"a", b""),
            (b"", b"?"),
            (b"example.com", b"*.example.com"),
            (b"host", b"host?"),
            (b"abc", b"a*d"),
            (b"a", b"[a]"),
        ]:
            self.assertFalse(matchesPattern(name, pattern), (name, pattern))

    def test_manyStars(self) -> None:
        """
        A pattern made to be tried in very many ways takes no longer than others.
        """
        self.assertFalse(matchesPattern(b"a" * 255, b"*a" * 100 + b"b"))


class MatchesListTests(SynchronousTestCase):
    def test_list(self):
        """
        One of the patterns has to fit, and none that is negated.
        """
        self.assertTrue(matchesList(b"a", b"b,a"))
        self.assertFalse(matchesList(b"a", b"a,!a"))
        self.assertFalse(matchesList(b"a", b""))


class ParseTimeTests(SynchronousTestCase):
    def test_universal(self) -> None:
        """
        With a Z it is UTC; seconds and the time of day may be left out.
        """
        for text in (b"20300102Z", b"203001020000Z", b"20300102000000z"):
            self.assertEqual(parseTime(text), 1893542400, text)

    def test_localTime(self) -> None:
        """
        Without a Z it is the time of this machine.
        """
        self.assertEqual(parseTime(b"203001021530"), time.mktime((2030, 1, 2, 15, 30, 0, 0, 0, -1)))

    def test_noTime(self) -> None:
        for text in (b"", b"Z", b"2030", b"20301301Z", b"2030010Z", b"2030-1-2"):
            self.assertRaises(InvalidEntry, parseTime, text)
