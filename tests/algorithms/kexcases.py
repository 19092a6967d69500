"""
What every key exchange method without a choice of group is tested for.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest

from conchlite.algorithms import catalogue
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import Reader, packMPInt

# The u-coordinates of order 1, 2, 4 and 8 on the curve and on its twist, below
# 2^255 in each form that X25519 reads as one of them.
_FIELD = 2**255 - 19
_ORDER_EIGHT = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = (0, 1, *_ORDER_EIGHT, _FIELD - 1, _FIELD, _FIELD + 1)


class MethodTests:
    """
    What holds for every method.

    @cvar names: the method's names.
    @cvar hashName: its hash.
    @cvar sizes: of the client's and of the server's public value.
    """

    names: tuple[bytes, ...]
    hashName: str
    sizes: tuple[int, int]

    def setUp(self) -> None:
        if not catalogue.available(self.names):
            raise SkipTest("the installed cryptography cannot do it")
        self.method: Any = catalogue.keyExchange(self.names[0])

    def secretOf(self, packed: bytes) -> Any:
        """
        The secret as a number, which also says that it is packed as an mpint.
        """
        reader = Reader(packed)
        secret = reader.mpint()
        reader.end()
        self.assertEqual(packed, packMPInt(secret))
        return secret

    def test_names(self) -> None:
        """
        All the names stand for the one method; its hash is the one the RFC says.
        """
        for name in self.names:
            self.assertIs(catalogue.keyExchange(name), self.method)
        self.assertEqual(self.method.hashName, self.hashName)
        self.assertIs(self.method.choosesGroup, False)

    def test_bothAgree(self) -> None:
        """
        Both sides come to one secret, each time to another.
        """
        secrets = set()
        for _ in range(3):
            clientPublic, private = self.method.keypair()
            serverPublic, secret = self.method.encapsulate(clientPublic)
            self.assertEqual((len(clientPublic), len(serverPublic)), self.sizes)
            self.assertEqual(self.method.decapsulate(private, serverPublic), secret)
            self.secretOf(secret)
            secrets |= {secret, clientPublic, serverPublic}
        self.assertEqual(len(secrets), 9)

    def assertRefused(self, clientPublic: bytes | None, serverPublic: bytes | None) -> None:
        """
        Neither side takes the value.
        """
        if clientPublic is not None:
            with self.assertRaises(KeyExchangeFailed) as caught:
                self.method.encapsulate(clientPublic)
            self.assertEqual(caught.exception.reason, 3)
        if serverPublic is not None:
            _, private = self.method.keypair()
            with self.assertRaises(KeyExchangeFailed) as caught:
                self.method.decapsulate(private, serverPublic)
            self.assertEqual(caught.exception.reason, 3)

    def test_lengths(self) -> None:
        """
        Row 34: a public value of another length is refused, in both roles.
        """
        clientPublic, _ = self.method.keypair()
        serverPublic, _ = self.method.encapsulate(clientPublic)
        lengths = {0, 1, 31, 32, 33, 55, 56, 57, 64, 65, 66, 96, 97, 133}
        for expected in self.sizes:
            lengths |= {expected - 32, expected - 1, expected, expected + 1}
        for size in sorted(lengths):
            self.assertRefused(
                (clientPublic * 40)[:size] if size != len(clientPublic) else None,
                (serverPublic * 40)[:size] if size != len(serverPublic) else None,
            )

    def test_anyBytes(self) -> None:
        """
        Whatever a peer sends ends in a secret or in L{KeyExchangeFailed}.
        """
        _, private = self.method.keypair()
        clientSize, serverSize = self.sizes

        @settings(max_examples=25, deadline=None, database=None)
        @given(
            st.binary(max_size=8) | st.binary(min_size=clientSize, max_size=clientSize),
            st.binary(max_size=8) | st.binary(min_size=serverSize, max_size=serverSize),
        )
        def check(clientPublic: bytes, serverPublic: bytes) -> None:
            for attempt in (
                lambda: self.method.encapsulate(clientPublic)[1],
                lambda: self.method.decapsulate(private, serverPublic),
            ):
                try:
                    secret = attempt()
                except KeyExchangeFailed:
                    continue
                self.assertIsInstance(secret, bytes)

        check()
