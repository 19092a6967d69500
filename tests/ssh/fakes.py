"""
Two connection services joined in memory, message by message.

A message that one side sends waits on the link until the test lets it pass, so
that a test can look at it, hold it back, or lose the connection between any
two of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from conchlite.error import ConchError, ConnectionEnded, PeerError
from conchlite.ssh.address import SSHTransportAddress
from conchlite.ssh.permissions import PLAIN
from conchlite.ssh.service import SSHService
from conchlite.wire import connection, numbers

#: Message number to its declaration.
DECLARATIONS = {
    declaration.number: declaration
    for declaration in vars(connection).values()
    if isinstance(declaration, type)
    and issubclass(declaration, connection.Message)
    and declaration is not connection.Message
}


class FakeTransport:
    """
    What a service may use of an L{SSHTransportBase}.

    @ivar outbox: the messages on their way to the peer, as number and payload.
    @ivar bursts: how many packets each C{sendPackets} had.
    @ivar capacity: C{canWrite} is false while more bytes than this are in the
        outbox.
    @ivar held: whether keys are being exchanged.
    """

    sessionID = b"session identifier"
    permissions = PLAIN

    def __init__(self, isClient: bool, clock: Clock | None = None) -> None:
        self.isClient = isClient
        self.clock = clock
        self.avatar = None
        self.closeReason: Failure | None = None
        self.service: SSHService | None = None
        self.outbox: deque[tuple[int, bytes]] = deque()
        self.bursts: list[int] = []
        self.capacity = 2**40
        self.held = False
        self.unimplemented = 0
        self.disconnects: list[tuple[int, bytes]] = []
        self.peer: FakeTransport
        self._dataPath: Mapping[int, Callable[[memoryview], None]] = {}
        self._writable = True

    # What services use.

    @property
    def outboxSize(self) -> int:
        return sum(len(payload) for _, payload in self.outbox)

    @property
    def canWrite(self) -> bool:
        return self.closeReason is None and not self.held and self.outboxSize <= self.capacity

    def globalRequestMethod(self, requestName: bytes) -> None:
        return None

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if self.closeReason is None:
            self.outbox.append((messageType, bytes(payload)))
            self.tellWritable()

    def sendPackets(self, packets: Sequence[Sequence[bytes | bytearray | memoryview]]) -> None:
        self.bursts.append(len(packets))
        for parts in packets:
            whole = b"".join(parts)
            self.sendPacket(whole[0], whole[1:])

    def tellWritable(self) -> None:
        writable = self.canWrite
        if self.service is not None and writable != self._writable:
            self._writable = writable
            if writable:
                self.service.resumeWriting()
            else:
                self.service.pauseWriting()

    def sendUnimplemented(self) -> None:
        self.unimplemented += 1

    def failProtocol(self, error: PeerError) -> None:
        self.end(error, error.reason, error.answer.encode("ascii"))

    def end(self, error: ConchError, reason: int, description: bytes) -> None:
        if self.closeReason is None:
            self.closeReason = Failure(error)
            self.disconnects.append((reason, description))
            self.outbox.clear()

    def getPeer(self) -> SSHTransportAddress:
        return SSHTransportAddress(IPv4Address("TCP", "192.0.2.2", 22))

    def getHost(self) -> SSHTransportAddress:
        return SSHTransportAddress(IPv4Address("TCP", "192.0.2.1", 1022))

    def logPrefix(self) -> str:
        return "FakeTransport"

    # What tests use.

    def setService(self, service: SSHService) -> None:
        self.service = service
        service.transport = self
        service.serviceStarted()
        self._dataPath = service.dataPath()

    def hold(self) -> None:
        """
        A key exchange begins.
        """
        self.held = True
        self.tellWritable()

    def release(self) -> None:
        """
        The key exchange is over.
        """
        self.held = False
        self.tellWritable()

    def receive(self, number: int, payload: bytes) -> None:
        """
        The peer's message arrives.
        """
        if self.closeReason is not None or self.service is None:
            return
        try:
            fast = self._dataPath.get(number)
            if fast is not None:
                fast(memoryview(payload))
            else:
                self.service.packetReceived(number, payload)
        except PeerError as error:
            self.failProtocol(error)

    def deliver(self) -> tuple[int, bytes]:
        """
        Let one message pass.
        """
        message = self.outbox.popleft()
        self.peer.receive(*message)
        self.tellWritable()
        return message

    def lose(self, error: ConchError | None = None) -> None:
        """
        The connection is gone.
        """
        if self.closeReason is None:
            self.closeReason = Failure(error or ConnectionEnded("the cable was cut"))
        service, self.service = self.service, None
        self.outbox.clear()
        if service is not None:
            service.serviceStopped()

    def messages(self) -> list[connection.Message]:
        """
        What is in the outbox.
        """
        return [DECLARATIONS[number].unpack(payload) for number, payload in self.outbox]

    def take(self) -> list[connection.Message]:
        """
        What is in the outbox; it does not reach the peer.
        """
        messages = self.messages()
        self.outbox.clear()
        self.tellWritable()
        return messages

    def names(self) -> list[str]:
        """
        The names of the messages in the outbox.
        """
        return [numbers.messageName(number) for number, _ in self.outbox]


class Link:
    """
    Two transports, a client's and a server's, and their services.

    @ivar delivered: the names of the messages that passed, in their order,
        each with C{">"} before it if the client sent it, else C{"<"}.
    """

    def __init__(self, client: SSHService, server: SSHService, avatar: object = None) -> None:
        self.clock = Clock()
        self.client = FakeTransport(True, self.clock)
        self.server = FakeTransport(False, self.clock)
        self.client.peer, self.server.peer = self.server, self.client
        self.server.avatar = avatar
        self.delivered: list[str] = []
        self.server.setService(server)
        self.client.setService(client)

    def pump(self, limit: int = 1_000_000) -> int:
        """
        Let messages pass, in turn from either side, until none is left.

        @return: how many there were.
        """
        count = 0
        while (self.client.outbox or self.server.outbox) and count < limit:
            for side, arrow in ((self.client, ">"), (self.server, "<")):
                if side.outbox:
                    number, _ = side.deliver()
                    self.delivered.append(arrow + numbers.messageName(number))
                    count += 1
        return count

    def lose(self, error: ConchError | None = None) -> None:
        """
        Cut the connection.
        """
        self.client.lose(error)
        self.server.lose(error)


def results(deferred: Deferred[object]) -> list[object]:
    """
    A list that gets what C{deferred} fires with, or its failure.
    """
    found: list[object] = []
    deferred.addBoth(found.append)
    return found
