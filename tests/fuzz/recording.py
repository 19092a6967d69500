"""
A session that is always the same, packet by packet, to be replayed to one end
with something changed.

The key exchange's secret is fixed, cookies and padding come from a seed, and
Ed25519 signatures have no randomness: so an end that is made anew gives the
same answers as the one that was recorded, and takes the recorded packets of its
peer. What an attacker on the wire does is done to those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.algorithms.kex.curve25519 import X25519Curve
from conchlite.algorithms.kex.curves import CurveExchange
from conchlite.error import PeerError
from conchlite.limits import MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION
from conchlite.sansio.role import Role
from tests.sansio.pairs import FAST, End

#: What a flipped length may make an end wait for, and more.
FILLER = bytes(MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION + 1024)

_MODES = {
    "aes-gcm": (b"aes128-gcm@openssh.com", b"hmac-sha2-256"),
    "chacha20-poly1305": (b"chacha20-poly1305@openssh.com", b"hmac-sha2-256"),
    "aes-ctr, etm": (b"aes128-ctr", b"hmac-sha2-256-etm@openssh.com"),
    "aes-ctr, mac": (b"aes128-ctr", b"hmac-sha2-256"),
    "aes-cbc, mac": (b"aes128-cbc", b"hmac-sha2-256"),
    "aes-cbc, etm": (b"aes128-cbc", b"hmac-sha2-256-etm@openssh.com"),
}


#: The ways to protect packets that there are, by name.
MODES: dict[str, AlgorithmSet] = {
    name: FAST.replacing(ciphers=(cipher,), macs=(mac,)) for name, (cipher, mac) in _MODES.items()
}

_SIZES = (
    0,
    1,
    2,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    48,
    64,
    100,
    255,
    300,
    500,
    0,
    1,
    1100,
    1250,
    3,
    0,
    5,
    4,
    6,
    9,
)

#: What each end sends behind the handshake, 4 KiB in all: number and body. The
#: numbers are those of logins, so that nobody has to log in.
MESSAGES = [
    (50 + n, bytes(range(256)) * (size // 256) + bytes(range(size % 256))) for n, size in enumerate(_SIZES)
]


class FixedX25519(X25519Curve):
    """
    A curve on which everybody has the same key.
    """

    _private = X25519PrivateKey.from_private_bytes(b"\x11" * 32)

    def keypair(self) -> tuple[bytes, X25519PrivateKey]:
        return self._private.public_key().public_bytes_raw(), self._private


@contextmanager
def fixedSecrets() -> Iterator[None]:
    """
    Within this, key exchanges have no randomness.
    """
    method = CurveExchange(FixedX25519(), "sha256")
    with mock.patch.object(catalogue, "keyExchange", return_value=method):
        yield


class RecordedEnd(End):
    """
    An end that notes where its packets end.

    @ivar sent: what was sent, a version line or a packet each.
    @ivar behindNewKeys: the number of the first packet that is encrypted.
    """

    def __init__(self, role: Role, algorithms: AlgorithmSet) -> None:
        super().__init__(role, algorithms)
        self.sent: list[bytes] = []
        self.behindNewKeys = 0

    def flush(self) -> bytes:
        output = self.layer.takeOutput()
        if self.layer.sessionID and not self.behindNewKeys:
            # NEWKEYS is the last one in clear, and was written together with
            # what waited for it.
            self.behindNewKeys = len(self.sent) + next(
                n for n, packet in enumerate(output, 1) if len(packet) == 16 and packet[5] == 21
            )
        self.sent += output
        return b"".join(output)


class Recording:
    """
    What both ends sent.

    @ivar packets: a version line or a packet each, by the role of its sender.
    @ivar behindNewKeys: the number of the first packet that is encrypted.
    @ivar firstMessage: the number of the packet with the first message.
    """

    def __init__(self, algorithms: AlgorithmSet) -> None:
        self.algorithms = algorithms
        ends = {role: RecordedEnd(role, algorithms) for role in Role}
        client, server = ends[Role.CLIENT], ends[Role.SERVER]
        with fixedSecrets():
            for end in ends.values():
                end.start()
            _carry(client, server)
            for number, body in MESSAGES:
                for end in ends.values():
                    end.layer.send(((bytes((number,)), body),))
            _carry(client, server)
        assert client.received == server.received == MESSAGES
        self.packets = {role: end.sent for role, end in ends.items()}
        self.behindNewKeys = {role: end.behindNewKeys for role, end in ends.items()}
        # Behind its NEWKEYS, the server sends EXT_INFO.
        self.firstMessage = {role: len(end.sent) - len(MESSAGES) for role, end in ends.items()}

    def stream(self, sender: Role) -> bytes:
        """
        All that C{sender} sent.
        """
        return b"".join(self.packets[sender])

    def starts(self, sender: Role) -> list[int]:
        """
        Where in its stream each packet begins, and where the last one ends.
        """
        return list(accumulate(map(len, self.packets[sender]), initial=0))

    def clearPadding(self, sender: Role) -> set[int]:
        """
        The offsets of the bytes that nothing covers: the padding of the
        packets in clear. They mean nothing.
        """
        found: set[int] = set()
        starts = self.starts(sender)
        # The version line comes first, and is no packet.
        for n in range(1, self.behindNewKeys[sender]):
            padding = self.packets[sender][n][4]
            found.update(range(starts[n + 1] - padding, starts[n + 1]))
        return found

    def replay(self, receiver: Role, stream: bytes) -> tuple[End, PeerError | None]:
        """
        Give C{stream} to a fresh end, and more than any length asks for.

        @return: the end, and what it raised.
        """
        end = End(receiver, self.algorithms)
        with fixedSecrets():
            end.start()
            error = _feed(end, stream)
            if error is None and len(end.received) < len(MESSAGES):
                error = _feed(end, FILLER)
        return end, error


def _carry(client: RecordedEnd, server: RecordedEnd) -> None:
    moved = True
    while moved:
        moved = False
        for sender, receiver in ((client, server), (server, client)):
            data = sender.flush()
            if data:
                moved = True
                receiver.deliver(data)


def _feed(end: End, data: bytes) -> PeerError | None:
    try:
        end.deliver(data)
    except PeerError as error:
        return error
    return None
