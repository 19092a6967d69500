"""
Tests for L{conchlite.sansio.events}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.sansio.events import Disconnected, ExchangeStarted, ServiceAccepted, ServiceRequested


class EventTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """
        An event has the fields that its class names, in their order.
        """
        event = Disconnected(11, b"bye")
        self.assertEqual((event.reason, event.description), (11, b"bye"))
        self.assertEqual(repr(event), "Disconnected(reason=11, description=b'bye')")
        self.assertEqual(repr(ExchangeStarted()), "ExchangeStarted()")

    def test_equality(self) -> None:
        """
        Two are equal where class and fields are.
        """
        self.assertEqual(Disconnected(11, b"bye"), Disconnected(11, b"bye"))
        self.assertNotEqual(Disconnected(11, b"bye"), Disconnected(11, b""))
        self.assertNotEqual(ServiceRequested(b"x"), ServiceAccepted(b"x"))
        self.assertEqual(len({Disconnected(11, b"bye"), Disconnected(11, b"bye"), ExchangeStarted()}), 2)

    def test_immutable(self) -> None:
        """
        Nobody changes what has happened.
        """
        event = ServiceRequested(b"x")
        self.assertRaises(AttributeError, setattr, event, "name", b"y")
        self.assertEqual(event.name, b"x")

    def test_wrongFields(self) -> None:
        """
        Nothing has happened in part.
        """
        error = self.assertRaises(TypeError, Disconnected, 11)
        self.assertEqual(str(error), "Disconnected takes the fields: reason, description")
