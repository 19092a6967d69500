"""
Every algorithm of the catalogue, one at a time, with every peer.

C{python -m tests.interop.matrix} tries them all and prints a table of them;
with C{--write} it keeps the table in C{doc/interop.rst}.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twisted.trial.unittest import SkipTest

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT, AlgorithmSet
from conchlite.wire.transport import KexInit

#: What is sent through C{cat}.
MEBIBYTE = 1024 * 1024
DATA = random.Random("through cat").randbytes(MEBIBYTE)


def _everything() -> AlgorithmSet:
    """
    All that the catalogue has: the defaults first, then what is there for those
    who ask for it.
    """

    def all(preferred: tuple[bytes, ...], others: Collection[bytes]) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys((*preferred, *others)))

    signatures = [
        algorithm
        for name in catalogue.keyTypes()
        for algorithm in catalogue.keyType(name).signatureAlgorithms
    ]
    return AlgorithmSet(
        all(CLIENT_DEFAULT.keyExchanges, catalogue.keyExchanges()),
        # Only a device signs with the rest.
        tuple(
            name for name in all(CLIENT_DEFAULT.signatures, signatures) if not catalogue.isSecurityKey(name)
        ),
        all(CLIENT_DEFAULT.ciphers, catalogue.ciphers()),
        all(CLIENT_DEFAULT.macs, catalogue.macs()),
        all(CLIENT_DEFAULT.compressions, catalogue.compressions()),
    )


EVERYTHING = _everything()

#: Ciphers that want a MAC.
_PLAIN_CIPHERS = tuple(name for name in EVERYTHING.ciphers if not catalogue.cipher(name).hasOwnMAC)


@dataclass(frozen=True)
class Cell:
    """
    One cell of the matrix.

    @ivar family: what kind of algorithm is forced.
    @ivar name: the algorithm, or two, that are forced.
    @ivar forced: by the family as L{AlgorithmSet} names it, the algorithm that
        our side offers alone; C{"userSignatures"} is a family too.
    """

    family: str
    name: str
    forced: tuple[tuple[str, bytes], ...]

    @property
    def algorithms(self) -> AlgorithmSet:
        """
        What our side offers: what is forced, and everything in the other
        families.
        """
        families = {family: (name,) for family, name in self.forced if family != "userSignatures"}
        if "macs" in families:
            families.setdefault("ciphers", _PLAIN_CIPHERS)
        return EVERYTHING.replacing(**families)

    @property
    def userSignatures(self) -> tuple[bytes, ...]:
        """
        What users may sign with.
        """
        forced = self.forces("userSignatures")
        return EVERYTHING.signatures if forced is None else (forced,)

    def forces(self, family: str) -> bytes | None:
        """
        The algorithm that is forced in a family, if one is.

        @param family: as L{AlgorithmSet} names it.
        """
        return dict(self.forced).get(family)

    def lackedBy(self, offer: KexInit, userSignatures: Collection[bytes]) -> bool:
        """
        Whether a peer does not have what is forced.

        @param offer: what the peer has.
        @param userSignatures: what users can sign with there.
        """
        has: Mapping[str, Sequence[Collection[bytes]]] = {
            "keyExchanges": [offer.kexAlgorithms],
            "signatures": [offer.serverHostKeyAlgorithms],
            "ciphers": [offer.encryptionAlgorithmsClientToServer, offer.encryptionAlgorithmsServerToClient],
            "macs": [offer.macAlgorithmsClientToServer, offer.macAlgorithmsServerToClient],
            "compressions": [
                offer.compressionAlgorithmsClientToServer,
                offer.compressionAlgorithmsServerToClient,
            ],
            "userSignatures": [userSignatures],
        }
        if self.forces("macs") and any(set(_PLAIN_CIPHERS).isdisjoint(names) for names in has["ciphers"]):
            # TinySSH lists a MAC, and no cipher that wants one.
            return True
        return any(name not in names for family, name in self.forced for names in has[family])

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
        if (compression := self.forces("compressions")) is not None:
            compressions = (transport.incomingCompressionType, transport.outgoingCompressionType)
            test.assertEqual(compressions, (compression, compression))


def _cells() -> Iterator[Cell]:
    families = {
        "key exchange": "keyExchanges",
        "cipher": "ciphers",
        "MAC": "macs",
        "host key": "signatures",
        "user key": "userSignatures",
        "compression": "compressions",
    }
    for title, family in families.items():
        for name in getattr(EVERYTHING, "signatures" if family == "userSignatures" else family):
            if name != b"none":
                yield Cell(title, name.decode(), ((family, name),))


def _pairs() -> Iterator[Cell]:
    for cipher in (name for name in CLIENT_DEFAULT.ciphers if name in _PLAIN_CIPHERS):
        for mac in CLIENT_DEFAULT.macs:
            name = f"{cipher.decode()} {mac.decode()}"
            yield Cell("cipher and MAC", name, (("ciphers", cipher), ("macs", mac)))


#: One for each algorithm.
CELLS = tuple(_cells())

#: One for each cipher with each MAC, of those that are on by default.
PAIRS = tuple(_pairs())


def everyAlgorithm(cells: Sequence[Cell] = CELLS):
    """
    Give a test case a test for each cell, which calls its C{tryAlgorithms}
    with the cell. What that returns, if anything, is what the table says
    instead of C{ok}.
    """

    def testOf(cell: Cell):
        async def test(self) -> None:
            self.cell = cell
            keyExchange = cell.forces("keyExchanges")
            if keyExchange and not catalogue.available((keyExchange,)):
                raise SkipTest(f"the installed cryptography has no {cell.name}")
            self.verdict = await self.tryAlgorithms(cell) or "ok"

        return test

    def decorate(cls):
        for cell in cells:
            name = "test_" + re.sub(r"\W+", "_", f"{cell.family} {cell.name}")
            test = testOf(cell)
            test.__name__ = name
            test.__qualname__ = f"{cls.__qualname__}.{name}"
            assert not hasattr(cls, name), name
            setattr(cls, name, test)
        return cls

    return decorate


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


if __name__ == "__main__":
    from tests.interop.table import main

    sys.exit(main(sys.argv[1:]))
