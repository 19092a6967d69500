"""
Tests for L{conchlite.ssh.moduli}, and for how a server comes to its groups.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from conchlite.algorithms.kex.groups import RFC3526, oakleyGroup
from conchlite.error import KeyExchangeFailed, UsageError
from conchlite.ssh import moduli
from conchlite.wire.kex import KexDHGexGroup
from conchlite.wire.numbers import DISCONNECT_KEY_EXCHANGE_FAILED, MSG_KEX_DH_GEX_GROUP
from tests.ssh.links import Client, Link, Server, ServerFactory

GROUP_EXCHANGE = b"diffie-hellman-group-exchange-sha256"


def line(kind: int = 2, tests: int = 6, tries: int = 100, bits: int = 2048, size: int | None = None) -> bytes:
    prime = RFC3526[bits].prime if bits != 1024 else oakleyGroup().prime
    announced = bits - 1 if size is None else size
    return b"20260101000000 %d %d %d %d 2 %X\n" % (kind, tests, tries, announced, prime)


class ReadModuliTests(SynchronousTestCase):
    """
    Tests for L{moduli.readModuli}.
    """

    def read(self, text: bytes) -> moduli.Groups:
        self.path = self.mktemp()
        with open(self.path, "wb") as file:
            file.write(text)
        return moduli.readModuli(self.path)

    def assertRefused(self, text: bytes, *words: str) -> None:
        """
        The error names the file, and says what else it has to.
        """
        with self.assertRaises(UsageError) as caught:
            self.read(text)
        for word in (self.path, *words):
            self.assertIn(word, str(caught.exception))

    def test_groups(self) -> None:
        """
        The bits of each prime, its generator, which is in hexadecimal, and
        itself. Comments, empty lines and other ends of line do not matter.
        """
        text = b"# Time Type Tests Tries Size Generator Modulus\n\n" + line()
        text += line(bits=4096).replace(b" 2 FFFF", b" 1d FFFF").lower().replace(b"\n", b"\r\n") + line()
        group = (2, RFC3526[2048].prime)
        self.assertEqual(self.read(text), {2048: [group, group], 4096: [(0x1D, RFC3526[4096].prime)]})

    def test_passedOver(self) -> None:
        """
        Row 38: what sshd would not use, and sizes that no group exchange has,
        are passed over and hide no other line.
        """
        other = [
            line(kind=0),
            line(kind=4),
            line(tests=0),
            line(tests=1),
            line(tests=7),
            line(tries=0),
            line(bits=1024),
            b"#" + line()[:50] + b"\n",
        ]
        self.assertEqual(self.read(b"".join(other) + line()), {2048: [(2, RFC3526[2048].prime)]})
        for text in (*other, b"", b"\n"):
            self.assertRefused(text, "no safe prime of 2048 bits", "ssh-keygen -M")

    def test_malformed(self) -> None:
        """
        A line that is none is an error that names it and says what to do.
        """
        for bad, what in (
            (line()[:60], "bits"),
            (line().strip() + b" more", "8 fields"),
            (b"20260101000000 2 6 100 2047 2", "6 fields"),
            (line().replace(b" 2 6 ", b" x 6 "), "no number"),
            (line().replace(b" 2 F", b" 2 G"), "no number"),
            (line().replace(b" 2 F", b" 2 -F"), "no group"),
            (line(size=2048), "2048 bits, where 2049"),
            (line(size=2046), "2048 bits, where 2047"),
            (line()[:-2] + b"E", "no group"),
            (line().replace(b" 2 F", b" 1 F"), "no group"),
            (line().replace(b" 2 F", b" 0 F"), "no group"),
            (line().replace(b" 2 F", b" -2 F"), "no group"),
            (b"\xff\xfe", "1 fields"),
        ):
            self.assertRefused(
                line() + b"# comment\n" + bad + b"\n" + line(), "line 3", what, "ssh-keygen -M"
            )

    def test_notAFile(self) -> None:
        """
        What cannot be read, is no regular file, or too large, is an error at
        once: nobody waits for somebody to write into a FIFO.
        """
        missing, fifo, directory = self.mktemp(), self.mktemp(), self.mktemp()
        os.mkfifo(fifo)
        os.mkdir(directory)
        for path, what in (
            (missing, "No such file"),
            (fifo, "not a regular file"),
            (directory, "not a regular file"),
            ("/dev/zero", "not a regular"),
        ):
            with self.assertRaises(UsageError) as caught:
                moduli.readModuli(path)
            self.assertIn(path, str(caught.exception))
            self.assertIn(what, str(caught.exception))
        self.assertRefused(b"#" * (moduli.MAXIMUM_FILE_SIZE + 1), "larger than 4 MiB")

    def test_openSSH(self) -> None:
        """
        OpenSSH's own file is read to the last line.
        """
        path = "/etc/ssh/moduli"
        if not os.path.exists(path):
            raise SkipTest("OpenSSH is not installed")
        groups = moduli.readModuli(path)
        with open(path, "rb") as file:
            lines = [line for line in file.read().splitlines() if line.strip() and not line.startswith(b"#")]
        self.assertEqual(sum(map(len, groups.values())), len(lines))
        self.assertLessEqual({3072, 4096, 6144, 8192}, set(groups))

    @settings(max_examples=60, deadline=None, database=None)
    @given(
        st.binary(max_size=80)
        | st.lists(st.sampled_from([b"2", b"6", b"100", b"7", b"-1", b"ff", b"#"]), max_size=9).map(b" ".join)
    )
    def test_anyLine(self, text: bytes) -> None:
        """
        Any line is a group, none, or a L{ValueError}.
        """
        try:
            group = moduli._parse(text)
        except ValueError:
            return
        self.assertTrue(group is None or group[1] % 2 == 1)


class GroupClient(Client):
    """
    A client that writes down the group that it gets.
    """

    supportedKeyExchanges = (GROUP_EXCHANGE,)
    group: tuple[int, int] | None = None

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        if messageNum == MSG_KEX_DH_GEX_GROUP:
            message = KexDHGexGroup.unpack(payload)
            self.group = message.generator, message.prime
        super().dispatchMessage(messageNum, payload)


class GroupServer(Server):
    supportedKeyExchanges = (GROUP_EXCHANGE,)


class FactoryTests(SynchronousTestCase):
    """
    A server's groups: a moduli file's, a subclass's, or the built-in ones.
    """

    def setUp(self) -> None:
        self.factory = ServerFactory()
        self.factory.protocol = GroupServer

    def served(self) -> tuple[int, int] | None:
        """
        The group that a client gets, after an exchange that succeeds.
        """
        link = Link(GroupClient(), self.factory).secure()
        self.assertEqual(link.client.secure, 1)
        self.assertEqual(link.client.negotiated.keyExchange, GROUP_EXCHANGE)
        return link.client.group

    def test_builtIn(self) -> None:
        """
        Without a moduli file the group is one of RFC 3526.
        """
        self.assertIsNone(self.factory.getPrimes())
        self.assertEqual(self.served(), (2, RFC3526[3072].prime))

    def test_moduli(self) -> None:
        """
        With one, it is one of the file's, which is read once, at the start.
        """
        # The generator is another than that of the built-in group.
        self.factory.moduli = self.mktemp()
        with open(self.factory.moduli, "wb") as file:
            file.write(line().replace(b" 2 FFFF", b" 5 FFFF"))
        self.factory.startFactory()
        os.remove(self.factory.moduli)
        self.assertEqual(self.served(), (5, RFC3526[2048].prime))
        self.assertEqual(self.served(), (5, RFC3526[2048].prime))

    def test_getPrimes(self) -> None:
        """
        A subclass may know better, as in Conch: bits to generators and primes.
        """
        asked = []

        class Knowing(ServerFactory):
            protocol = GroupServer

            def getPrimes(self) -> Mapping[int, Sequence[tuple[int, int]]]:
                asked.append(1)
                return {2048: [(3, RFC3526[2048].prime)]}

        self.factory = Knowing()
        self.assertEqual(self.served(), (3, RFC3526[2048].prime))
        self.assertEqual(self.served(), (3, RFC3526[2048].prime))
        self.assertEqual(asked, [1])

    def test_primes(self) -> None:
        """
        C{primes} may be set, too.
        """
        self.factory.primes = {2048: [(7, RFC3526[2048].prime)]}
        self.assertEqual(self.served(), (7, RFC3526[2048].prime))

    def test_badModuli(self) -> None:
        """
        A server does not start with a moduli file that is no good.
        """
        self.factory.moduli = self.mktemp()
        self.assertRaises(UsageError, self.factory.startFactory)

    def test_noneFits(self) -> None:
        """
        Rows 38 and 39: where no group fits both sides end with code 3, and
        without a trace.
        """
        self.factory.primes = {1024: [(2, oakleyGroup().prime)]}
        link = Link(GroupClient(), self.factory).secure()
        self.assertEqual((link.client.secure, link.client.group), (0, None))
        self.assertEqual([code for code, _ in link.client.errors], [DISCONNECT_KEY_EXCHANGE_FAILED])
        self.assertIsInstance(link.server.closeReason.value, KeyExchangeFailed)
        self.assertEqual(self.flushLoggedErrors(), [])
