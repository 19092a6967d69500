"""
One bulk transfer by conchlite's client, in a process of its own::

    python -m tests.benchmarks.bulk download PORT BYTES CIPHER USER IDENTITY

It prints two numbers: seconds, and seconds of the processor, from just before
the connection is made. The interpreter's start and the imports do not count.
"""

from __future__ import annotations

import sys
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ClientFactory

from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHClientTransport
from conchlite.ssh.userauth import SSHUserAuthClient

CHUNK = bytes(64 * 1024)


class Transport(SSHClientTransport):
    def verifyHostKey(self, hostKey: bytes, fingerprint: object) -> Deferred[object]:
        # Both ends are this machine's.
        return succeed(True)

    def connectionSecure(self) -> None:
        self.requestService(UserAuth(self.factory.user, Connection(self.factory)))

    def connectionLost(self, reason: object) -> None:
        super().connectionLost(reason)
        if not self.factory.done:
            print(self.closeReason.value, file=sys.stderr)
            reactor.stop()


class UserAuth(SSHUserAuthClient):
    def getPublicKey(self) -> Key:
        return Key.fromFile(self.transport.factory.identity).public()

    def getPrivateKey(self) -> Deferred[Key]:
        return succeed(Key.fromFile(self.transport.factory.identity))


class Connection(SSHConnection):
    def __init__(self, factory: Factory) -> None:
        super().__init__()
        self.factory = factory

    def serviceStarted(self) -> None:
        self.openChannel(self.factory.channel(self.factory))


class Transfer(SSHChannel):
    name = "session"
    command = ""

    def __init__(self, factory: Factory) -> None:
        super().__init__()
        self.factory = factory
        self.status: int | None = None

    def channelOpen(self, specificData: bytes) -> None:
        command = self.command.format(size=self.factory.size)
        self.conn.sendRequest(self, "exec", NS(command), wantReply=True).addCallback(self.begin)

    def begin(self, ignored: object) -> None:
        pass

    def request_exit_status(self, data: bytes) -> bool:
        self.status = int.from_bytes(data, "big")
        return True

    def closed(self) -> None:
        self.factory.done = self.status == 0 and self.complete()
        reactor.stop()

    def complete(self) -> bool:
        raise NotImplementedError


class Download(Transfer):
    command = "head -c {size} /dev/zero"
    received = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def complete(self) -> bool:
        return self.received == self.factory.size


class Upload(Transfer):
    command = "test $(wc -c) = {size}"

    def begin(self, ignored: object) -> None:
        self.left = self.factory.size
        self.paused = False
        self.registerProducer(self.Source(self), True)
        self.produce()

    def produce(self) -> None:
        while self.left and not self.paused:
            chunk = CHUNK if self.left >= len(CHUNK) else CHUNK[: self.left]
            self.left -= len(chunk)
            self.write(chunk)
        if not self.left:
            self.unregisterProducer()
            self.loseConnection()

    def complete(self) -> bool:
        return self.left == 0

    class Source:
        def __init__(self, upload: Upload) -> None:
            self.upload = upload

        def pauseProducing(self) -> None:
            self.upload.paused = True

        def resumeProducing(self) -> None:
            self.upload.paused = False
            self.upload.produce()

        def stopProducing(self) -> None:
            self.upload.paused = True


class Factory(ClientFactory):
    protocol = Transport
    done = False


def main(mode: str, port: str, size: str, cipher: str, user: str, identity: str) -> int:
    factory = Factory()
    factory.channel = {"download": Download, "upload": Upload}[mode]
    factory.size = int(size)
    factory.user = user
    factory.identity = identity
    if cipher != "default":
        Transport.supportedCiphers = [cipher.encode("ascii")]
        Transport.supportedMACs = [b"hmac-sha2-256-etm@openssh.com"]
    wall, cpu = time.perf_counter(), time.process_time()
    reactor.connectTCP("127.0.0.1", int(port), factory)
    reactor.run()
    print(time.perf_counter() - wall, time.process_time() - cpu)
    return 0 if factory.done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
