"""
Two transport layers and the link between them, in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import CLIENT_DEFAULT, AlgorithmSet
from conchlite.algorithms.publickeys.signatures import verifySignature
from conchlite.sansio import events
from conchlite.sansio.configuration import Configuration
from conchlite.sansio.events import Event
from conchlite.sansio.negotiation import offer
from conchlite.sansio.role import Role
from conchlite.sansio.transportlayer import TransportLayer
from conchlite.wire.kex import SignatureBlob
from conchlite.wire.transport import KexInit
from conchlite.wire.types import packNameList, packString, packUInt32

CLIENT_VERSION = b"SSH-2.0-client"
SERVER_VERSION = b"SSH-2.0-server"

#: Not all of the defaults: what a test negotiates unless it says otherwise.
FAST = CLIENT_DEFAULT.replacing(keyExchanges=(b"curve25519-sha256",), signatures=(b"ssh-ed25519",))


def seeded(seed: object) -> Callable[[int], bytes]:
    """
    Random bytes that are the same every time.
    """
    return random.Random(repr(seed)).randbytes


def clearPacket(payload: bytes) -> bytes:
    """
    A packet as it is before NEWKEYS.
    """
    padding = 4 + -(len(payload) + 9) % 8
    return packUInt32(len(payload) + padding + 1) + bytes((padding,)) + payload + bytes(padding)


def clientKexInit(**fields: object) -> bytes:
    """
    The payload of a client's KEXINIT that is good, but for C{fields}.
    """
    message = offer(Role.CLIENT, FAST, bytes(16), first=True)
    names = {name: getattr(message, name) for name in message.__annotations__}
    return KexInit(**{**names, **fields}).packPayload()


class HostKey:
    """
    A server's Ed25519 key.
    """

    def __init__(self, seed: bytes = b"\x17" * 32) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.blob = packString(b"ssh-ed25519") + catalogue.keyType(b"ssh-ed25519").pack(
            self._key.public_key()
        )

    def sign(self, data: bytes) -> bytes:
        return SignatureBlob(b"ssh-ed25519", self._key.sign(data)).pack()


class End:
    """
    One end: a layer, what it said, and what it received.

    @ivar happened: every event, in order.
    @ivar received: the number and the body of every service message.
    @ivar automatic: whether host keys are accepted and signatures made at once.
    """

    def __init__(self, role: Role, algorithms: AlgorithmSet = FAST, **options: Any) -> None:
        self.role = role
        self.algorithms = algorithms
        self.hostKey = HostKey()
        self.automatic = True
        self.happened: list[Event] = []
        self.received: list[tuple[int, bytes]] = []
        client = role is Role.CLIENT
        if not client:
            options.setdefault("hostKeys", {b"ssh-ed25519": self.hostKey.blob})
            options.setdefault("extensions", {b"server-sig-algs": packNameList((b"ssh-ed25519",))[4:]})
        configuration = Configuration(
            CLIENT_VERSION if client else SERVER_VERSION,
            (b"2.0", b"1.99") if client else (b"2.0",),
            verifySignature,
            **options,
        )
        self.layer = TransportLayer(role, configuration, seeded(role))

    def start(self) -> None:
        self.layer.start()
        self.layer.sendKexInit(self.algorithms)

    def take(self) -> bytes:
        return b"".join(self.layer.takeOutput())

    def deliver(self, data: bytes) -> None:
        """
        Feed bytes, and handle all that is there.
        """
        self._note(self.layer.feed(data))
        self.handleAll()

    def handleAll(self) -> None:
        for number, body in self.packets():
            if number >= 50:
                self.layer.serviceMessageSeen()
                self.received.append((number, body))
            else:
                if number == 20 and not self.layer.kexInitSent:
                    self.layer.sendKexInit(self.algorithms)
                self._note(self.layer.handle(number, body))

    def packets(self) -> Iterator[tuple[int, bytes]]:
        while (packet := self.layer.next()) is not None:
            yield packet[1], packet[2 : len(packet) - packet[0]]

    def _note(self, happened: list[Event]) -> None:
        self.happened += happened
        for event in happened if self.automatic else ():
            if isinstance(event, events.HostKeyOffered):
                self.layer.acceptHostKey()
            elif isinstance(event, events.SignatureWanted):
                self.layer.provideSignature(self.hostKey.sign(event.data))

    def count(self, kind: type[Event]) -> int:
        return sum(type(event) is kind for event in self.happened)


class Pair:
    """
    A client, a server, and the bytes that each sent.

    @ivar recorded: the bytes that each role sent, in order, since L{start}.
    """

    def __init__(self, client: End | None = None, server: End | None = None) -> None:
        self.client = client or End(Role.CLIENT)
        self.server = server or End(Role.SERVER)
        self.recorded: dict[Role, list[bytes]] = {Role.CLIENT: [], Role.SERVER: []}

    def start(self) -> None:
        self.client.start()
        self.server.start()

    def pump(self) -> None:
        """
        Carry bytes both ways until neither side has more to say.
        """
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((self.client, self.server), (self.server, self.client)):
                data = sender.take()
                if data:
                    moved = True
                    self.recorded[sender.role].append(data)
                    receiver.deliver(data)

    def establish(self) -> None:
        """
        The first exchange, and a login that both sides believe in.
        """
        self.start()
        self.pump()
        self.client.layer.authenticated()
        self.server.layer.authenticated()
