"""
Published weaknesses and faults, against whole transports: what a peer gets, and
what stays unharmed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    ExchangeTimedOut,
    HandshakeTimedOut,
    LoginTimedOut,
    MalformedMessage,
    PeerSilent,
    UnexpectedMessage,
)
from conchlite.limits import MAXIMUM_HELD_ANSWERS
from conchlite.ssh.connection import SSHConnection
from conchlite.wire import numbers, transport
from tests.ssh.links import Client, Link, RecordingService
from tests.ssh.wholeconnections import Stream, connected

MIB = 2**20


def sendRaw(link: Link, sender: Any, payload: bytes) -> None:
    sender._layer.send([(payload,)])
    sender._flush()
    link.flush()


class MalformedTests(SynchronousTestCase):
    def test_truncated(self) -> None:
        """
        Rows 14 and 16: the transport's own messages, cut at every byte, are
        code 2 and nothing else. (An empty SERVICE_ACCEPT is one of SSH.COM's.)
        """
        messages = (
            transport.Disconnect(11, b"bye", b"en"),
            transport.Ignore(b"nothing"),
            transport.Unimplemented(7),
            transport.Debug(True, b"text", b"en"),
            transport.ServiceRequest(b"ssh-userauth"),
        )
        for message in messages:
            whole = message.packPayload()
            for size in range(1, len(whole)):
                link = Link().secure()
                sendRaw(link, link.client, whole[:size])
                self.assertIsInstance(link.server.closeReason.value, MalformedMessage, whole[:size])
                self.assertEqual([(2, b"malformed message")], link.client.errors)

    def test_extensions(self) -> None:
        """
        Row 16: an EXT_INFO that says it has 2^32 - 1 entries, or one more than
        there may be.
        """
        one = b"\0\0\0\1a\0\0\0\0"
        for count, entries in ((2**32 - 1, b""), (2, one), (65, one * 65)):
            link = Link().secure()
            sendRaw(link, link.client, b"\x07" + count.to_bytes(4, "big") + entries)
            self.assertIsInstance(link.server.closeReason.value, MalformedMessage, count)
            self.assertEqual([(2, b"malformed message")], link.client.errors)


class OrderTests(SynchronousTestCase):
    """
    Row 24: no service before keys, no channel before the login, every request
    answered once and in order.
    """

    def test_inClear(self) -> None:
        """
        Row 22, CVE-2023-46446: a login sent in clear is refused, not kept for
        later; nor is anything else of a service.
        """
        for number in (5, 6, 50, 52, 80, 90, 94, 192):
            for hostile, victim in (("client", "server"), ("server", "client")):
                link = Link()
                link.start()
                attacker, target = getattr(link, hostile), getattr(link, victim)
                attacker._layer._output.append(attacker._layer._writer.seal([(bytes((number,)), b"x")]))
                attacker._flush()
                link.flush()
                self.assertIsInstance(target.closeReason.value, UnexpectedMessage, number)
                self.assertFalse(target.isEncrypted("in"))

    def test_beforeTheLogin(self) -> None:
        for number in (80, 90, 94, 98):
            client = Client()
            client.requested = RecordingService()
            link = Link(client).secure()
            sendRaw(link, client, bytes((number,)) + b"x")
            self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)
            self.assertEqual(["started", "stopped"], link.factory.started[0].calls)

    def test_answers(self) -> None:
        """
        Over re-exchanges that begin between them.
        """
        link, _ = connected(0)
        link.server.service.gotGlobalRequest = lambda name, data: (1, data) if len(data) % 2 else 0
        answers: list[Any] = []
        for number in range(40):
            answer = link.client.service.sendGlobalRequest("count", bytes(number), wantReply=True)
            answer.addBoth(lambda result, n=number: answers.append((n, result)))
            if number % 7 == 0:
                (link.client if number % 2 else link.server).renewKeys()
            if number % 5 == 0:
                link.flush()
        link.flush()
        self.assertEqual(list(range(40)), [number for number, _ in answers])
        for number, answer in answers:
            self.assertEqual(bool(number % 2), answer == bytes(number))


class HangingExchangeTests(SynchronousTestCase):
    """
    A peer that leaves our KEXINIT without an answer.
    """

    def test_queue(self) -> None:
        """
        Row 28, CVE-2025-26466: what it asks for meanwhile is held back, as
        much as the limit says; then it is code 2.
        """
        link, _ = connected(0)
        link.server.sendKexInit()
        link.serverIO.getOutBuffer()
        for _ in range(2 * MAXIMUM_HELD_ANSWERS // 10_000):
            link.client.sendPackets([(b"\xc0", b"\0\0\x27\x10", bytes(10_000))])
            data, link.clientIO.stream[:] = b"".join(link.clientIO.stream), []
            link.server.dataReceived(data)
            self.assertLess(link.server._layer.heldBytes, MAXIMUM_HELD_ANSWERS + 2 * 10_000)
        error = link.server.closeReason.value
        self.assertIsInstance(error, UnexpectedMessage)
        self.assertEqual(2, error.reason)

    def test_otherMessages(self) -> None:
        """
        Row 28: behind the peer's KEXINIT nothing but its exchange may come.
        """
        for number in (5, 50, 80, 94, 192):
            link, _ = connected(0)
            link.client.sendKexInit()
            link.client._layer._seal((bytes((number,)), b"x"))
            link.client._flush()
            link.flush()
            self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage, number)

    def test_producers(self) -> None:
        """
        Row 29, CVE-2025-22869: while it hangs, producers are paused and what
        was written waits within the channel's limit; it has its time, and no
        more.
        """
        link, ends = connected(2, rekeySeconds=0)
        link.client.sendKexInit()
        for n, end in enumerate(ends):
            end.begin(n, 8 * MIB)
        for end in ends[::2]:
            self.assertEqual(1, end.pauses)
            self.assertLess(end._machine.outgoing.window.size, end.waitingLimit + 32769)
        self.assertEqual(0, link.client._layer.heldBytes)
        link.clock.advance(link.client.exchangeTimeout - 1)
        self.assertIsNone(link.client.closeReason)
        link.flush()
        link.flush()
        for sender, receiver in ((0, 1), (1, 0), (2, 3), (3, 2)):
            self.assertEqual(ends[sender].digestOfSent(), ends[receiver].digest.digest())
        link.client.sendKexInit()
        link.clock.advance(link.client.exchangeTimeout)
        self.assertIsInstance(link.client.closeReason.value, ExchangeTimedOut)


class Narrow(Stream):
    localWindowSize = 16 * 1024


class RekeyUnderLoadTests(SynchronousTestCase):
    def load(self, **attributes: Any) -> None:
        link, ends = connected(8, make=Narrow, rekeySeconds=0, **attributes)
        exchanges = []
        for end in (link.client, link.server):
            end.renewalDistance = 16 * 1024
            original = end._newKeysUsed

            def newKeysUsed(event: Any, original: Any = original) -> None:
                exchanges.append(event)
                original(event)

            end._newKeysUsed = newKeysUsed
        for n, end in enumerate(ends):
            end.begin(n, 256 * 1024 + n)
        link.flush()
        for n, end in enumerate(ends):
            other = ends[n ^ 1]
            self.assertEqual((256 * 1024 + n, end.digestOfSent()), (other.arrived, other.digest.digest()))
        self.assertGreater(len(exchanges), 20)
        self.assertIsNone(link.client.closeReason)
        self.assertFalse(link.client._layer.heldBytes or link.server._layer.heldBytes)

    def test_bothBegin(self) -> None:
        """
        Full duplex on eight channels, both sides beginning an exchange every
        64 KiB. (C{python -m tests.benchmarks.rekeying} is the long form.)
        """
        self.load(rekeyBytes=64 * 1024)

    def test_compressed(self) -> None:
        self.load(rekeyBytes=64 * 1024, supportedCompressions=[b"zlib@openssh.com"])

    def test_byPackets(self) -> None:
        self.load(rekeyPackets=16)


class ClockJumpTests(SynchronousTestCase):
    """
    The wall clock is nobody's business here. It jumps by an hour and by a year,
    either way, and every timer is where it was.
    """

    def jumping(self) -> Any:
        jumps = iter([3600, -3600, 31_536_000, -31_536_000] * 10_000)
        real = time.time
        return mock.patch("time.time", lambda: real() + next(jumps))

    def test_login(self) -> None:
        with self.jumping():
            link = Link()
            link.server.makeConnection(link.serverIO)
            link.clock.advance(link.server.handshakeTimeout - 1)
            self.assertIsNone(link.server.closeReason)
            link.clock.advance(1)
            self.assertIsInstance(link.server.closeReason.value, HandshakeTimedOut)
            link = Link().secure()
            link.clock.advance(link.server.loginTimeout - 1)
            self.assertIsNone(link.server.closeReason)
            link.clock.advance(1)
            self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)

    def test_rekey(self) -> None:
        with self.jumping():
            link, ends = connected(1, rekeySeconds=100)
            link.server.rekeySeconds = 0
            before = link.client.ourKexInitPayload
            link.clock.advance(99)
            link.flush()
            self.assertEqual(before, link.client.ourKexInitPayload)
            link.clock.advance(1)
            link.flush()
            self.assertNotEqual(before, link.client.ourKexInitPayload)
            ends[0].begin(1, MIB)
            link.flush()
            self.assertEqual(ends[0].digestOfSent(), ends[1].digest.digest())

    def test_keepAlive(self) -> None:
        with self.jumping():
            link, _ = connected(0, rekeySeconds=0, keepAliveInterval=10)
            for _ in range(20):
                link.clock.advance(10)
                link.flush()
            self.assertIsNone(link.client.closeReason)
            for _ in range(5):
                self.assertIsNone(link.client.closeReason)
                link.clock.advance(10)
            self.assertIsInstance(link.client.closeReason.value, PeerSilent)


class ShortReadTests(SynchronousTestCase):
    def test_byteByByte(self) -> None:
        """
        A connection that gives and takes one byte at a time carries the same
        bytes.
        """
        client = Client()
        client.requested = RecordingService()
        link = Link(client)
        flush = link.flush

        def trickle() -> None:
            moved = True
            while moved:
                moved = False
                for io, receiver in ((link.clientIO, link.server), (link.serverIO, link.client)):
                    data, io.stream[:] = b"".join(io.stream), []
                    for offset in range(len(data)):
                        moved = True
                        receiver.dataReceived(data[offset : offset + 1])

        link.flush = trickle
        link, ends = connected(1, link, rekeyBytes=20_000, rekeySeconds=0)
        for end in (link.client, link.server):
            end.renewalDistance = 5000
        for n, end in enumerate(ends):
            end.begin(n, 60_000)
        trickle()
        self.assertEqual([60_000] * 2, [end.arrived for end in ends])
        self.assertEqual([end.digestOfSent() for end in ends[::-1]], [end.digest.digest() for end in ends])
        link.client.loseConnection()
        flush()
        self.assertEqual(
            [(numbers.DISCONNECT_CONNECTION_LOST, b"user closed connection")], link.server.errors
        )


class SignalTests(SynchronousTestCase):
    def test_interrupted(self) -> None:
        """
        What a process sends and receives over TCP while it is interrupted every
        10 ms is what comes out.
        """
        command = "tests.benchmarks.rekeying --mebibytes 16 --signals 10"
        finished = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        self.assertEqual(0, finished.returncode, finished.stdout)
        self.assertEqual(2, finished.stdout.count("; 0 streams differ"), finished.stdout)
        found = re.search(r"^(\d+) signals$", finished.stdout, re.MULTILINE)
        assert found is not None, finished.stdout
        self.assertGreater(int(found[1]), 0)


class DisconnectTests(SynchronousTestCase):
    def test_bothWays(self) -> None:
        """
        Whoever ends it, both know the reason and the words.
        """
        for ends, hears in (("client", "server"), ("server", "client")):
            link = Link().secure()
            one, other = getattr(link, ends), getattr(link, hears)
            service = SSHConnection()
            other.isAuthenticated = True
            other.setService(service)
            waiting = service.sendGlobalRequest("anything", b"", wantReply=True)
            one.sendDisconnect(numbers.DISCONNECT_BY_APPLICATION, b"closing for the day")
            link.flush()
            self.assertEqual([(11, b"closing for the day")], other.errors)
            for error in (
                one.closeReason.value,
                other.closeReason.value,
                self.failureResultOf(waiting).value,
            ):
                self.assertEqual((11, "closing for the day"), (error.reason, error.description))
