"""
What a command prints, seen by a test.
"""

import os

from twisted.trial.unittest import SynchronousTestCase

from conchlite.commands import streams


class CapturingTestCase(SynchronousTestCase):
    """
    Standard output and standard error are files.
    """

    def setUp(self) -> None:
        super().setUp()
        self._files = {number: open(self.mktemp(), "w+b") for number in (1, 2)}  # noqa: SIM115
        for file in self._files.values():
            self.addCleanup(file.close)
        descriptors = {number: file.fileno() for number, file in self._files.items()}
        self.patch(streams, "standardDescriptor", descriptors.get)

    def printed(self, number: int = 1) -> str:
        """
        What was printed until now to standard output (1) or error (2).
        """
        descriptor = self._files[number].fileno()
        return os.pread(descriptor, 2**20, 0).decode("utf-8")
