"""
Pictures of keys, as ssh-keygen draws them.
"""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage
from conchlite.ssh.randomart import randomart
from conchlite.wire.types import packString
from tests.algorithms.keyvectors import keyText

#: A line with the key, and eleven of the picture.
LINES = 12


class RandomartTests(SynchronousTestCase):
    def test_asSSHKeygen(self):
        """
        Keys and certificates of every type, whose pictures ssh-keygen -lv of
        OpenSSH 9.2 has drawn.
        """
        lines = keyText("randomart").decode("ascii").splitlines()
        self.assertEqual(len(lines), 10 * LINES)
        for start in range(0, len(lines), LINES):
            _, encoded = lines[start].split()
            drawn = randomart(b64decode(encoded)).split("\n")
            self.assertEqual(drawn, lines[start + 1 : start + LINES], lines[start])

    def test_noKey(self):
        for blob in (b"", packString(b"ssh-unknown"), packString(b"ssh-ed25519")):
            self.assertRaises(MalformedMessage, randomart, blob)
