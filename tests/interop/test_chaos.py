"""
A hundred sessions on one connection, and everything at once.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from conchlite.error import ConchError
from conchlite.sansio.flowcontrol import DATA
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.session import packRequest_window_change
from conchlite.wire.connection import ExitSignal, ExitStatus
from conchlite.wire.numbers import EXTENDED_DATA_STDERR
from tests.interop.account import ACCOUNT, startSSHD
from tests.interop.ours import Client, Login, Server, exchangeKeys
from tests.interop.peers import SSH
from tests.ssh.chaosends import End, Mischief, Pattern

_SESSIONS = 100

# How many actions there are in one turn of the reactor.
_AT_ONCE = 25


class Repeated:
    """
    What a command writes again and again, as a L{Pattern}.
    """

    def __init__(self, piece: bytes) -> None:
        self._piece = piece

    def at(self, position: int, size: int) -> bytes:
        start = position % len(self._piece)
        return (self._piece * (size // len(self._piece) + 2))[start : start + size]


class Session(End):
    """
    A session that runs one of the commands.

    @ivar status: the exit status that came.
    @ivar signal: the signal that came.
    @ivar over: fires when all is over.
    """

    name = "session"
    # What is paused for long is no end of anything here.
    closeGrace = 60

    command: str
    # Exit status and signal, as they have to be.
    result: tuple[int | None, bytes | None]
    takesData = False
    errorSize = 0

    def __init__(self, serial: int, **named: object) -> None:
        super().__init__(**named)
        self.serial = serial
        self.status: int | None = None
        self.signal: bytes | None = None
        self.over: Deferred[Session] = Deferred()
        self.running = False
        ours = Pattern(serial)
        self.follow({DATA: ours}, {DATA: ours, EXTENDED_DATA_STDERR: Repeated(b"abcdefgh\n")})
        self.prepare()

    def prepare(self) -> None:
        """
        Choose the command.
        """

    def channelOpen(self, specificData: bytes) -> None:
        super().channelOpen(specificData)
        self.conn.sendRequest(self, "exec", NS(self.command), wantReply=True).addCallbacks(
            self._cbRunning, lambda failure: failure.trap(ConchError)
        )

    def _cbRunning(self, ignored: object) -> None:
        self.running = True

    def request_exit_status(self, data: bytes) -> None:
        self._note("request")
        self.status = ExitStatus.unpack(data).exitStatus

    def request_exit_signal(self, data: bytes) -> None:
        self._note("request")
        self.signal = ExitSignal.unpack(data).signalName

    def openFailed(self, reason: ConchError) -> None:
        super().openFailed(reason)
        self.over.callback(self)

    def closed(self) -> None:
        super().closed()
        self.over.callback(self)

    @property
    def came(self) -> tuple[int, int]:
        return self.checked[DATA].position, self.checked[EXTENDED_DATA_STDERR].position

    @property
    def problems(self) -> list[str]:
        found = super().problems
        # It was told to be over before it was.
        if self.aborted or self.hasty:
            return found
        if (self.status, self.signal) != self.result:
            found.append(f"it ended with {self.status}, {self.signal!r}: {self.history}")
        if self.came != (self.expected, self.errorSize):
            found.append(f"{self.came} bytes came of {self.expected}, {self.errorSize}: {self.history}")
        return found

    @property
    def expected(self) -> int:
        return self.written[DATA]


class Echoing(Session):
    """
    What is written comes back, and besides something on standard error.
    """

    takesData = True

    def prepare(self) -> None:
        self.errorSize = self.serial % 5 * 50_000
        errors = f"yes abcdefgh | head -c {self.errorSize} >&2 &" if self.errorSize else ""
        self.command = f"{errors} cat; wait; exit {self.serial % 256}"
        self.result = self.serial % 256, None


class OnStandardError(Session):
    """
    What is written comes back on standard error.
    """

    takesData = True

    def prepare(self) -> None:
        self.command = f"cat >&2; exit {self.serial % 256}"
        self.result = self.serial % 256, None
        self.checked[EXTENDED_DATA_STDERR] = self.checked.pop(DATA)

    @property
    def came(self) -> tuple[int, int]:
        return self.checked[EXTENDED_DATA_STDERR].position, 0


class Signalled(Session):
    """
    Gets a signal when it says that it is ready: it dies of it, or has an answer
    ready.
    """

    def prepare(self) -> None:
        self.sent = (b"TERM", b"KILL", b"INT", b"HUP", b"USR1")[self.serial % 5]
        if self.sent == b"USR1":
            self.command = (
                "exec 2>&-; trap 'echo caught; exit 42' USR1; echo ready; while :; do sleep 0.05; done"
            )
            self.result = 42, None
            self._says = b"ready\ncaught\n"
        else:
            self.command = "echo ready; exec sleep 1000"
            self.result = None, self.sent
            self._says = b"ready\n"
        self.follow({DATA: Pattern(self.serial)}, {DATA: Repeated(self._says)})

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.checked[DATA].position == len(b"ready\n"):
            self.conn.sendRequest(self, "window-change", packRequest_window_change((50, 132, 0, 0)))
            self.conn.sendRequest(self, "signal", NS(self.sent))

    @property
    def came(self) -> tuple[int, int]:
        return self.checked[DATA].position, 0

    @property
    def expected(self) -> int:
        return len(self._says)


class Scene(Mischief):
    """
    One connection to sshd, and what happens on it.
    """

    kinds = (DATA,)

    def __init__(self, client: Client, seed: int) -> None:
        super().__init__(seed)
        self._client = client
        self._serial = 0
        self.sessions: list[Session] = []

    def any(self) -> End | None:
        running = [session for session in self.sessions if session.running and not session.isOver]
        return self.chance.choice(running) if running else None

    def anyThatWrites(self) -> End | None:
        return end if isinstance(end := self.any(), Echoing | OnStandardError) else None

    def endIt(self, end: End) -> None:
        # sshd closes a session when its process ends, and not before.
        if not isinstance(end, Signalled):
            super().endIt(end)

    def open(self) -> None:
        kind = self.chance.choice((Echoing, Echoing, OnStandardError, Signalled))
        session = kind(self._serial, localWindow=self.chance.choice((5000, 70_000, 2**21)))
        session.localMaxPacket = self.chance.choice((1000, 32768))
        self._serial += 1
        self.sessions.append(session)
        opening = self._client.connection.openChannel(session)
        if self.chance.random() < 0.05:
            session.aborted = True
            opening.addErrback(lambda _: None).cancel()

    def openMore(self) -> None:
        if len(self._client.connection.channels) < _SESSIONS:
            self.open()

    def exchange(self) -> None:
        self.count["exchange"] += exchangeKeys(self._client.transport)

    async def run(self, turns: int) -> None:
        for _ in range(_SESSIONS):
            self.open()
        await deferLater(reactor, 0.2)
        for _ in range(turns):
            self.act(
                {
                    self.write: 22,
                    self.produce: 3,
                    self.pause: 5,
                    self.resume: 7,
                    self.openMore: 2,
                    self.end: 2,
                    self.exchange: 0.5,
                },
                _AT_ONCE,
            )
            await deferLater(reactor, 0.005)
        for session in self.sessions:
            session.resumeProducing()
            if session.takesData and not session.ending:
                session.end(self.chance.choice((SSHChannel.loseConnection, SSHChannel.loseWriteConnection)))
        await gatherResults([session.over for session in self.sessions])


class SSHDTests(TestCase):
    """
    Our client and sshd.
    """

    timeout = 60
    seeds = (1,)
    turns = 60

    async def test_nothingIsLost(self) -> None:
        sshd = await startSSHD(self, reactor, MaxSessions="200", RekeyLimit="1M")
        for seed in self.seeds:
            client = await Client.logIn(self, reactor, sshd.port, Login(ACCOUNT))
            scene = Scene(client, seed)
            await scene.run(self.turns)
            self.assertEqual([], [(s.serial, s.command, s.problems) for s in scene.sessions if s.problems])
            self.assertEqual(([], {}), (client.lost, client.connection.channels))
            self.assertGreater(len(scene.sessions), _SESSIONS)
            whole = [s for s in scene.sessions if not (s.aborted or s.hasty)]
            self.assertGreater(len(whole), _SESSIONS // 2)
            # Theirs come besides ours, and the first.
            self.assertGreater(client.exchanges, scene.count["exchange"] + 1)
            await client.close()


class SSHTests(TestCase):
    """
    OpenSSH's ssh and our server.
    """

    timeout = 60

    async def test_multiplexed(self) -> None:
        """
        Many sessions that share the connection of the first ssh, each with
        data of its own.
        """
        self.patch(SSHConnection, "maxSessions", 30)
        # The path of a socket has to be short.
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        server = Server.start(self, reactor)
        ssh = SSH(self, reactor, server.port)
        shared = {"ControlPath": f"{directory}/control", "RekeyLimit": "512K"}
        master = ssh.start("cat", b"", ControlMaster="yes", ControlPersist="yes", **shared)
        self.assertEqual(0, (await master.finished).status)
        data = [Pattern(serial).at(0, 100_000) for serial in range(15)]
        found = await gatherResults([ssh.run("cat", piece, **shared) for piece in data])
        self.assertEqual([(0, b"")] * len(data), [(one.status, one.errors) for one in found])
        self.assertEqual(data, [one.output for one in found])
        (transport,) = server.transports
        self.assertEqual({}, transport.service.channels)
        self.assertGreater(transport.exchanges, 2)


class InterruptedTests(TestCase):
    """
    Our two ends on a machine that interrupts each system call that it can, and
    takes a few bytes at a time.
    """

    timeout = 60

    def shorten(self, tcp: Any, chance: random.Random) -> None:
        write = tcp.writeSomeData
        tcp.writeSomeData = lambda data: write(data[: chance.choice((1, 1, 7, 400))])

    async def test_signalsAndShortWrites(self) -> None:
        caught: list[int] = []
        previous = signal.signal(signal.SIGALRM, lambda number, frame: caught.append(number))
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        server = Server.start(self, reactor)
        client = await Client.connect(self, reactor, server.port, Login("alice"))
        chance = random.Random(18)
        self.shorten(client.transport.transport, chance)
        await client.ready
        self.shorten(server.transports[0].transport, chance)
        data = Pattern(18).at(0, 100_000)
        for command in await gatherResults([client.run("cat", data) for _ in range(3)]):
            self.assertEqual((data, 0, 1), (command.output, command.status, command.closes))
        self.assertEqual([], client.lost)
        self.assertGreater(len(caught), 3)
        await client.close()
