"""
Row 83 of doc/weaknesses.rst, where it is about time.
"""

from __future__ import annotations

import hmac

from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.hostentries import HashedEntry
from conchlite.ssh.keys import Key


class HashTests(SynchronousTestCase):
    def test_constantTime(self) -> None:
        """
        Row 83: a hashed name is compared in constant time.
        """
        compared = []
        compare = hmac.compare_digest

        def recording(ours: bytes, theirs: bytes) -> bool:
            compared.append(theirs)
            return compare(ours, theirs)

        entry = HashedEntry.forHost(b"example.com", Key.generate("ed25519").public(), bytes)
        self.patch(hmac, "compare_digest", recording)
        self.assertTrue(entry.matchesHost(b"example.com"))
        self.assertFalse(entry.matchesHost(b"example.org"))
        self.assertEqual(compared, [entry.hostHash] * 2)
