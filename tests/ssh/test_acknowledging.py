"""
Tests for L{conchlite.ssh.acknowledging}.
"""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.acknowledging import acknowledger
from conchlite.wire import numbers
from tests.ssh.links import Client, Link, RecordingService

QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class Socket(socket.socket):
    """
    A socket that is not connected, and writes down what options it is given.
    """

    def __init__(self, family: int = socket.AF_INET, refuses: bool = False) -> None:
        super().__init__(family)
        self.refuses = refuses
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.refuses:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        self.options.append((level, option, value))


class Connection:
    """
    What the reactor made: all of it that matters here.
    """

    def __init__(self, handle: object) -> None:
        self.handle = handle

    def getHandle(self) -> object:
        return self.handle


class Listening(RecordingService):
    """
    A service that takes data on the short path.
    """

    def dataPath(self):
        return {numbers.MSG_CHANNEL_DATA: lambda view: self.calls.append(bytes(view))}


class QuickAckTests(SynchronousTestCase):
    skip = None if QUICKACK is not None else "the system acknowledges when it likes"

    def makeSocket(self, *arguments: object, **named: object) -> Socket:
        made = Socket(*arguments, **named)
        self.addCleanup(made.close)
        return made


class AcknowledgerTests(QuickAckTests):
    """
    Where there is one, and what it does.
    """

    def test_tcp(self) -> None:
        """
        It sets the option that asks for an acknowledgement, each time.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            handle = self.makeSocket(family)
            acknowledge = acknowledger(Connection(handle))
            handle.options.clear()
            acknowledge()
            acknowledge()
            self.assertEqual(handle.options, [(socket.IPPROTO_TCP, QUICKACK, 1)] * 2)

    def test_otherConnections(self) -> None:
        """
        There is none for what is no TCP connection.
        """
        self.assertIsNone(acknowledger(Connection(self.makeSocket(socket.AF_UNIX))))
        self.assertIsNone(acknowledger(Connection(object())))
        self.assertIsNone(acknowledger(object()))

    def test_refused(self) -> None:
        """
        Nor where the system does not take the option.
        """
        self.assertIsNone(acknowledger(Connection(self.makeSocket(refuses=True))))

    def test_otherSystems(self) -> None:
        """
        Nor where it is not known.
        """
        connection = Connection(self.makeSocket())
        self.assertIsNotNone(acknowledger(connection))
        self.patch(socket, "TCP_QUICKACK", QUICKACK)
        del socket.TCP_QUICKACK
        self.assertIsNone(acknowledger(connection))


class TransportTests(QuickAckTests):
    """
    When a transport acknowledges at once.
    """

    def setUp(self) -> None:
        handle = self.makeSocket()
        self.options = handle.options
        link = Link()
        link.clientIO.getHandle = lambda: handle
        link.secure()
        self.client, self.server, self.flush = link.client, link.server, link.flush
        self.service = Listening()
        self.client.requestService(self.service)
        self.flush()
        self.client.isAuthenticated = self.server.isAuthenticated = True
        self.options.clear()

    def test_message(self) -> None:
        """
        What brings no answer is acknowledged, once for all that came together.
        """
        self.server.sendPacket(numbers.MSG_CHANNEL_SUCCESS, b"one")
        self.server.sendPacket(numbers.MSG_CHANNEL_SUCCESS, b"another")
        self.flush()
        self.assertEqual(self.options, [(socket.IPPROTO_TCP, QUICKACK, 1)])

    def test_answer(self) -> None:
        """
        An answer acknowledges by itself what it answers.
        """
        self.server.sendPacket(numbers.MSG_PING, b"\0\0\0\0")
        self.flush()
        self.assertEqual(self.options, [])

    def test_data(self) -> None:
        """
        Of data, as much comes as makes the system acknowledge it.
        """
        self.server.sendPacket(numbers.MSG_CHANNEL_DATA, b"data")
        self.flush()
        self.assertEqual(self.service.calls[-1], b"data")
        self.assertEqual(self.options, [])

    def test_end(self) -> None:
        """
        What ends the connection needs none: there may be no socket any more.
        """
        self.server.sendPacket(numbers.MSG_DISCONNECT, b"\0\0\0\x0b" + bytes(8))
        self.flush()
        self.assertEqual(len(self.client.errors), 1)
        self.assertEqual(self.options, [])

    def test_noTCP(self) -> None:
        """
        A transport whose connection has no such thing goes without.
        """
        link = Link(client=Client()).secure()
        link.server.sendPacket(numbers.MSG_IGNORE, bytes(4))
        link.flush()
        self.assertEqual(link.client.secure, 1)
        self.assertIsNone(link.client.closeReason)
