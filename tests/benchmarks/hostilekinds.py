"""
What hostile clients do, and what an honest one does.

Each kind is a function that takes a L{Peer}, and leaves it to its fate.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, AlgorithmSet
from conchlite.limits import MAXIMUM_NAME_LIST_SIZE, MAXIMUM_NAMES
from conchlite.sansio.role import Role
from conchlite.wire import numbers
from conchlite.wire.types import packString
from tests.benchmarks.hostileserver import PASSWORD, USER
from tests.sansio.pairs import End, clearPacket, clientKexInit

VERSION = b"SSH-2.0-hostile\r\n"
SECONDS = 10

_EXCHANGES = (b"curve25519-sha256", b"ecdh-sha2-nistp256", b"mlkem768x25519-sha256")


def kexInitPacket(**fields: object) -> bytes:
    """
    A KEXINIT that is good, but for C{fields}.
    """
    return clearPacket(clientKexInit(**fields))


class Client(End):
    """
    A client that knows when it is logged in.
    """

    def packets(self) -> Iterator[tuple[int, bytes]]:
        for number, body in super().packets():
            yield number, body
            if number == numbers.MSG_USERAUTH_SUCCESS:
                self.layer.authenticated()


class Peer:
    """
    One connection.

    @ivar rng: its own source of numbers.
    """

    def __init__(self, port: int, seed: object, source: str = "127.0.0.1") -> None:
        self.rng = random.Random(repr(seed))
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """
        Send, as far as the server lets us.
        """
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass  # It is not our fault if it has had enough.

    def secure(self, algorithms: AlgorithmSet | None = None) -> End | None:
        """
        Go through the first exchange of keys.

        @return: the machine, or L{None} if the server has ended it.
        """
        if algorithms is None:
            algorithms = CLIENT_DEFAULT.replacing(keyExchanges=(self.rng.choice(_EXCHANGES),))
        end = Client(Role.CLIENT, algorithms)
        end.start()
        self.socket.sendall(end.take())
        return end if self.until(end, lambda: end.layer.negotiated is not None) else None

    def until(self, end: End, done: Callable[[], object]) -> bool:
        """
        Read until C{done} says so.

        @return: whether it did, before the server closed the connection.
        """
        while not done():
            data = self.socket.recv(65536)
            if not data:
                return False
            end.deliver(data)
            self.socket.sendall(end.take())
        return True

    def sendMessages(self, end: End | None, *payloads: bytes) -> None:
        """
        Send messages under the keys.
        """
        if end is not None:
            for payload in payloads:
                end.layer.send(((payload,),))
            self.send(end.take())

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """
        Close so that the server gets a RST.
        """
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def logInAs(peer: Peer) -> End | None:
    """
    What an honest client does.

    @return: the machine, or L{None} if it is not let in.
    """
    end = peer.secure()
    if end is None:
        return None
    peer.sendMessages(end, service(b"ssh-userauth"))
    answer = request(b"password", b"\0" + packString(PASSWORD.encode()), USER.encode())
    peer.sendMessages(end, answer)

    def answers() -> set[int]:
        return {number for number, _ in end.received if number < numbers.FIRST_CONNECTION_NUMBER}

    peer.until(end, answers)
    return end if answers() == {numbers.MSG_USERAUTH_SUCCESS} else None


def logIn(peer: Peer) -> bool:
    """
    @return: whether an honest client is let in.
    """
    return logInAs(peer) is not None


def service(name: bytes) -> bytes:
    return bytes((numbers.MSG_SERVICE_REQUEST,)) + packString(name)


def request(method: bytes, data: bytes = b"", user: bytes = b"nobody") -> bytes:
    return b"".join(
        (
            bytes((numbers.MSG_USERAUTH_REQUEST,)),
            *map(packString, (user, b"ssh-connection", method)),
            data,
        )
    )


# Before a version.


def nothing(peer: Peer) -> None:
    """Silence."""


def wrongVersion(peer: Peer) -> None:
    lines = (b"SSH-1.5-old\r\n", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0\r\n", b"\r\n", b"SSH--\n", bytes(300))
    peer.send(peer.rng.choice(lines))


def halfVersion(peer: Peer) -> None:
    peer.send(VERSION[: peer.rng.randrange(1, len(VERSION))])


def endlessVersion(peer: Peer) -> None:
    peer.send(b"SSH-2.0-" + b"A" * 100_000)


def randomBytes(peer: Peer) -> None:
    peer.send(peer.rng.randbytes(peer.rng.randrange(1, 5000)))


# Before keys.


def versionOnly(peer: Peer) -> None:
    peer.send(VERSION)


def versionThenRandom(peer: Peer) -> None:
    peer.send(VERSION + peer.rng.randbytes(peer.rng.randrange(1, 5000)))


def badLength(peer: Peer) -> None:
    length = peer.rng.choice((0, 1, 11, 13, 35_001, 2**18, 2**31 - 1, 2**32 - 1))
    peer.send(VERSION + struct.pack(">L", length) + bytes(64))


def badPadding(peer: Peer) -> None:
    peer.send(VERSION + struct.pack(">LB", 28, peer.rng.choice((0, 3, 27, 28, 255))) + bytes(27))


def halfPacket(peer: Peer) -> None:
    peer.send(VERSION + struct.pack(">L", 34_996) + bytes(peer.rng.randrange(34_000)))


def randomMessage(peer: Peer) -> None:
    peer.send(VERSION + clearPacket(peer.rng.randbytes(peer.rng.randrange(1, 300))))


def badKexInit(peer: Peer) -> None:
    whole = kexInitPacket()
    names = tuple(b"%05d" % number for number in range(MAXIMUM_NAMES + 1))
    bad = (
        clearPacket(whole[5 : peer.rng.randrange(22, len(whole) - 20)]),
        kexInitPacket(kexAlgorithms=names),
        kexInitPacket(kexAlgorithms=(b"x" * (MAXIMUM_NAME_LIST_SIZE + 1),)),
        kexInitPacket(kexAlgorithms=(b"no-such-method",)),
        kexInitPacket(encryptionAlgorithmsClientToServer=()),
    )
    peer.send(VERSION + peer.rng.choice(bad))


def noise(peer: Peer) -> None:
    peer.send(VERSION + clearPacket(bytes((numbers.MSG_IGNORE,)) + packString(b"x" * 100)) * 500)


def earlyService(peer: Peer) -> None:
    peer.send(VERSION + kexInitPacket() + clearPacket(service(b"ssh-userauth")))


def earlyNewKeys(peer: Peer) -> None:
    peer.send(VERSION + kexInitPacket() + clearPacket(bytes((numbers.MSG_NEWKEYS,))))


def kexInitOnly(peer: Peer) -> None:
    peer.send(VERSION + kexInitPacket())


def kexInitThenRandom(peer: Peer) -> None:
    peer.send(VERSION + kexInitPacket() + peer.rng.randbytes(peer.rng.randrange(1, 5000)))


def kexInitTwice(peer: Peer) -> None:
    peer.send(VERSION + kexInitPacket() * 2)


def halfECDH(peer: Peer) -> None:
    whole = clearPacket(bytes((numbers.MSG_KEX_ECDH_INIT,)) + packString(peer.rng.randbytes(32)))
    peer.send(VERSION + kexInitPacket() + whole[: peer.rng.randrange(1, len(whole))])


def lowOrderPoint(peer: Peer) -> None:
    point = peer.rng.choice((bytes(32), b"\1" + bytes(31), b"\xff" * 31, b"", bytes(33)))
    peer.send(
        VERSION + kexInitPacket() + clearPacket(bytes((numbers.MSG_KEX_ECDH_INIT,)) + packString(point))
    )


def exchangeOnly(peer: Peer) -> None:
    """As in DHEat: a key exchange, and nothing is made of it."""
    point = packString(peer.rng.randbytes(32))
    peer.send(VERSION + kexInitPacket() + clearPacket(bytes((numbers.MSG_KEX_ECDH_INIT,)) + point))


# Under keys.


def securedOnly(peer: Peer) -> None:
    peer.secure()


def securedThenRandom(peer: Peer) -> None:
    peer.secure()
    peer.send(peer.rng.randbytes(peer.rng.randrange(1, 5000)))


def securedHalf(peer: Peer) -> None:
    end = peer.secure()
    if end is not None:
        end.layer.send(((bytes((numbers.MSG_IGNORE,)) + packString(bytes(30_000)),),))
        data = end.take()
        peer.send(data[: peer.rng.randrange(1, len(data))])


def serviceFlood(peer: Peer) -> None:
    peer.sendMessages(peer.secure(), *(service(b"ssh-nonsense") for _ in range(200)))


def twoServices(peer: Peer) -> None:
    peer.sendMessages(peer.secure(), service(b"ssh-userauth"), service(b"ssh-userauth"))


def earlyConnection(peer: Peer) -> None:
    peer.sendMessages(peer.secure(), service(b"ssh-connection"))


def unknownFlood(peer: Peer) -> None:
    """Messages that all want an answer, which is not read."""
    peer.sendMessages(peer.secure(), *([b"\x19" + bytes(1000)] * 500))


def loginOnly(peer: Peer) -> None:
    peer.sendMessages(peer.secure(), service(b"ssh-userauth"))


def loginFlood(peer: Peer) -> None:
    methods = (
        request(b"none"),
        request(b"password", b"\0" + packString(b"guess"), USER.encode()),
        request(b"publickey", b"\0" + packString(b"ssh-ed25519") + packString(bytes(51))),
        request(b"x" * 300),
    )
    wanted = [service(b"ssh-userauth"), *(peer.rng.choice(methods) for _ in range(100))]
    peer.sendMessages(peer.secure(), *wanted)


def loginRandom(peer: Peer) -> None:
    rng = peer.rng
    bodies = [bytes((rng.randrange(256),)) + rng.randbytes(rng.randrange(200)) for _ in range(20)]
    peer.sendMessages(peer.secure(), service(b"ssh-userauth"), *bodies)


def loginLarge(peer: Peer) -> None:
    peer.sendMessages(peer.secure(), service(b"ssh-userauth"), request(b"password", bytes(34_000)))


#: What they do, from the first byte to the login.
KINDS: tuple[Callable[[Peer], None], ...] = (
    nothing,
    wrongVersion,
    halfVersion,
    endlessVersion,
    randomBytes,
    versionOnly,
    versionThenRandom,
    badLength,
    badPadding,
    halfPacket,
    randomMessage,
    badKexInit,
    noise,
    earlyService,
    earlyNewKeys,
    kexInitOnly,
    kexInitThenRandom,
    kexInitTwice,
    halfECDH,
    lowOrderPoint,
    exchangeOnly,
    securedOnly,
    securedThenRandom,
    securedHalf,
    serviceFlood,
    twoServices,
    earlyConnection,
    unknownFlood,
    loginOnly,
    loginFlood,
    loginRandom,
    loginLarge,
)
