"""
Peers that have gone some lawful way, and then send whatever comes to their
minds.

C{python -m tests.fuzz.walk --walks 200000} lets so many of them loose on a
server and on a client, from the seed that is given; the suite does two
thousand. A walk that goes wrong is named by its seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.error import ConchError, PeerError
from conchlite.interfaces import IConchUser
from conchlite.sansio.negotiation import offer
from conchlite.sansio.role import Role
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from conchlite.wire import connection, kex, transport, userauth
from conchlite.wire.codec import Message
from conchlite.wire.types import packString, packUInt32
from tests.fuzz.network import TCP, Watched
from tests.sansio.pairs import FAST, End
from tests.ssh.links import Client, ServerFactory
from tests.ssh.sessions import FakeSession

_DECLARED = [
    value
    for module in (transport, kex, userauth, connection)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Message) and value is not Message
]
_WORDS = (
    *(b"", b"session", b"exec", b"shell", b"pty-req", b"env", b"subsystem", b"signal", b"exit-status"),
    *(b"window-change", b"ssh-connection", b"ssh-userauth", b"password", b"publickey", b"none", b"user"),
    *(b"keyboard-interactive", b"tcpip-forward", b"keepalive@openssh.com", b"hostkeys-00@openssh.com"),
    *(b"hostkeys-prove-00@openssh.com", b"direct-tcpip", b"x11", b"ssh-ed25519", b"rsa-sha2-256", b"right"),
)
_INTEGERS = (0, 0, 0, 1, 1, 2, 3, 5, 32768, 2**31 - 1, 2**31, 2**32 - 1)


class Imagination:
    """
    What a hostile peer thinks of next.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def bytes(self) -> bytes:
        chance = self._chance
        match chance.randrange(4):
            case 0 | 1:
                return chance.choice(_WORDS)
            case 2:
                return chance.randbytes(chance.choice((1, 4, 16, 32, 300)))
            case _:
                return self._chance.choice(_WORDS) + b"\x00\x1b[31m\xff"

    def fields(self, size: int) -> bytes:
        """
        Some fields in a row, as a message has them.
        """
        chance = self._chance
        parts = []
        for _ in range(chance.randrange(size)):
            match chance.randrange(4):
                case 0 | 1:
                    parts.append(packUInt32(chance.choice(_INTEGERS)))
                case 2:
                    parts.append(packString(self.bytes()))
                case _:
                    parts.append(bytes((chance.randrange(2),)))
        return b"".join(parts)

    def lawful(self) -> bytes:
        """
        A message that has its place somewhere.
        """
        channel = self._chance.choice((0, 0, 0, 1, 7))
        login = self._chance.choice((b"right", b"wrong"))
        message: Message = self._chance.choice(
            (
                transport.Ignore(b"x"),
                transport.Ping(b"ping"),
                transport.Debug(True, b"debug", b""),
                transport.ServiceRequest(b"ssh-userauth"),
                transport.ServiceAccept(b"ssh-userauth"),
                transport.ExtInfo({b"server-sig-algs": b"ssh-ed25519"}),
                transport.NewKeys(),
                offer(Role.CLIENT, FAST, bytes(16), first=False),
                kex.KexInitial(bytes(32)),
                userauth.UserauthRequest(
                    b"user", b"ssh-connection", b"password", b"\x00" + packString(login)
                ),
                userauth.UserauthRequest(b"user", b"ssh-connection", b"none", b""),
                userauth.UserauthFailure((b"password",), False),
                userauth.UserauthSuccess(),
                userauth.UserauthBanner(b"hello", b""),
                connection.GlobalRequest(b"keepalive@openssh.com", True, b""),
                connection.ChannelOpen(b"session", channel, 1000, 1000, b""),
                connection.ChannelOpenConfirmation(channel, 0, 1000, 1000, b""),
                connection.ChannelOpenFailure(channel, 1, b"no", b""),
                connection.ChannelData(channel, b"data"),
                connection.ChannelExtendedData(channel, 1, b"error"),
                connection.ChannelWindowAdjust(channel, 10),
                connection.ChannelEOF(channel),
                connection.ChannelClose(channel),
                connection.ChannelRequest(channel, b"exec", True, packString(b"ls")),
                connection.ChannelSuccess(channel),
                connection.ChannelFailure(channel),
            )
        )
        return message.packPayload()

    def message(self) -> bytes:
        """
        A payload.
        """
        chance = self._chance
        match chance.randrange(8):
            case 0 | 1 | 2:
                return self.lawful()
            case 3 | 4:
                return bytes((chance.choice(_DECLARED).number,)) + self.fields(7)
            case 5:
                return bytes((chance.randrange(256),)) + self.fields(4)
            case 6:
                payload = bytearray(self.lawful())
                payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
                return bytes(payload)
            case _:
                payload = bytearray(self.lawful())
                return bytes(payload[: chance.randrange(1, len(payload) + 1)]) + chance.choice((b"", b"\x00"))


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarID: bytes, mind: object, *interfaces: Any) -> Any:
        return IConchUser, SessionUser(FakeSession), lambda: None


class Factory(ServerFactory):
    """
    A server whose user has the password "right", and sessions.
    """

    services = {b"ssh-userauth": SSHUserAuthServer, b"ssh-connection": SSHConnection}
    portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(user=b"right")])

    def getService(self, transport: Any, service: bytes) -> Any:
        return super(ServerFactory, self).getService(transport, service)


class Login(SSHUserAuthClient):
    """
    A client that knows its password.
    """

    def getPassword(self, prompt: object = None) -> Any:
        return "right"


class Opening(SSHConnection):
    """
    A client's connection, with a channel on which something is asked.
    """

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self._walk = walk

    def serviceStarted(self) -> None:
        walk = self._walk
        channel = SSHChannel()
        channel.name = b"session"
        channel.channelOpen = lambda _: walk.watch(  # type: ignore[method-assign]
            self.sendRequest(channel, b"exec", packString(b"ls"), wantReply=True)
        )
        walk.watch(self.openChannel(channel))
        walk.watch(self.sendGlobalRequest(b"question", b"", wantReply=True))


class Walk(Watched):
    """
    One target, and one hostile peer.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.chance = random.Random(seed)
        self._imagination = Imagination(self.chance)
        role = self.chance.choice(tuple(Role))
        self.peer = End(role)
        self.clock = Clock()
        self.target: Any
        if role is Role.CLIENT:
            self.target = Factory().buildProtocol(None)
        else:
            self.target = Client()
            self.target.requested = Login(b"user", Opening(self))
        self.target.supportedKeyExchanges = [b"curve25519-sha256"]
        self.target.clock = self.clock
        self.tcp = TCP(self.target, 2**16)
        self._deaf = False

    def observe(self, event: Any) -> None:
        """
        What the log takes for a defect of ours is one.
        """
        if event.get("log_failure") is not None:
            self.problems.append(event["log_failure"])

    def run(self) -> str:
        """
        Walk.

        @return: how the target took it.
        """
        globalLogPublisher.addObserver(self.observe)
        try:
            self._go()
        finally:
            globalLogPublisher.removeObserver(self.observe)
        assert not self.problems, f"seed {self.seed}: {self.problems}"
        return self._end()

    def _go(self) -> None:
        chance = self.chance
        self.target.makeConnection(self.tcp)
        for step in range(chance.randrange(7)):
            self._prefix(step)
        for _ in range(chance.randint(1, 15)):
            match chance.randrange(12):
                case 0:
                    self.clock.advance(chance.choice((0.1, 1, 5)))
                case 1:
                    self._receive(chance.randbytes(chance.choice((1, 20, 300))))
                case _:
                    self._send(self._imagination.message())

    def _prefix(self, step: int) -> None:
        """
        The lawful part of the way, step by step.
        """
        client = self.peer.role is Role.CLIENT
        channel = connection.ChannelOpen(b"session", 0, 1000, 1000, b"")
        password = userauth.UserauthRequest(
            b"user", b"ssh-connection", b"password", b"\x00" + packString(b"right")
        )
        match step:
            case 0:
                self.peer.layer.start()
                self._flush()
            case 1:
                self.peer.layer.sendKexInit(FAST)
                self._flush()
            case 2:
                message = transport.ServiceRequest if client else transport.ServiceAccept
                self._send(message(b"ssh-userauth").packPayload())
            case 3:
                self._send(
                    (password if client else userauth.UserauthFailure((b"password",), False)).packPayload()
                )
                # A refusal takes its time, and so may a login.
                self.clock.advance(1)
                self._flush()
            case 4 if not client:
                self._send(userauth.UserauthSuccess().packPayload())
            case 4:
                self._send(channel.packPayload())
            case 5 if not client:
                self._send(connection.ChannelOpenConfirmation(0, 0, 1000, 1000, b"").packPayload())
            case _:
                self._send(connection.ChannelRequest(0, b"shell", True, b"").packPayload())

    def _send(self, payload: bytes) -> None:
        layer = self.peer.layer
        layer._output.append(layer._writer.seal([(payload,)]))
        self._flush()

    def _flush(self) -> None:
        """
        Let everything pass, until nobody says anything.
        """
        for _ in range(50):
            self._receive(self.peer.take())
            if not self.tcp.wire:
                return
            data, self.tcp.wire = bytes(self.tcp.wire), bytearray()
            if not self._deaf:
                try:
                    self.peer.deliver(data)
                except (ConchError, KeyError, AssertionError, AttributeError):
                    # It was taught to keep to the rules, and has not.
                    self._deaf = True

    def _receive(self, data: bytes) -> None:
        if data and not self.tcp.lost and not self.tcp.disconnecting:
            self.target.dataReceived(data)

    def _end(self) -> str:
        reason = self.target.closeReason
        assert (reason is not None) == self.tcp.disconnecting, f"seed {self.seed}: half closed"
        self.tcp.lose(ConnectionError())
        error = self.target.closeReason.value
        assert isinstance(error, ConchError), f"seed {self.seed}: {error!r}"
        assert self.waiting == 0, f"seed {self.seed}: {self.waiting} Deferreds have not fired"
        calls = self.clock.getDelayedCalls()
        assert calls == [], f"seed {self.seed}: {calls}"
        assert not self.problems, f"seed {self.seed}: {self.problems}"
        if reason is None:
            return "healthy"
        return type(error).__name__ if isinstance(error, PeerError) else "ended"


def main() -> None:
    """
    Walk so many times.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--walks", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1_000_000, help="of the first; the others follow")
    arguments = parser.parse_args()
    began = time.monotonic()
    outcomes: Counter[str] = Counter()
    for n in range(arguments.walks):
        try:
            outcomes[Walk(arguments.seed + n).run()] += 1
        except Exception as error:  # noqa: BLE001  it is what is looked for
            outcomes["WRONG"] += 1
            print(f"seed {arguments.seed + n}: {error!r}", flush=True)
    print(", ".join(f"{count} {name}" for name, count in outcomes.most_common()))
    print(f"{arguments.walks} walks, {outcomes['WRONG']} wrong, {time.monotonic() - began:.0f} seconds")
    sys.exit(outcomes["WRONG"] > 0)


if __name__ == "__main__":
    main()
