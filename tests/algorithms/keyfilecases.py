"""
Keys for the tests of key files, and what every format promises.
"""

from __future__ import annotations

import functools

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.keyfiles import lsh, openssh
from conchlite.algorithms.publickeys.signatures import packPublicKey
from conchlite.error import (
    BadKeyError,
    BadPassphrase,
    DamagedKey,
    UsageError,
)
from tests.algorithms.keyvectors import TYPES, keyText

NAMES = [name for name, *_ in TYPES]


@functools.cache
def privateKey(name: str):
    return openssh.PRIVATE.load(keyText(f"{name}.openssh"), None).key


@functools.cache
def lshKey():
    return lsh.PRIVATE.load(keyText("lsh.canonical"), None).key


def publicBlob(name: str) -> bytes:
    return packPublicKey(privateKey(name).public_key())


class KeyFileTestCase(SynchronousTestCase):
    """
    What every format promises.
    """

    def assertTruncationsRefused(self, keyFile, data: bytes, passphrase: bytes | None = None) -> None:
        """
        Cut anywhere, white space at the end aside, it is damaged.
        """
        keyFile.load(data, passphrase)
        for i in range(len(data.rstrip())):
            self.assertRaises(DamagedKey, keyFile.load, data[:i], passphrase)

    def assertUnencrypted(self, keyFile, data: bytes, key) -> None:
        """
        There is no passphrase on it, and none can be put there.
        """
        error = self.assertRaises(BadKeyError, keyFile.load, data, b"secret")
        self.assertIn("not encrypted", str(error))
        self.assertNotIsInstance(error, BadPassphrase)
        self.assertRaises(UsageError, keyFile.dump, key, b"", b"secret")
