"""
New keys under load: C{python -m tests.benchmarks.rekeying}.

A client and a server in one process, joined by TCP, send to each other on
several channels at once, and each of them begins an exchange whenever its keys
have protected so many bytes. The same is done without exchanges, and what comes
out is compared with what went in.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet import protocol, task
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from conchlite.sansio.events import NewKeysUsed
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.service import SSHService
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport
from tests.ssh.channels import Accepting
from tests.ssh.links import ServerFactory
from tests.ssh.wholeconnections import Stream

MIB = 2**20


@dataclass
class Transfer:
    """
    One run.

    @ivar begun: how many exchanges each role began.
    @ivar done: how many there were.
    @ivar longest: the longest time in which nothing came, in seconds.
    """

    channels: int
    size: int
    rekeyBytes: int
    finished: Deferred[None] = field(default_factory=Deferred)
    begun: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})
    done: int = 0
    longest: float = 0
    seconds: float = 0
    different: int = 0

    def start(self, reactor: Any) -> Deferred[None]:
        factory = ServerFactory()
        factory.protocol = self.counting("server", SSHServerTransport)
        servers: list[Any] = []
        build = factory.buildProtocol
        factory.buildProtocol = lambda address: servers.append(build(address)) or servers[0]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        client = self.counting("client", SSHClientTransport)()
        client.verifyHostKey = lambda key, fingerprint: succeed(True)
        login = SSHService()
        login.name = "ssh-userauth"
        login.serviceStarted = lambda: self.run(client, servers[0])
        client.connectionSecure = lambda: client.requestService(login)
        connecting = protocol.ClientFactory()
        connecting.protocol = lambda: client
        connecting.noisy = False
        reactor.connectTCP("127.0.0.1", port.getHost().port, connecting)
        self.finished.addBoth(lambda _: client.loseConnection())
        return self.finished.addBoth(lambda _: port.stopListening())

    def counting(self, name: str, base: type[Any]) -> type[Any]:
        transfer = self

        class Counting(base):
            rekeyBytes = transfer.rekeyBytes
            loginTimeout = 0

            def sendKexInit(self) -> None:
                if self.sessionID and not self._parsing:
                    transfer.begun[name] += 1
                super().sendKexInit()

            def _newKeysUsed(self, event: NewKeysUsed) -> None:
                transfer.done += name == "client" and not event.first
                super()._newKeysUsed(event)

            def connectionLost(self, reason: Failure) -> None:
                super().connectionLost(reason)
                if not transfer.finished.called:
                    transfer.finished.errback(self.closeReason)

        return Counting

    def run(self, client: Any, server: Any) -> None:
        """
        Both are secure: take the user for logged in, open the channels, and begin.
        """
        accepting = Accepting()
        accepting.make = self.stream
        for end, service in ((server, accepting), (client, SSHConnection())):
            end.isAuthenticated = True
            end.setService(service)
        ours = [self.stream() for _ in range(self.channels)]
        opened = [client.service.openChannel(channel) for channel in ours]
        opened[-1].addCallback(lambda _: self.begin(ours, accepting.opened))

    def stream(self, **options: Any) -> Stream:
        stream = Stream(**options)
        digest = stream.dataReceived

        def dataReceived(data: bytes) -> None:
            now = time.monotonic()
            self.longest = max(self.longest, now - self._last)
            self._last = now
            digest(data)
            self._missing -= len(data)
            if not self._missing:
                self.end(now)

        stream.dataReceived = dataReceived
        return stream

    def begin(self, ours: list[Stream], theirs: list[Stream]) -> None:
        self._missing = 2 * self.channels * self.size
        self._started = self._last = time.monotonic()
        self._ends = [*zip(ours, theirs, strict=True), *zip(theirs, ours, strict=True)]
        for seed, (sender, _) in enumerate(self._ends):
            sender.begin(seed, self.size)

    def end(self, now: float) -> None:
        self.seconds = now - self._started
        for sender, receiver in self._ends:
            self.different += sender.digestOfSent() != receiver.digest.digest()
        self.finished.callback(None)


def interrupt(milliseconds: int) -> Callable[[], None]:
    """
    Interrupt whatever this process does, again and again.

    @return: what ends it, and says how often it was.
    """
    count = 0

    def handler(number: int, frame: object) -> None:
        nonlocal count
        count += 1

    signal.signal(signal.SIGALRM, handler)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000, milliseconds / 1000)

    def stop() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(f"{count} signals")

    return stop


async def compare(reactor: Any, arguments: argparse.Namespace) -> None:
    stop = interrupt(arguments.signals) if arguments.signals else lambda: None
    size = arguments.mebibytes * MIB // arguments.channels
    rates = []
    for rekeyBytes in (2**40, arguments.rekey * 1024):
        run = Transfer(arguments.channels, size, rekeyBytes)
        await run.start(reactor)
        rates.append(2 * arguments.mebibytes / run.seconds)
        print(
            f"{run.done} exchanges, begun {run.begun}; {rates[-1]:.0f} MiB/s; "
            f"nothing came for {run.longest:.3f} s at most; {run.different} streams differ"
        )
        if run.different:
            sys.exit(1)
    stop()
    print(f"{rates[1] / rates[0]:.0%} of the throughput without")


def main() -> None:
    parser = argparse.ArgumentParser(description="New keys under load, both ways, both sides beginning.")
    parser.add_argument("--mebibytes", type=int, default=512, help="how much is sent each way")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--rekey", type=int, default=1024, help="KiB after which each side wants new keys")
    parser.add_argument("--signals", type=int, default=0, help="milliseconds between signals; 0 for none")
    arguments = parser.parse_args()
    task.react(lambda reactor: Deferred.fromCoroutine(compare(reactor, arguments)))


if __name__ == "__main__":
    main()
