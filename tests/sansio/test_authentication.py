"""
Tests for L{conchlite.sansio.authentication}.
"""

from __future__ import annotations

import itertools
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage, UnexpectedMessage, UsageError
from conchlite.sansio.authentication import (
    CLIENT_TABLE,
    MAXIMUM_BANNER_SIZE,
    SERVER_TABLE,
    ClientAuthentication,
    ClientInput,
    ClientState,
    ServerAuthentication,
    ServerInput,
    ServerState,
    attributeName,
    readRequest,
)
from conchlite.wire.userauth import UserauthFailure, UserauthRequest

C, S = ClientState, ServerState

# How to reach each state through the public door: what is done in turn, a
# number being a message that comes.
CLIENT_SCENES = {
    C.CHOOSING: [],
    C.WAITING: [ClientInput.REQUEST],
    C.ANSWERING: [ClientInput.REQUEST, 60],
    C.AUTHENTICATED: [ClientInput.REQUEST, 52],
    C.EXHAUSTED: [ClientInput.GIVE_UP],
    C.STOPPED: [ClientInput.STOP],
}
SERVER_SCENES = {
    S.WAITING: [],
    S.DECIDING: [50],
    S.CONVERSING: [50, ServerInput.CHALLENGE],
    S.AUTHENTICATED: [50, ServerInput.ACCEPT],
    S.STOPPED: [ServerInput.STOP],
}

# RFC 4252 in a few words: in each state, what leads where. A number is a
# message of the peer; what is not here must be refused.
CLIENT_LAW = {
    C.CHOOSING: {"REQUEST": C.WAITING, "GIVE_UP": C.EXHAUSTED, "STOP": C.STOPPED, 53: C.CHOOSING},
    C.WAITING: {"STOP": C.STOPPED, 51: C.CHOOSING, 52: C.AUTHENTICATED, 53: C.WAITING}
    | dict.fromkeys(range(60, 80), C.ANSWERING),
    C.ANSWERING: {
        "REQUEST": C.WAITING,
        "ANSWER": C.WAITING,
        "DECLINE": C.CHOOSING,
        "STOP": C.STOPPED,
        53: C.ANSWERING,
    },
    C.AUTHENTICATED: {"STOP": C.STOPPED},
    C.EXHAUSTED: {"STOP": C.STOPPED},
    C.STOPPED: {"STOP": C.STOPPED},
}
SERVER_LAW = {
    S.WAITING: {"STOP": S.STOPPED, 50: S.DECIDING},
    S.DECIDING: {
        "CHALLENGE": S.CONVERSING,
        "PASS": S.WAITING,
        "REFUSE": S.WAITING,
        "ACCEPT": S.AUTHENTICATED,
        "STOP": S.STOPPED,
    },
    S.CONVERSING: {"STOP": S.STOPPED, 50: S.DECIDING} | dict.fromkeys(range(60, 80), S.DECIDING),
    S.AUTHENTICATED: {"STOP": S.STOPPED},
    S.STOPPED: {"STOP": S.STOPPED},
}

OWN_CLIENT = (
    ClientInput.REQUEST,
    ClientInput.ANSWER,
    ClientInput.DECLINE,
    ClientInput.GIVE_UP,
    ClientInput.STOP,
)
OWN_SERVER = (
    ServerInput.CHALLENGE,
    ServerInput.PASS,
    ServerInput.REFUSE,
    ServerInput.ACCEPT,
    ServerInput.STOP,
)


def never(name: bytes) -> bool:
    return False


class TableTests(SynchronousTestCase):
    """
    The state tables over their whole product.
    """

    def scene(self, machine, steps):
        for step in steps:
            if isinstance(step, int):
                self.assertTrue(machine.received(step))
            else:
                machine.step(step)
        return machine

    def check(self, make, scenes, law, own):
        for state, step in itertools.product(law, [*own, *range(256)]):
            machine = self.scene(make(), scenes[state])
            self.assertIs(machine.state, state)
            wanted = law[state].get(step.name if isinstance(step, Enum) else step)
            with self.subTest(state=state, step=step):
                if isinstance(step, Enum):
                    if wanted is None:
                        self.assertRaises(UsageError, machine.step, step)
                    else:
                        machine.step(step)
                elif step == 50 or 51 <= step <= 53 or 60 <= step < 128:
                    if wanted is None:
                        self.assertRaises(UnexpectedMessage, machine.received, step)
                    else:
                        self.assertTrue(machine.received(step))
                else:
                    # Not of this protocol: UNIMPLEMENTED answers it.
                    self.assertFalse(machine.received(step))
                self.assertIs(machine.state, wanted or state)

    def test_client(self):
        """
        In every state of a client, every step of its own and every message
        number does what the RFC says, or is refused and changes nothing.
        """
        self.check(ClientAuthentication, CLIENT_SCENES, CLIENT_LAW, OWN_CLIENT)

    def test_server(self):
        """
        The same for a server; 51, 52, 53 and 60 to 79 that nobody asked for
        are refused in every state. Row 54, CVE-2018-10933.
        """
        self.check(ServerAuthentication, SERVER_SCENES, SERVER_LAW, OWN_SERVER)

    def test_everyStateIsReached(self):
        """
        The product above leaves out no state and no input, but for the ones
        that stand for a message that may never come.
        """
        self.assertEqual(set(CLIENT_LAW), set(ClientState))
        self.assertEqual(set(SERVER_LAW), set(ServerState))
        self.assertEqual({i for _, i in CLIENT_TABLE}, set(ClientInput) - {ClientInput.FOREIGN})
        self.assertEqual({i for _, i in SERVER_TABLE}, set(ServerInput) - {ServerInput.FOREIGN})

    def test_errorsSayWhatCameAndWhen(self):
        """
        An error names the message and the state.
        """
        error = self.assertRaises(UnexpectedMessage, ServerAuthentication().received, 52)
        self.assertIn("USERAUTH_SUCCESS", str(error))
        self.assertIn("waiting for a request", str(error))


class CandidatesTests(SynchronousTestCase):
    """
    Which methods a client tries next.
    """

    order = (b"publickey", b"password", b"keyboard-interactive")

    def refused(self, record, methods, partial=False, method=b"none"):
        record.request(b"user", b"service", method, b"")
        record.received(51)
        record.refused(UserauthFailure(methods, partial))

    def test_preference(self):
        """
        Our order first, then the server's; each once.
        """
        record = ClientAuthentication()
        self.refused(record, (b"hostbased", b"password", b"a-new@example.org", b"publickey", b"password"))
        self.assertEqual(
            record.candidates(self.order, never),
            [b"publickey", b"password", b"hostbased", b"a-new@example.org"],
        )

    def test_exhausted(self):
        """
        A method that has nothing to offer does not come again.
        """
        record = ClientAuthentication()
        self.refused(record, (b"publickey", b"password"))
        record.exhausted(b"publickey")
        self.assertEqual(record.candidates(self.order, never), [b"password"])

    def test_partialSuccess(self):
        """
        A method that was accepted as a part does not come again, unless it
        may; and then last.
        """
        record = ClientAuthentication()
        self.refused(record, (b"publickey", b"password"), True, b"publickey")
        self.assertEqual(record.authenticatedWith, [b"publickey"])
        self.assertEqual(record.candidates(self.order, never), [b"password"])
        self.assertEqual(
            record.candidates(self.order, lambda name: name == b"publickey"), [b"password", b"publickey"]
        )

    def test_oddNames(self):
        """
        A name that is no method's name is never looked up.
        """
        record = ClientAuthentication()
        self.refused(record, (b"__class__!", b"pass word", b"x" * 65, b"\xff", b"PASSWORD", b"password"))
        self.assertEqual(record.candidates(self.order, never), [b"password"])

    def test_attempts(self):
        """
        Every request but C{none} is an attempt, unless it answers a message of
        its method, and what became of it is noted.
        """
        record = ClientAuthentication()
        self.refused(record, (b"publickey",))
        self.refused(record, (b"publickey", b"hostbased"), True, b"password")
        record.request(b"user", b"service", b"publickey", b"")
        record.attempt(keyType=b"ssh-ed25519", fingerprint="SHA256:x", source="agent")
        record.received(60)
        self.refused(record, (b"hostbased",), method=b"publickey")
        record.request(b"user", b"service", b"hostbased", b"")
        record.received(60)
        record.step(ClientInput.DECLINE)
        self.assertEqual(
            [
                "password [accepted as a part]",
                "publickey ssh-ed25519 SHA256:x, from agent [the key was accepted, its signature refused]",
                "hostbased [the server asked for more, which there was not]",
            ],
            list(map(str, record.attempts)),
        )
        self.assertEqual(("password", "publickey ssh-ed25519 SHA256:x", "hostbased"), record.tried)

    def test_attemptThatContinues(self):
        """
        What a method says of the answer to its message is an attempt of its own.
        """
        record = ClientAuthentication()
        record.request(b"user", b"service", b"password", b"")
        record.attempt("password")
        record.received(60)
        record.request(b"user", b"service", b"password", b"")
        record.attempt("a new password")
        record.received(52)
        record.accepted()
        self.assertEqual(
            ["password [the server asked for more]", "a new password [accepted]"],
            list(map(str, record.attempts)),
        )

    def test_banner(self):
        """
        A server may send much banner, but not for ever.
        """
        record = ClientAuthentication()
        for _ in range(4):
            record.bannerReceived(MAXIMUM_BANNER_SIZE // 4 - 256)
        self.assertRaises(MalformedMessage, record.bannerReceived, 1)
        # Banners of nothing are banners, too.
        record = ClientAuthentication()
        with self.assertRaises(MalformedMessage):
            for _ in range(1000):
                record.bannerReceived(0)


class RequestTests(SynchronousTestCase):
    """
    L{readRequest}.
    """

    request = UserauthRequest(b"user", b"ssh-connection", b"password", b"\0\0\0\0\1x")

    def test_read(self):
        """
        What was packed is read, and the state of the method's data is not
        looked at.
        """
        self.assertEqual(readRequest(self.request.pack()), self.request)

    def test_truncated(self):
        """
        Cut anywhere before the method's data, it is malformed.
        """
        packed = UserauthRequest(b"user", b"ssh-connection", b"none", b"").pack()
        for size in range(len(packed)):
            self.assertRaises(MalformedMessage, readRequest, packed[:size])

    def test_names(self):
        """
        Names are printable UTF-8 of at most 255 bytes.
        """
        good = [b"", b"a" * 255, b"with space", "Käthe".encode(), b"user@EXAMPLE.ORG", b"a/b:c"]
        bad = [b"a" * 256, b"a\0b", b"a\nb", b"\x1b[2J", b"\xff", "a\u202eb".encode(), b"\xc3\xa4\xc3"]
        for position in range(3):
            for name in good + bad:
                names = [b"user", b"service", b"method"]
                names[position] = name
                packed = UserauthRequest(*names, b"").pack()
                with self.subTest(name=name, position=position):
                    if name in good:
                        self.assertEqual(readRequest(packed).pack(), packed)
                    else:
                        self.assertRaises(MalformedMessage, readRequest, packed)

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=80))
    def test_anyBytes(self, data):
        """
        Any bytes are a request or malformed.
        """
        try:
            request = readRequest(data)
        except MalformedMessage:
            return
        self.assertEqual(request.pack(), data)


class FailureCountTests(SynchronousTestCase):
    """
    The server's count of failures.
    """

    def test_count(self):
        """
        All methods count together; only the first C{none} is free.
        """
        machine = ServerAuthentication()
        counts = []
        for method in (b"none", b"publickey", b"password", b"none", b"unknown"):
            machine.failed(method)
            counts.append(machine.failures)
        self.assertEqual(counts, [0, 1, 2, 3, 4])


class AttributeNameTests(SynchronousTestCase):
    """
    L{attributeName}.
    """

    def test_names(self):
        """
        What cannot be in a Python name becomes an underscore.
        """
        self.assertEqual(attributeName("auth_", b"keyboard-interactive"), "auth_keyboard_interactive")
        self.assertEqual(attributeName("auth_", b"x.y@example.org"), "auth_x_y_example_org")
        self.assertEqual(attributeName("auth_", "é".encode()), "auth___")
