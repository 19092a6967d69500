"""
Finite field Diffie-Hellman: rows 37 and 38.
"""

from __future__ import annotations

import importlib
import sys
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.kex import finitefield, groupexchange, groups
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import mpintBytes, packMPInt
from tests.algorithms.vectors import vectors

_METHODS = {
    b"diffie-hellman-group14-sha256": (2048, "sha256"),
    b"diffie-hellman-group16-sha512": (4096, "sha512"),
    b"diffie-hellman-group18-sha512": (8192, "sha512"),
    b"diffie-hellman-group14-sha1": (2048, "sha1"),
    b"diffie-hellman-group1-sha1": (1024, "sha1"),
}


class GroupTests(SynchronousTestCase):
    """
    Tests for L{groups}.
    """

    def test_primes(self) -> None:
        """
        The primes that the formula gives are those that RFC 3526 prints.
        """
        published = {int(v["prime"], 16).bit_length(): int(v["prime"], 16) for v in vectors("rfc3526")}
        self.assertEqual(len(published), 5)
        self.assertEqual({bits: group.prime for bits, group in groups.RFC3526.items()}, published)
        self.assertEqual({group.generator for group in groups.RFC3526.values()}, {2})

    def test_oakleyGroup(self) -> None:
        """
        Group 1 is the Second Oakley Group as RFC 2409 section 6.2 prints it,
        and in no table (row 38).
        """
        (published,) = vectors("rfc2409")
        group = groups.oakleyGroup()
        self.assertEqual(
            (group.prime, group.generator), (int(published["prime"], 16), published["generator"])
        )
        self.assertEqual(group.bits, 1024)
        self.assertNotIn(1024, groups.RFC3526)

    def test_groupOf(self) -> None:
        """
        A group of RFC 3526 is recognized by its numbers, another is not taken
        for one.
        """
        known = groups.RFC3526[2048]
        self.assertIs(groups.groupOf(known.prime, 2), known)
        for prime, generator in ((known.prime, 3), (known.prime - 2, 2), (2**2500 + 1, 2)):
            group = groups.groupOf(prime, generator)
            self.assertIsInstance(group, groups.OtherGroup)
            self.assertEqual((group.prime, group.generator), (prime, generator))

    def test_judge(self) -> None:
        """
        Of the numbers with four bits set or more, 2 to p - 2 are good.
        """
        prime = groups.RFC3526[2048].prime
        for value in (15, 2**1024 - 1, prime - 3, prime - 2):
            groups.judge(value, prime)
        for value in (-15, 0, 1, 2, 14, prime - 1, prime, prime + 2, 2 * prime):
            self.assertRaises(KeyExchangeFailed, groups.judge, value, prime)

    def test_halves(self) -> None:
        """
        C{cryptography} and C{pow} agree on the secret.
        """
        group = groups.RFC3526[2048]
        one = group.half()
        other = groups.PowHalf(group, groups.newExponent(2048))
        self.assertNotIsInstance(one, groups.PowHalf)
        self.assertEqual(one.agree(other.public), other.agree(one.public))

    def test_exponents(self) -> None:
        """
        An exponent is as long as RFC 3526 section 8 wants it, never trivial,
        and never the same twice.
        """
        for bits, size in ((2048, 320), (3072, 420), (3073, 480), (8192, 620), (16384, 620)):
            drawn = {groups.newExponent(bits) for _ in range(50)}
            self.assertEqual(len(drawn), 50)
            self.assertTrue(all(1 < exponent <= 2**size + 1 for exponent in drawn))
            self.assertGreater(max(drawn).bit_length(), size - 12)

    def test_otherVectors(self) -> None:
        """
        RFC 5114's vectors, in groups that OpenSSL would want to judge first.
        """
        for vector in vectors("rfc5114"):
            number = {name: int(text, 16) for name, text in vector.items()}
            group = groups.OtherGroup(number["prime"], number["generator"])
            half = groups.PowHalf(group, number["private"])
            self.assertEqual(half.public, number["public"])
            method = finitefield.FiniteField("sha256", group)
            secret = method.decapsulate(half, mpintBytes(number["peerPublic"]))
            self.assertEqual(secret, packMPInt(number["shared"]))

    def forget(self) -> None:
        """
        Have the next exchange look for C{cryptography}'s Diffie-Hellman again.
        """
        groups._libraryHalf.cache_clear()
        sys.modules.pop("conchlite.algorithms.kex.librarydh", None)

    def test_withoutTheLibrary(self) -> None:
        """
        The exchange works where C{cryptography} has no finite fields any more.
        """
        self.addCleanup(self.forget)
        self.forget()
        name = "cryptography.hazmat.primitives.asymmetric.dh"
        self.addCleanup(sys.modules.__setitem__, name, importlib.import_module(name))
        # What the import system takes for: there is no such module.
        sys.modules[name] = None
        method = catalogue.keyExchange(b"diffie-hellman-group14-sha256")
        clientPublic, private = method.keypair()
        self.assertIsInstance(private, groups.PowHalf)
        serverPublic, secret = method.encapsulate(clientPublic)
        self.assertEqual(method.decapsulate(private, serverPublic), secret)

    def test_noWarning(self) -> None:
        """
        Nobody is told that C{cryptography} deprecates what we use.
        """
        self.addCleanup(self.forget)
        self.forget()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            half = groups.RFC3526[2048].half()
            self.assertGreater(half.agree(half.public), 1)


class FiniteFieldTests(SynchronousTestCase):
    """
    Tests for the methods with a fixed group.
    """

    def test_bothAgree(self) -> None:
        """
        Both sides come to one secret, in the group and with the hash that the
        name says.
        """
        for name, (bits, hashName) in _METHODS.items():
            method = catalogue.keyExchange(name)
            self.assertEqual(method.hashName, hashName)
            self.assertIs(method.choosesGroup, False)
            clientPublic, private = method.keypair()
            serverPublic, secret = method.encapsulate(clientPublic)
            self.assertEqual(method.decapsulate(private, serverPublic), secret)
            for public in (clientPublic, serverPublic):
                value = int.from_bytes(public, "big", signed=True)
                self.assertEqual(mpintBytes(value), public)
                self.assertTrue(bits - 64 < value.bit_length() <= bits)

    def badValues(self, prime: int) -> list[bytes]:
        few = [1 << n for n in (1, 5, 1000, 2046)]
        few += [3, 6, 7, 0b1110000, (1 << 2046) | (1 << 1024) | 1]
        numbers = [0, 1, prime - 1, prime, prime + 1, prime + 2**64, 2 * prime, -1, -2, -(2**64) + 5]
        numbers += [-(prime // 2), 2 - prime, *few]
        encoded = [mpintBytes(number) for number in numbers]
        # Without the zero before it, a number whose highest bit is set is negative.
        return [
            *encoded,
            (prime - 3).to_bytes(prime.bit_length() // 8, "big"),
            b"\0",
            b"\0" * 300,
            b"\xff" * 257,
        ]

    def test_badValues(self) -> None:
        """
        Row 37: what lies outside 1 to p - 1, the two ends, what is negative and
        what has fewer than four bits set is refused, in both roles, by every
        method with a fixed group and by a group exchange.
        """
        chosen, generator = (int(vectors("rfc5114")[0][name], 16) for name in ("prime", "generator"))
        methods = [
            (catalogue.keyExchange(b"diffie-hellman-group14-sha256"), groups.RFC3526[2048].prime),
            (catalogue.keyExchange(b"diffie-hellman-group16-sha512"), groups.RFC3526[4096].prime),
            (catalogue.keyExchange(b"diffie-hellman-group18-sha512"), groups.RFC3526[8192].prime),
            (catalogue.keyExchange(b"diffie-hellman-group14-sha1"), groups.RFC3526[2048].prime),
            (catalogue.keyExchange(b"diffie-hellman-group1-sha1"), groups.oakleyGroup().prime),
        ]
        for exchange in (groupexchange.GROUP_EXCHANGE_SHA256, groupexchange.GROUP_EXCHANGE_SHA1):
            methods.append((exchange.method(groups.RFC3526[3072].prime, 2), groups.RFC3526[3072].prime))
            methods.append((exchange.method(chosen, generator), chosen))
        for method, prime in methods:
            _, private = method.keypair()
            for public in self.badValues(prime):
                with self.assertRaises(KeyExchangeFailed, msg=public.hex()) as caught:
                    method.encapsulate(public)
                self.assertEqual(caught.exception.reason, 3)
                with self.assertRaises(KeyExchangeFailed, msg=public.hex()) as caught:
                    method.decapsulate(private, public)
                self.assertEqual(caught.exception.reason, 3)

    def test_edges(self) -> None:
        """
        What is just good enough is accepted: four bits set, and p - 2.
        """
        method = catalogue.keyExchange(b"diffie-hellman-group14-sha256")
        _, private = method.keypair()
        for value in (15, 0b10101010, groups.RFC3526[2048].prime - 2):
            self.assertTrue(method.encapsulate(mpintBytes(value))[1])
            self.assertTrue(method.decapsulate(private, mpintBytes(value)))

    def test_trivialSecret(self) -> None:
        """
        A secret at one of the ends is refused: here p is no safe prime, and the
        peer's value has order 3.
        """
        prime = 3 * 2**2046 + 6 * 73 + 1
        cubeRoot = pow(2, (prime - 1) // 3, prime)
        self.assertEqual(pow(cubeRoot, 3, prime), 1)
        self.assertNotEqual(cubeRoot, 1)
        group = groups.OtherGroup(prime, 2)
        method = finitefield.FiniteField("sha256", group)
        half = groups.PowHalf(group, 3 * groups.newExponent(2048))
        self.assertRaises(KeyExchangeFailed, method.decapsulate, half, mpintBytes(cubeRoot))

    def test_anyBytes(self) -> None:
        """
        Whatever a peer sends ends in a secret or in L{KeyExchangeFailed}.
        """
        method = catalogue.keyExchange(b"diffie-hellman-group14-sha256")
        _, private = method.keypair()

        @settings(max_examples=25, deadline=None, database=None)
        @given(st.binary(max_size=4) | st.binary(min_size=255, max_size=258))
        def check(public: bytes) -> None:
            try:
                self.assertIsInstance(method.decapsulate(private, public), bytes)
            except KeyExchangeFailed:
                pass

        check()


class GroupExchangeTests(SynchronousTestCase):
    """
    Tests for L{groupexchange}.
    """

    def setUp(self) -> None:
        self.exchange = groupexchange.GROUP_EXCHANGE_SHA256

    def test_asks(self) -> None:
        """
        Row 38: a client asks for 2048, rather 3072, to 8192 bits, RFC 8270, with
        SHA-1 too.
        """
        legacy = catalogue.keyExchange(b"diffie-hellman-group-exchange-sha1")
        self.assertEqual(legacy.hashName, "sha1")
        self.assertEqual((legacy.minimumBits, legacy.preferredBits, legacy.maximumBits), (2048, 3072, 8192))
        self.assertRaises(KeyExchangeFailed, legacy.choose, 1024, 1024, 1024)
        self.assertRaises(KeyExchangeFailed, legacy.method, groups.oakleyGroup().prime, 2)
        exchange = catalogue.keyExchange(b"diffie-hellman-group-exchange-sha256")
        self.assertIs(exchange, self.exchange)
        self.assertIs(exchange.choosesGroup, True)
        self.assertEqual(exchange.hashName, "sha256")
        asked = (exchange.minimumBits, exchange.preferredBits, exchange.maximumBits)
        self.assertEqual(asked, (2048, 3072, 8192))

    def test_choose(self) -> None:
        """
        Rows 32 and 38: the server takes the smallest group that is large
        enough, or else the largest that may be; nothing below 2048 bits and
        nothing above 4096, whatever is asked for.
        """
        for asked, bits in {
            (2048, 3072, 8192): 3072,
            (2048, 2048, 2048): 2048,
            (1024, 1024, 8192): 2048,
            (1024, 2049, 8192): 3072,
            (2048, 3073, 4095): 3072,
            (2048, 5000, 6000): 4096,
            (2048, 8192, 8192): 4096,
            (1024, 16384, 16384): 4096,
            (3000, 3000, 4000): 3072,
            (0, 0, 2**32 - 1): 2048,
        }.items():
            prime, generator = self.exchange.choose(*asked)
            self.assertEqual(prime.bit_length(), bits, asked)
            self.assertEqual((prime, generator), (groups.RFC3526[bits].prime, 2))

    def test_chooseNone(self) -> None:
        """
        Row 38: where no group fits there is no exchange.
        """
        for asked in (
            (1024, 1024, 1024),
            (512, 1024, 2047),
            (4097, 4097, 16384),
            (8192, 8192, 8192),
            (2100, 2100, 3000),
            (4096, 3072, 8192),
            (2048, 4096, 3072),
            (8192, 3072, 2048),
            (0, 0, 0),
        ):
            with self.assertRaises(KeyExchangeFailed, msg=asked) as caught:
                self.exchange.choose(*asked)
            self.assertEqual(caught.exception.reason, 3)

    def test_limits(self) -> None:
        """
        Row 38: a server may have another ceiling and a higher floor, but no
        floor below 2048.
        """
        exchange = groupexchange.GroupExchangeMethod("sha256", minimumBits=1024, maximumBits=4096)
        self.assertEqual(exchange.minimumBits, 2048)
        self.assertEqual(exchange.choose(1024, 8192, 8192)[0].bit_length(), 4096)
        exchange = groupexchange.GroupExchangeMethod("sha256", maximumServedBits=8192)
        self.assertEqual(exchange.choose(1024, 8192, 8192)[0].bit_length(), 8192)
        self.assertEqual(exchange.choose(2048, 5000, 8192)[0].bit_length(), 6144)
        exchange = groupexchange.GroupExchangeMethod("sha256", minimumBits=3072)
        self.assertRaises(KeyExchangeFailed, exchange.choose, 2048, 2048, 2048)
        self.assertEqual(exchange.choose(2048, 2048, 8192)[0].bit_length(), 3072)

    def test_choosingFrom(self) -> None:
        """
        A server with groups of its own chooses from them as from the built-in
        ones, and from all that have one size.
        """
        prime = groups.RFC3526[2048].prime
        ours = {
            2048: [(2, prime - 2 * n) for n in range(3)],
            3072: [(5, groups.RFC3526[3072].prime)],
            8192: [(2, groups.RFC3526[8192].prime)],
        }
        exchange = self.exchange.choosingFrom(ours)
        self.assertEqual(
            {exchange.choose(2048, 2048, 2048) for _ in range(200)}, {(p, g) for g, p in ours[2048]}
        )
        self.assertEqual(exchange.choose(2048, 2049, 8192), (groups.RFC3526[3072].prime, 5))
        self.assertEqual(exchange.choose(2048, 4096, 8192), (groups.RFC3526[3072].prime, 5))
        self.assertRaises(KeyExchangeFailed, exchange.choose, 4096, 4096, 8192)
        # The exchange that everybody shares is what it was.
        self.assertEqual(self.exchange.choose(2048, 4096, 8192), (groups.RFC3526[4096].prime, 2))
        self.assertEqual(self.exchange.choosingFrom({}).choose(2048, 4096, 8192)[1], 2)

    def test_smallGroupsOfOurOwn(self) -> None:
        """
        Row 38: a server serves no group below 2048 bits, if its own groups are
        all smaller, and none that has another size than it says.
        """
        oakley = groups.oakleyGroup()
        exchange = self.exchange.choosingFrom({1024: [(2, oakley.prime)]})
        self.assertRaises(KeyExchangeFailed, exchange.choose, 1024, 1024, 8192)
        chosen = self.exchange.choosingFrom({2048: [(2, oakley.prime)]}).choose(2048, 2048, 2048)
        self.assertRaises(KeyExchangeFailed, self.exchange.method, *chosen)

    def test_badGroups(self) -> None:
        """
        Row 38: a client refuses a group that it did not ask for or that is none.
        """
        good = groups.RFC3526[2048].prime
        for prime, generator in (
            (2**511 + 1, 2),
            (2**1023 + 1, 2),
            (2**2046 + 1, 2),
            (2**8192 + 1, 2),
            (2**16383 + 1, 2),
            (good - 1, 2),
            (2**2047, 2),
            (good, 0),
            (good, 1),
            (good, -2),
            (good, good - 1),
            (good, good),
            (good, good + 2),
            (-good, 2),
            (0, 2),
            (1, 2),
            (-1, -1),
        ):
            with self.assertRaises(KeyExchangeFailed, msg=(prime, generator)) as caught:
                self.exchange.method(prime, generator)
            self.assertEqual(caught.exception.reason, 3)

    def test_limitsOfGroups(self) -> None:
        """
        Row 38: the smallest and the largest group that were asked for are taken.
        """
        for bits in (2048, 8192):
            method = self.exchange.method(groups.RFC3526[bits].prime, 2)
            self.assertEqual(method._group.bits, bits)

    def test_exchange(self) -> None:
        """
        In a group that is known and in one that is not, both sides agree.
        """
        unknown = [(int(vector["prime"], 16), int(vector["generator"], 16)) for vector in vectors("rfc5114")]
        for prime, generator in (self.exchange.choose(2048, 2048, 8192), *unknown):
            method = self.exchange.method(prime, generator)
            self.assertEqual(method.hashName, "sha256")
            clientPublic, private = method.keypair()
            serverPublic, secret = self.exchange.method(prime, generator).encapsulate(clientPublic)
            self.assertEqual(method.decapsulate(private, serverPublic), secret)

    def test_anyGroup(self) -> None:
        """
        Whatever a server chooses ends in an exchange or in L{KeyExchangeFailed}.
        """

        @settings(max_examples=50, deadline=None, database=None)
        @given(st.integers() | st.integers(2**2047, 2**2049), st.integers())
        def check(prime: int, generator: int) -> None:
            try:
                method = self.exchange.method(prime, generator)
            except KeyExchangeFailed:
                return
            self.assertIsInstance(method, finitefield.FiniteField)

        check()
