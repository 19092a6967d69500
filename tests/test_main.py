"""
Tests for L{conchlite.__main__}. That it leads to the command line,
C{tests/test_packaging.py} tries.
"""

import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

import conchlite
from conchlite import tap
from conchlite.__main__ import main


class MainTests(SynchronousTestCase):
    def test_status(self) -> None:
        self.patch(tap, "main", lambda: 7)
        self.assertEqual(main(), 7)

    def test_interrupted(self) -> None:
        """
        Ctrl-C before the command begins is the status that a shell gives it.
        """

        def interrupted() -> int:
            raise KeyboardInterrupt

        self.patch(tap, "main", interrupted)
        self.assertEqual(main(), 130)

    def test_interruptedImport(self) -> None:
        """
        So it is while the modules are still being imported.
        """

        class Interrupting:
            def find_spec(self, name: str, path: object, target: object = None) -> None:
                raise KeyboardInterrupt

        self.patch(sys, "meta_path", [Interrupting()])
        self.addCleanup(setattr, conchlite, "tap", tap)
        with mock.patch.dict(sys.modules):
            # As if it had not been imported before.
            del sys.modules["conchlite.tap"], conchlite.tap
            self.assertEqual(main(), 130)
