"""
Row 83 of doc/weaknesses.rst, where it is about time, and about size.
"""

from __future__ import annotations

import hmac

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.hostentries import HashedEntry
from conchlite.client.knownhosts import MAXIMUM_LINE_SIZE, KnownHostsFile
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


class LineTests(SynchronousTestCase):
    def test_longLine(self) -> None:
        """
        Row 83: a line of more than a mebibyte is passed over, and hides
        nothing behind it.
        """
        self.assertEqual(MAXIMUM_LINE_SIZE, 2**20)
        key = Key.generate("ed25519").public()
        line = HashedEntry.forHost(b"example.com", key, bytes).toString()
        path = FilePath(self.mktemp())
        path.setContent(line + b" " + bytes(MAXIMUM_LINE_SIZE) + b"\n" + line + b"\n")
        found = [number for number, _ in KnownHostsFile.fromPath(path).entriesFor(b"example.com")]
        self.assertEqual(found, [2])
