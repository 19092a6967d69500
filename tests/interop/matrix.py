"""
Every algorithm of the catalogue, one at a time, between any two peers.

C{python -m tests.interop.matrix} tries them all and prints a table of them.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SkipTest

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT, AlgorithmSet
from tests.interop.peers import SINCE, versionText

#: What is sent through C{cat}.
MEBIBYTE = 1024 * 1024
DATA = random.Random("through cat").randbytes(MEBIBYTE)

#: The test cases that have the matrix, with the names of their peers.
CASES = {
    "tests.interop.test_openssh_server.MatrixTests": "our client, sshd",
    "tests.interop.test_openssh_client.MatrixTests": "ssh, our server",
    "tests.interop.test_ourselves.MatrixTests": "our client, our server",
}


@dataclass(frozen=True)
class Cell:
    """
    One cell of the matrix.

    @ivar family: what kind of algorithm is forced.
    @ivar name: the algorithm, or two, that are forced.
    @ivar algorithms: what is offered: what is forced, and the defaults of the
        other families.
    """

    family: str
    name: str
    algorithms: AlgorithmSet

    def forces(self, family: str) -> bytes | None:
        """
        The algorithm that is forced in a family, if one is.

        @param family: as L{AlgorithmSet} names it.
        """
        forced = getattr(self.algorithms, family)
        return forced[0] if forced != getattr(CLIENT_DEFAULT, family) else None

    def options(self) -> dict[str, str]:
        """
        The options of ssh_config(5) and sshd_config(5) that force the same.
        """
        names = {
            "keyExchanges": "KexAlgorithms",
            "signatures": "HostKeyAlgorithms",
            "ciphers": "Ciphers",
            "macs": "MACs",
        }
        forced = {option: self.forces(family) for family, option in names.items()}
        return {option: name.decode("ascii") for option, name in forced.items() if name is not None}

    def lackedBy(self, version: tuple[int, int]) -> bool:
        """
        Whether an OpenSSH of this version does not have what is forced.
        """
        return version < SINCE.get(self.forces("keyExchanges"), (0, 0))

    def check(self, test, transport) -> None:
        """
        What is forced is what the connection runs on.
        """
        running = transport.currentEncryptions
        cipher, mac = self.forces("ciphers"), self.forces("macs")
        if cipher is not None:
            test.assertEqual((running.inCipType, running.outCipType), (cipher, cipher))
            if catalogue.cipher(cipher).hasOwnMAC:
                mac = b"none"
        if mac is not None:
            test.assertEqual((running.inMACType, running.outMACType), (mac, mac))
        if (keyExchange := self.forces("keyExchanges")) is not None:
            test.assertEqual(transport.kexAlg, keyExchange)
        if (signature := self.forces("signatures")) is not None:
            test.assertEqual(transport.keyAlg, signature)


def _cells() -> Iterator[Cell]:
    force = CLIENT_DEFAULT.replacing
    for cipher in CLIENT_DEFAULT.ciphers:
        if catalogue.cipher(cipher).hasOwnMAC:
            yield Cell("cipher", cipher.decode(), force(ciphers=(cipher,)))
        for mac in CLIENT_DEFAULT.macs:
            name = f"{cipher.decode()} {mac.decode()}"
            yield Cell("cipher", name, force(ciphers=(cipher,), macs=(mac,)))
    for keyExchange in CLIENT_DEFAULT.keyExchanges:
        yield Cell("key exchange", keyExchange.decode(), force(keyExchanges=(keyExchange,)))
    for signature in CLIENT_DEFAULT.signatures:
        yield Cell("host key", signature.decode(), force(signatures=(signature,)))


CELLS = tuple(_cells())


def everyAlgorithm(cls):
    """
    Give a test case a test for each cell, which calls its C{tryAlgorithms}
    with the cell. What that returns, if anything, is what the table says
    instead of C{ok}.
    """

    def testOf(cell: Cell):
        async def test(self) -> None:
            self.cell = cell
            offered = cell.algorithms.keyExchanges
            if not catalogue.available(offered):
                raise SkipTest(f"the installed cryptography has no {cell.name}")
            self.verdict = await self.tryAlgorithms(cell) or "ok"

        return test

    for cell in CELLS:
        name = "test_" + re.sub(r"\W+", "_", f"{cell.family} {cell.name}")
        test = testOf(cell)
        test.__name__ = name
        test.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, test)
    return cls


def notIn(version: tuple[int, int]) -> str:
    return f"not in {versionText(version)}"


def sha256(data: bytes) -> str:
    # Two mebibytes that differ would make a message that nobody can read.
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


def checkEcho(test, command, data: bytes = DATA) -> None:
    """
    A L{Command<tests.interop.ours.Command>} gave back what it was sent, and
    closed as it should.
    """
    test.assertIsNone(command.refusal)
    test.assertEqual(sha256(command.output), sha256(data))
    test.assertEqual(command.errors, b"")
    test.assertEqual((command.status, command.signal), (0, None))
    test.assertEqual((command.eofs, command.closes), (1, 1))


def _table() -> int:
    from twisted.trial.reporter import TestResult
    from twisted.trial.runner import TestLoader

    class Verdicts(TestResult):
        def __init__(self) -> None:
            super().__init__()
            self.table: dict[tuple[Cell, str], str] = {}

        def _note(self, test, verdict: str) -> None:
            # What could not even be loaded has no cell.
            if hasattr(test, "cell"):
                peers = CASES[f"{type(test).__module__}.{type(test).__qualname__}"]
                self.table.setdefault((test.cell, peers), verdict)

        def addSuccess(self, test):
            super().addSuccess(test)
            self._note(test, test.verdict)

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            self._note(test, "skipped")

        def addFailure(self, test, fail):
            super().addFailure(test, fail)
            self._note(test, "FAILED")

        def addError(self, test, error):
            super().addError(test, error)
            self._note(test, "FAILED")

    verdicts = Verdicts()
    # Where the tests leave their files.
    with TemporaryDirectory() as directory, chdir(directory):
        TestLoader().loadByNames(list(CASES)).run(verdicts)
    peers = list(CASES.values())
    rows = [["", *peers]]
    family = ""
    for cell in CELLS:
        if cell.family != family:
            family = cell.family
            rows.append([family + ":", *("" for _ in peers)])
        rows.append([cell.name, *(verdicts.table.get((cell, peer), "") for peer in peers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for test, problem in [*verdicts.failures, *verdicts.errors]:
        print(f"\n{test.id()}\n{problem}")
    return 0 if verdicts.wasSuccessful() else 1


if __name__ == "__main__":
    # As the module that the test modules import, of which there is one.
    from tests.interop.matrix import _table as table

    sys.exit(table())
