"""
Agents in memory: a client and a server that are joined, and their keys.
"""

from __future__ import annotations

import functools

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from conchlite.ssh.agent import Constraints, Destination, Hop, HopKey, KeyRing, SSHAgentClient, SSHAgentServer
from conchlite.ssh.keys import Key
from conchlite.wire.agent import SessionBind
from conchlite.wire.types import packString
from conchlite.wire.userauth import SignedData
from tests.algorithms.keyvectors import keyText


@functools.cache
def keyNamed(name: str) -> Key:
    return Key.fromString(keyText(f"{name}.openssh"))


class Ends:
    """
    A client and a server, joined.

    @ivar client: the client.
    @ivar server: the server.
    """

    def __init__(self, ring: KeyRing | None = None, client: SSHAgentClient | None = None) -> None:
        self.ring = ring if ring is not None else KeyRing()
        self.client = client or SSHAgentClient()
        self.server = SSHAgentServer(self.ring)
        self.client.makeConnection(StringTransport())
        self.server.makeConnection(StringTransport())

    def flush(self) -> None:
        """
        Let everything pass that is on its way.
        """
        moved = True
        while moved:
            moved = False
            for source, target in ((self.client, self.server), (self.server, self.client)):
                data = source.transport.value()
                source.transport.clear()
                if data:
                    target.dataReceived(data)
                    moved = True

    def lose(self) -> None:
        for end in (self.client, self.server):
            end.connectionLost(Failure(ConnectionDone()))


def sent(protocol) -> list[bytes]:
    """
    The messages that a protocol has written, without their lengths; they go no
    further.
    """
    data = protocol.transport.value()
    protocol.transport.clear()
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def asked(server: SSHAgentServer, *frames: bytes) -> list[bytes]:
    """
    What a server answers.
    """
    server.dataReceived(b"".join(map(packString, frames)))
    return sent(server)


class Host:
    """
    A host on the way of an agent.

    @ivar key: its host key.
    """

    def __init__(self, name: str, key: str) -> None:
        self.name = name.encode()
        self.key = keyNamed(key)

    def hop(self, user: str = "") -> Hop:
        return Hop(user.encode(), self.name, (HopKey(self.key.public().blob()),))

    def binding(self, sessionID: bytes, forwarding: bool = False) -> SessionBind:
        """
        What binds a connection to an agent to one with this host.
        """
        signature = self.key.sign(sessionID)
        return SessionBind(self.key.public().blob(), sessionID, signature, forwarding)


#: The hosts of the scenes.
FIRST = Host("first", "ecdsa256")
SECOND = Host("second", "ecdsa384")
THIRD = Host("third", "ecdsa521")

#: Where the agent runs.
ORIGIN = Hop()


def to(*ways: tuple[Hop, Hop]) -> Constraints:
    """
    The constraint to these ways.
    """
    return Constraints(destinations=tuple(Destination(*way) for way in ways))


def login(
    key: Key,
    sessionID: bytes,
    user: bytes = b"alice",
    hostKey: bytes | None = None,
    **changes: object,
) -> bytes:
    """
    What is signed to log in.
    """
    method = b"publickey" if hostKey is None else b"publickey-hostbound-v00@openssh.com"
    fields = {
        "sessionID": sessionID,
        "messageNumber": 50,
        "userName": user,
        "serviceName": b"ssh-connection",
        "methodName": method,
        "hasSignature": True,
        "algorithm": key.supportedSignatureAlgorithms()[0],
        "publicKey": key.public().blob(),
        **changes,
    }
    return SignedData(**fields).pack() + (b"" if hostKey is None else packString(hostKey))
