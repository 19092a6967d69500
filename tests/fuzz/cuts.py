"""
A whole session, from the versions to the last byte, cut anywhere.

C{python -m tests.fuzz.cuts} cuts it behind every byte that either side sends,
and says how many there were; the test suite cuts it at some of them.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from zope.interface import implementer

from conchlite.avatar import ConchUser
from conchlite.error import AuthenticationFailed, ConchError
from conchlite.interfaces import IConchUser
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from tests.fuzz import walk
from tests.fuzz.network import Network, Watched
from tests.ssh.links import Client

DATA = random.Random(3).randbytes(3000)


class Echo(SSHChannel):
    """
    The server's end: what comes goes back.
    """

    name = b"echo"

    def dataReceived(self, data: bytes) -> None:
        self.write(data)

    def request_start(self, data: bytes) -> bool:
        self.writeExtended(1, b"started")
        return True

    def eofReceived(self) -> None:
        self.loseConnection()


@implementer(IRealm)
class Realm:
    def __init__(self, events: list[str]) -> None:
        self._events = events

    def requestAvatar(self, avatarID: bytes, mind: object, *interfaces: Any) -> Any:
        user = ConchUser()
        user.channelLookup[b"echo"] = Echo
        self._events.append("in")
        return IConchUser, user, lambda: self._events.append("out")


class Factory(walk.Factory):
    """
    A server whose user has the password "right", and a channel that echoes.
    """

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.portal = Portal(Realm(events), [InMemoryUsernamePasswordDatabaseDontUse(user=b"right")])


class Asking(SSHChannel):
    """
    The client's end.
    """

    name = b"echo"

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.received = bytearray()
        self.errors = bytearray()
        self.ends: list[str] = []

    def channelOpen(self, specificData: bytes) -> None:
        self._session.watch(self.conn.sendRequest(self, b"start", b"", wantReply=True))
        self.write(DATA)
        self.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def extReceived(self, dataType: int, data: bytes) -> None:
        self.errors += data

    def openFailed(self, reason: ConchError) -> None:
        self.ends.append("failed")

    def closed(self) -> None:
        self.ends.append("closed")
        self._session.network.client.protocol.loseConnection()


class Opening(SSHConnection):
    """
    The client's connection.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def serviceStarted(self) -> None:
        session = self._session
        session.watch(self.openChannel(session.channel))
        session.watch(self.sendGlobalRequest(b"question", b"", wantReply=True))


class Session(Watched):
    """
    A login with a password, a channel, a request, data there and back.

    @ivar logins: the user coming in and going out.
    """

    def __init__(self, **lists: list[bytes]) -> None:
        super().__init__()
        self.logins: list[str] = []
        self.channel = Asking(self)
        client, server = Client(), Factory(self.logins).buildProtocol(None)
        for each in (client, server):
            each.supportedKeyExchanges = [b"curve25519-sha256"]
            for name, names in lists.items():
                setattr(each, name, names)
        client.requested = walk.Login(b"user", Opening(self))
        self.network = Network(client, server)

    def run(self, size: Callable[[], int] = lambda: 65536, cut: tuple[int, int] | None = None) -> None:
        """
        Let everything happen.

        @param size: says how many bytes the next piece has.
        @param cut: whose bytes are counted, 0 the client's and 1 the server's,
            and behind how many of them the connection is gone.
        """
        self.network.start()
        idle = 0
        # What the server refuses it refuses a little later.
        while idle < 3:
            moved = False
            for n, tcp in enumerate(self.network.ends):
                most = size()
                if cut is not None and cut[0] == n:
                    most = min(most, cut[1] - len(tcp.delivered))
                    if not most:
                        self.network.cut()
                        return
                moved = tcp.deliver(most) or moved
            idle = 0 if moved else idle + 1
            if not moved:
                self.network.clock.advance(1)

    def check(self) -> str:
        """
        See that nothing is left of it, and nothing came that was not sent.

        @return: what the client says of its end; of a login that it ended, what
            ended the login.
        """
        client, server = (tcp.protocol for tcp in self.network.ends)
        for tcp in self.network.ends:
            assert tcp.lost, "not over"
            assert isinstance(tcp.protocol.closeReason.value, ConchError), tcp.protocol.closeReason
        assert not self.problems, self.problems
        assert self.waiting == 0, f"{self.waiting} Deferreds have not fired"
        calls = self.network.clock.getDelayedCalls()
        assert calls == [], calls
        assert len(self.channel.ends) == (self.channel.id is not None), self.channel.ends
        assert self.logins in ([], ["in", "out"]), self.logins
        assert DATA.startswith(self.channel.received)
        assert (client.service, server.service) == (None, None)
        error = client.closeReason.value
        return type(error.data if isinstance(error, AuthenticationFailed) else error).__name__


def lengths() -> tuple[int, int]:
    """
    How many bytes the client and the server send when nothing is cut.
    """
    session = Session()
    session.run()
    assert session.check() == "Disconnected"
    assert session.channel.received == DATA
    return len(session.network.client.sent), len(session.network.server.sent)


def main() -> None:
    """
    Cut everywhere.
    """
    began = time.monotonic()
    outcomes: Counter[str] = Counter()
    for sender, length in enumerate(lengths()):
        for position in range(length):
            session = Session()
            session.run(cut=(sender, position))
            try:
                outcomes[session.check()] += 1
            except AssertionError as error:
                outcomes["WRONG"] += 1
                print(f"{('client', 'server')[sender]}, byte {position}: {error}")
    print(", ".join(f"{count} {name}" for name, count in outcomes.most_common()))
    print(f"{outcomes.total()} cuts, {outcomes['WRONG']} wrong, {time.monotonic() - began:.0f} seconds")
    sys.exit(outcomes["WRONG"] > 0)


if __name__ == "__main__":
    main()
