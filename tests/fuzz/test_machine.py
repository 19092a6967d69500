"""
Two ends and a meddler: the part that runs in the suite.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import machine


class MachineTests(SynchronousTestCase):
    def test_examples(self) -> None:
        """
        Two hundred examples of fifty steps, the same ones each time. Bytes
        sent are bytes received, or both ends end with an error.
        """
        before = machine.Machine.examples
        machine.run(200, 50, derandomize=True)
        self.assertGreaterEqual(machine.Machine.examples - before, 200)
        self.assertGreater(machine.Machine.disturbances, 40)
