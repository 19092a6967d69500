"""
Every declared message: round trips, truncations, lengths out of bounds.
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import ConchError, MalformedMessage, UnexpectedMessage
from conchlite.wire import codec, connection, gssapi, kex, numbers, transport, types, userauth
from conchlite.wire.codec import Message, Structure

DECLARED: list[type[Structure]] = [
    value
    for module in (transport, kex, userauth, gssapi, connection)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Structure) and value not in (Structure, Message)
]

_NAMES = st.lists(st.from_regex(rb"[a-z0-9@.-]{1,12}", fullmatch=True), max_size=4).map(tuple)
_STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    types.Byte: st.integers(0, 255),
    types.Boolean: st.booleans(),
    types.UInt32: st.integers(0, 2**32 - 1),
    types.UInt64: st.integers(0, 2**64 - 1),
    types.String: st.binary(max_size=40),
    types.MPInt: st.integers(-(2**70), 2**70),
    types.NameList: _NAMES,
    types.Extensions: st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=8), max_size=3),
    types.Strings: st.lists(st.binary(max_size=12), max_size=4).map(tuple),
    types.Cookie: st.binary(min_size=16, max_size=16),
    types.Rest: st.binary(max_size=40),
    types.Secret: st.binary(max_size=40),
    types.SecretRest: st.binary(max_size=40),
    userauth.Prompts: st.lists(st.tuples(st.binary(max_size=12), st.booleans()), max_size=16).map(tuple),
    userauth.Responses: st.lists(st.binary(max_size=12), max_size=16).map(tuple),
    gssapi.Mechanisms: st.lists(st.binary(max_size=12), max_size=16).map(tuple),
}
# What takes all that is left.
_RESTS = (types.Rest.__metadata__[0], types.SecretRest.__metadata__[0])
_BY_FIELD = {annotation.__metadata__[0]: strategy for annotation, strategy in _STRATEGIES.items()}


@st.composite
def structures(draw: st.DrawFn, cls: type[Structure] | None = None) -> Structure:
    cls = cls or draw(st.sampled_from(DECLARED))
    return cls(*(draw(_BY_FIELD[field]) for _, field in codec._fieldsOf(cls)))


def example(cls: type[Structure]) -> Structure:
    """
    One message of a type, with something in every field.
    """
    values: dict[Any, Any] = {
        types.Byte: 7,
        types.Boolean: True,
        types.UInt32: 5,
        types.UInt64: 6,
        types.String: b"text",
        types.MPInt: 2**40,
        types.NameList: (b"one", b"two"),
        types.Extensions: {b"name": b"value"},
        types.Strings: (b"one", b"two"),
        types.Cookie: bytes(range(16)),
        types.Rest: b"rest",
        types.Secret: b"hunter2",
        types.SecretRest: b"hunter2",
        userauth.Prompts: ((b"one", True), (b"two", False)),
        userauth.Responses: (b"hunter2", b"hunter2"),
        gssapi.Mechanisms: (b"one", b"two"),
    }
    byField = {annotation.__metadata__[0]: value for annotation, value in values.items()}
    return cls(*(byField[field] for _, field in codec._fieldsOf(cls)))


class DeclarationTests(SynchronousTestCase):
    def test_allAreHere(self) -> None:
        """
        Every number of RFC 4250's table has a declaration, but for the old
        request for a group, which nobody sends any more.
        """
        declared = {cls.number for cls in DECLARED if issubclass(cls, Message)}
        named = {value for name, value in vars(numbers).items() if name.startswith("MSG_")}
        self.assertEqual(set(), named - declared)

    @given(structures())
    def test_roundTrip(self, message: Structure) -> None:
        self.assertEqual(message, type(message).unpack(message.pack()))
        self.assertEqual(hash(message), hash(type(message).unpack(message.pack())))
        if isinstance(message, Message):
            payload = message.packPayload()
            self.assertEqual(message.number, payload[0])
            self.assertEqual(message, type(message).unpackPayload(payload))

    def test_everyTruncation(self) -> None:
        """
        Row 14: a message cut anywhere is malformed, unless its
        last field is all that is left and the cut is within that, or between
        two strings of it.
        """
        for cls in DECLARED:
            whole = example(cls).pack()
            fields = codec._fieldsOf(cls)
            last = fields[-1][1] if fields else None
            rest = last in _RESTS
            fixed = len(whole) - (len(last.pack(getattr(example(cls), fields[-1][0]))) if rest else 0)
            strings = last is types.Strings.__metadata__[0]
            between = {len(whole[: -len(types.packString(b"two"))]), 0} if strings else set()
            for size in sorted(set(range(fixed)) - between):
                with self.assertRaises(MalformedMessage):
                    cls.unpack(whole[:size])

    def test_everyTrailingByte(self) -> None:
        for cls in DECLARED:
            fields = codec._fieldsOf(cls)
            last = fields[-1][1] if fields else None
            if last not in _RESTS:
                with self.assertRaises(MalformedMessage):
                    cls.unpack(example(cls).pack() + b"\x00")

    def test_everyLengthBeyondThePacket(self) -> None:
        """
        Rows 7 and 15: a length field that points beyond the packet, in
        every field of every message.
        """
        tried = 0
        for cls in DECLARED:
            message = example(cls)
            offset = 0
            for name, field in codec._fieldsOf(cls):
                packed = field.pack(getattr(message, name))
                if field.read in (types.Reader.string, types.Reader.mpint, types.Reader.nameList):
                    for length in (len(message.pack()), 2**31 - 1, 2**32 - 1):
                        bad = bytearray(message.pack())
                        struct.pack_into(">L", bad, offset, length)
                        with self.assertRaises(MalformedMessage):
                            cls.unpack(bad)
                        tried += 1
                offset += len(packed)
        self.assertGreater(tried, 100)

    @settings(max_examples=300)
    @given(st.sampled_from(DECLARED), st.binary(max_size=80))
    def test_anyBytes(self, cls: type[Structure], data: bytes) -> None:
        """
        Any bytes are a message or L{MalformedMessage}, and a message packs to
        what it was read from, but for the freedom that booleans, mpints and
        name-lists leave.
        """
        try:
            message = cls.unpack(data)
        except MalformedMessage:
            return
        self.assertEqual(message, cls.unpack(message.pack()))

    def test_unpackPayload(self) -> None:
        self.assertRaises(MalformedMessage, transport.NewKeys.unpackPayload, b"")
        self.assertRaises(UnexpectedMessage, transport.NewKeys.unpackPayload, b"\x14")

    def test_constructor(self) -> None:
        byName = transport.Disconnect(reason=2, description=b"x", languageTag=b"")
        self.assertEqual(transport.Disconnect(2, b"x", b""), byName)
        self.assertNotEqual(transport.Disconnect(3, b"x", b""), byName)
        self.assertNotEqual(byName, "Disconnect")
        for arguments in ((2,), (2, b"x", b"", b"")):
            self.assertRaises(TypeError, transport.Disconnect, *arguments)
        self.assertRaises(TypeError, transport.Disconnect, 2, b"x", text=b"")

    def test_frozen(self) -> None:
        message = transport.Unimplemented(1)
        with self.assertRaises(AttributeError):
            message.sequenceNumber = 2  # type: ignore[misc]
        with self.assertRaises(AttributeError):
            del message.sequenceNumber
        self.assertEqual(1, message.sequenceNumber)

    def test_reprKeepsSecrets(self) -> None:
        """
        Row 131: a password is in no repr.
        """
        shown = repr(userauth.PasswordData(True, b"hunter2", types.packString(b"hunter3")))
        self.assertEqual("PasswordData(change=True, password=***, newPassword=***)", shown)
        request = userauth.UserauthRequest(b"u", b"s", b"password", b"hunter2")
        self.assertNotIn("hunter2", repr(request))
        self.assertIn("userName=b'u'", repr(request))

    def test_cookieHasItsSize(self) -> None:
        message = example(transport.KexInit)
        short = transport.KexInit(**{**message.__dict__, "cookie": b"short"})
        self.assertRaises(ValueError, short.pack)


class HandPackedTests(SynchronousTestCase):
    """
    The hot three: the twin is equal to the declaration, errors included.
    """

    @given(structures(connection.ChannelData))
    def test_data(self, message: connection.ChannelData) -> None:
        head = connection.packDataHead(message.recipientChannel, len(message.data))
        self.assertEqual(message.pack(), head + message.data)
        self.assertEqual(
            (message.recipientChannel, message.data), connection.unpackData(memoryview(message.pack()))
        )

    @given(structures(connection.ChannelExtendedData))
    def test_extendedData(self, message: connection.ChannelExtendedData) -> None:
        head = connection.packExtendedDataHead(message.recipientChannel, message.dataType, len(message.data))
        self.assertEqual(message.pack(), head + message.data)
        self.assertEqual(
            (message.recipientChannel, message.dataType, message.data),
            connection.unpackExtendedData(memoryview(message.pack())),
        )

    @given(structures(connection.ChannelWindowAdjust))
    def test_windowAdjust(self, message: connection.ChannelWindowAdjust) -> None:
        packed = connection.packWindowAdjust(message.recipientChannel, message.bytesToAdd)
        self.assertEqual(message.pack(), packed)
        self.assertEqual(
            (message.recipientChannel, message.bytesToAdd), connection.unpackWindowAdjust(memoryview(packed))
        )

    @given(st.binary(max_size=24))
    def test_sameErrors(self, data: bytes) -> None:
        for declared, byHand in (
            (connection.ChannelData, connection.unpackData),
            (connection.ChannelExtendedData, connection.unpackExtendedData),
            (connection.ChannelWindowAdjust, connection.unpackWindowAdjust),
        ):
            try:
                expected: object = tuple(declared.unpack(data).__dict__.values())
            except ConchError as error:
                expected = type(error)
            try:
                found: object = byHand(memoryview(data))
            except ConchError as error:
                found = type(error)
            self.assertEqual(expected, found)


class NumbersTests(SynchronousTestCase):
    def test_names(self) -> None:
        self.assertEqual("CHANNEL_DATA", numbers.messageName(94))
        self.assertEqual("message 30", numbers.messageName(30))
        self.assertEqual("message 250", numbers.messageName(250))
        self.assertEqual("MAC_ERROR", numbers.disconnectName(5))
        self.assertEqual("reason 99", numbers.disconnectName(99))
