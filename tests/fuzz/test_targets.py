"""
What can be fuzzed, with the corpus and with what is made of it.
"""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.targets import TARGETS

_CORPUS = Path(__file__).parent / "corpus"


class TargetTests(SynchronousTestCase):
    """
    Nothing but L{conchlite.error} comes of any bytes: a target raises when
    something else does.
    """

    def test_corpus(self) -> None:
        """
        Every target has a corpus, and takes it.
        """
        self.assertEqual(sorted(TARGETS), sorted(path.name for path in _CORPUS.iterdir()))
        for name, target in TARGETS.items():
            files = sorted((_CORPUS / name).iterdir())
            self.assertGreaterEqual(len(files), 2, name)
            for path in files:
                target(path.read_bytes())

    def test_changed(self) -> None:
        """
        The corpus with bytes changed, cut out and put in, always the same ones.
        """
        for name, target in TARGETS.items():
            chance = random.Random(name)
            files = [path.read_bytes() for path in sorted((_CORPUS / name).iterdir())]
            for _ in range(60):
                data = bytearray(chance.choice(files))
                for _ in range(chance.randint(1, 4)):
                    at = chance.randrange(len(data) + 1)
                    match chance.randrange(4):
                        case 0 if at < len(data):
                            data[at] ^= 1 << chance.randrange(8)
                        case 1:
                            del data[at : at + chance.randint(1, 8)]
                        case 2:
                            data[at:at] = chance.choice(
                                (bytes(4), b"\xff" * 4, b"\n", b"(", chance.randbytes(3))
                            )
                        case _:
                            data = data[:at] or bytearray(b"\x00")
                target(bytes(data))
