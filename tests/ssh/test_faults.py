"""
Whole sessions on a connection that ends, or that comes in pieces.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.cuts import DATA, Session, lengths
from tests.fuzz.recording import MODES


class TruncationTests(SynchronousTestCase):
    """
    The connection is gone behind any byte that either side has sent: both ends
    end with an error of ours, every Deferred has fired, no timer is left, the
    user is logged out, and what arrived is the beginning of what was sent.
    """

    def check(self, sender: int) -> None:
        length = lengths()[sender]
        self.assertGreater(length, 4000)
        # The first bytes and the last ones, and some of those between them.
        positions = sorted({*range(100), *range(100, length, 7), *range(length - 100, length)})
        for position in positions:
            session = Session()
            session.run(cut=(sender, position))
            reason = session.check()
            # The last that is sent is the client's DISCONNECT.
            if position < length - 200:
                self.assertEqual("ConnectionEnded", reason, position)

    def test_client(self) -> None:
        """
        Counted in what the client sends.
        """
        self.check(0)

    def test_server(self) -> None:
        """
        Counted in what the server sends.
        """
        self.check(1)


class FragmentationTests(SynchronousTestCase):
    def test_everyMode(self) -> None:
        """
        One byte at a time, one to sixteen, and as much as there is: the same
        session, in each way to protect packets.
        """
        for mode, algorithms in MODES.items():
            chance = random.Random(mode)
            for size in (lambda: 1, lambda chance=chance: chance.randint(1, 16), lambda: 65536):
                session = Session(
                    supportedCiphers=list(algorithms.ciphers), supportedMACs=list(algorithms.macs)
                )
                session.run(size)
                self.assertEqual("Disconnected", session.check(), mode)
                self.assertEqual((DATA, b"started"), (session.channel.received, session.channel.errors))
                self.assertEqual(["closed"], session.channel.ends)
