"""
C{conchlite demo}: a server and a client in this process, and what they do.

Nothing has to be set up, and nothing is left behind: the keys are made anew and
stay in memory, and the server listens on the loopback interface alone, on a
port that the system picks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, NamedTuple, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort

from conchlite import __version__
from conchlite.commands.oneshot import ICommandReactor, OneShotOptions, OneShotService
from conchlite.commands.streams import say
from conchlite.error import ConchError, safe
from conchlite.ssh.fingerprints import fingerprint

if TYPE_CHECKING:
    from conchlite.client.connecting import ClientConnection
    from conchlite.client.policies import Pin
    from conchlite.commands.demoserver import DemoServer
    from conchlite.sansio.negotiation import NegotiatedAlgorithms
    from conchlite.ssh.keys import Key

#: The status of a demonstration that did not go as it should.
STATUS_FAILED = 1

#: How many seconds a step may take.
STEP_SECONDS = 30

#: What goes to C{cat} and has to come back.
LINE = b'This data will be echoed back to us by "cat."\r\n'


class Options(OneShotOptions):
    """
    The options of C{demo}.
    """

    synopsis = "[options]"

    longdesc = (
        "Starts an SSH server on 127.0.0.1 with keys made for the occasion, connects to it over TCP, "
        "verifies its host key, logs in with a key, and runs a command there. Each step is a line "
        "that says what was done. Nothing needs to be set up, and nothing is left behind. "
        "Exit status: 0 if every step was right, 1 if not."
    )


def makeService(options: Options, reactor: ICommandReactor) -> OneShotService:
    """
    The service that shows it all, and ends.
    """
    return OneShotService(options, reactor, lambda: demonstrate(reactor), STATUS_FAILED)


def demonstrate(reactor: ICommandReactor) -> Deferred[int]:
    """
    Take every step, each within its time, and tell of it on standard output.

    @return: fires with the exit status. Fails with a L{ConchError} where a step
        did not go as it should, or took too long. Cancelling it cleans up.
    """
    return Deferred.fromCoroutine(_demonstrate(Stage(reactor)))


async def _demonstrate(stage: Stage) -> int:
    say(f"conchlite {__version__}: a server and a client in this process, over TCP")
    try:
        for step in STEPS:
            taken = Deferred.fromCoroutine(step.take(stage))
            taken.addTimeout(STEP_SECONDS, stage.reactor)
            try:
                said = await taken
            except ConchError as e:
                raise ConchError(f"demo: {step.name}: {e}") from e
            except TimeoutError as e:
                raise ConchError(f"demo: {step.name}: not done within {STEP_SECONDS} seconds") from e
            say(f"{step.name + ':':14} {said} - ok")
    finally:
        await stage.cleanUp()
    say(f"{len(STEPS)} steps, and all of them ok")
    return 0


class Stage:
    """
    What the steps have in common.

    @ivar reactor: the reactor.
    @ivar server: the server.
    @ivar port: where it listens.
    @ivar hostKey: its key.
    @ivar userKey: the key of the user.
    @ivar trusted: whom the client trusts.
    @ivar connection: the client's connection.
    """

    server: DemoServer
    port: IListeningPort
    hostKey: Key
    userKey: Key
    trusted: Pin
    connection: ClientConnection

    def __init__(self, reactor: ICommandReactor) -> None:
        self.reactor = reactor
        self._cleanUps: list[Callable[[], Awaitable[object]]] = []

    @property
    def address(self) -> IPv4Address:
        """
        Where the server listens.
        """
        return cast(IPv4Address, self.port.getHost())

    def later(self, cleanUp: Callable[[], Awaitable[object]]) -> None:
        """
        Have something done at the end, however that comes about; what was
        asked for last is done first.
        """
        self._cleanUps.append(cleanUp)

    async def cleanUp(self) -> None:
        """
        Do what was asked for.
        """
        while self._cleanUps:
            await self._cleanUps.pop()()


class Step(NamedTuple):
    """
    A step: what it is about, and the function that takes it. This says what
    was done, and raises L{ConchError} if it was not right.
    """

    name: str
    take: Callable[[Stage], Coroutine[Deferred[object], object, str]]


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ConchError(f"{what}: {found!r}, where {expected!r} is right")


async def _listen(stage: Stage) -> str:
    from conchlite.commands.demoserver import DemoServer
    from conchlite.ssh.keys import Key

    stage.hostKey, stage.userKey = Key.generate("ed25519"), Key.generate("ed25519")
    stage.server = DemoServer(stage.hostKey, stage.userKey.public())
    endpoint = TCP4ServerEndpoint(stage.reactor, 0, interface="127.0.0.1")
    stage.port = await endpoint.listen(stage.server)
    stage.later(lambda: maybeDeferred(stage.port.stopListening))
    address = stage.address
    return f"listens on {address.host} port {address.port}, with a host key and a user's key made just now"


async def _connect(stage: Stage) -> str:
    from conchlite.client.connecting import Connecting
    from conchlite.client.identities import Identity
    from conchlite.client.identityauth import IdentityUserAuth
    from conchlite.client.policies import Pin
    from conchlite.commands.demoserver import USER

    address = stage.address
    stage.trusted = Pin(fingerprint(stage.hostKey.blob()))
    connecting = Connecting(
        address.host,
        address.port,
        stage.trusted,
        lambda connection: IdentityUserAuth(USER, address.host, connection, [Identity(stage.userKey)]),
        stage.reactor,
        STEP_SECONDS,
    )
    stage.connection = await connecting.connect(TCP4ClientEndpoint(stage.reactor, address.host, address.port))
    stage.later(stage.connection.close)
    _expect("the server's connections", len(stage.server.connections), 1)
    transport = stage.connection.transport
    return (
        f"{transport.ourVersionString.decode('ascii')} connected to {safe(transport.otherVersionString)}, "
        f"and the keys were exchanged"
    )


async def _hostKey(stage: Stage) -> str:
    _expect("the host key was verified", stage.trusted.verified, True)
    shown = fingerprint(stage.hostKey.blob())
    return f"{safe(stage.hostKey.sshType())} {shown}, which is the server's own"


async def _negotiation(stage: Stage) -> str:
    ours = stage.connection.transport.negotiated
    (server,) = stage.server.connections
    _expect("what the server thinks was negotiated", server.negotiated, ours)
    if ours is None:
        raise ConchError("nothing was negotiated")
    _expect("strict key exchange", ours.strict, True)
    return ", ".join(f"{what} {safe(name)}" for what, name in _described(ours))


def _described(negotiated: NegotiatedAlgorithms) -> list[tuple[str, bytes]]:
    n = negotiated
    directions = [
        ("to the server", n.cipherClientToServer, n.macClientToServer, n.compressionClientToServer),
        ("to the client", n.cipherServerToClient, n.macServerToClient, n.compressionServerToClient),
    ]
    described = [("key exchange", n.keyExchange), ("host key", n.hostKey)]
    for where, cipher, mac, compression in directions:
        described += [
            (f"cipher {where}", cipher),
            (f"MAC {where}", b"the cipher's own" if mac is None else mac),
            (f"compression {where}", compression),
        ]
    return described


async def _login(stage: Stage) -> str:
    from conchlite.commands.demoserver import USER

    _expect("the users who are logged in", stage.server.loggedIn, [USER.encode("ascii")])
    key = stage.userKey
    return f"{USER} with publickey, {safe(key.sshType())} {fingerprint(key.blob())}"


async def _session(stage: Stage) -> str:
    from conchlite.commands.democat import CatChannel

    channel = CatChannel(stage.connection, LINE)
    await stage.connection.openChannel(channel)
    received = await channel.received
    _expect("what came back from cat", received, LINE)
    _expect("the exit status of cat", channel.exitStatus, 0)
    return f'ran "cat", which sent our line back: {safe(received.rstrip())}'


async def _leave(stage: Stage) -> str:
    await stage.connection.close()
    await stage.server.whenDeserted()
    _expect("the users who are logged in", stage.server.loggedIn, [])
    await stage.cleanUp()
    return "the connection and the port are closed, and nothing is left"


#: What is shown, in this order. To show more: a function, and its line here.
STEPS = (
    Step("server", _listen),
    Step("connection", _connect),
    Step("host key", _hostKey),
    Step("negotiation", _negotiation),
    Step("login", _login),
    Step("session", _session),
    Step("end", _leave),
)
