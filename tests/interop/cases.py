"""
The matrix with one peer: its server and our client, or its client and our
server.

A peer is a subclass of L{ServerPeer} or L{ClientPeer}, or of both. A test case
is a subclass of L{ServerMatrix} or L{ClientMatrix} with C{peer} set to one::

    @everyAlgorithm()
    class DropbearServerTests(ServerMatrix, TestCase):
        peer = Dropbear()

The module is named in L{tests.interop.table.MODULES}.

Nobody has to say what a peer can: its KEXINIT does. What it lists must work,
or stand in L{tests.interop.known.KNOWN}.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from conchlite.algorithms import catalogue
from conchlite.error import ConchError, ConnectionEnded, Disconnected
from conchlite.ssh.keys import Key
from conchlite.wire.transport import KexInit
from tests.interop.daemon import STAGE, Daemon
from tests.interop.known import known
from tests.interop.matrix import DATA, EVERYTHING, Cell, checkEcho, sha256
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import Finished, hostKeys, rareHostKeys, rareUserKeys, userKeys, userName

#: What goes through C{cat}: more than any peer's window.
SOME_DATA = DATA[: 192 * 1024]

#: Seconds that the first connection has.
PROBE_SECONDS = 30


class Peer:
    """
    Another implementation of SSH.

    @cvar name: what it is called in the table and in L{KNOWN}.
    @cvar userKeyType: what users log in with, where nothing is forced.
    """

    name: str
    userKeyType = b"ssh-ed25519"

    async def version(self, test) -> str:
        """
        Its version, as people say it: C{2022.83}. Skips the test if the peer
        is not installed.
        """
        raise NotImplementedError


class ServerPeer(Peer):
    """
    A peer that has a server.

    Who logs in with one of L{userKeys} may run C{cat}.

    @cvar user: who logs in.
    @cvar command: what is run: C{cat}, or what does as it does.
    """

    user: str | None = None
    command = "cat"

    async def startServer(self, test, directory: Path) -> Daemon:
        """
        Start the server, on the loopback interface.

        @param directory: an empty one, where it may leave files.
        @return: a L{Daemon} that was started.
        """
        raise NotImplementedError

    def hostKeyBlobs(self) -> Collection[bytes]:
        """
        The public host keys that it may have, once it was started.
        """
        return {key.public().blob() for key in (*hostKeys().values(), *rareHostKeys().values())}

    def userSignatures(self, offer: KexInit, extensions: Mapping[bytes, bytes]) -> Collection[bytes]:
        """
        What users can sign with: what C{server-sig-algs} says, or else what it
        signs with itself.
        """
        listed = extensions.get(b"server-sig-algs")
        return offer.serverHostKeyAlgorithms if listed is None else listed.split(b",")


class ClientPeer(Peer):
    """
    A peer that has a client.
    """

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        """
        Run C{cat} on our server, as C{alice}.

        @param key: what to log in with.
        @param data: its standard input.
        @param cell: what our server forces, or L{None} if nothing is.
        """
        raise NotImplementedError

    def clientUserSignatures(self, offer: KexInit) -> Collection[bytes]:
        """
        What it can sign with: by default, what it accepts from servers.
        """
        return offer.serverHostKeyAlgorithms


@dataclass
class Offer:
    """
    What a peer has: learnt once, from the first connection.

    @ivar kexInit: its KEXINIT.
    @ivar userSignatures: what users can sign with.
    @ivar strict: whether it does strict key exchange.
    """

    kexInit: KexInit
    userSignatures: Collection[bytes]

    @property
    def strict(self) -> bool:
        markers = {catalogue.STRICT_KEX_CLIENT, catalogue.STRICT_KEX_SERVER}
        return not markers.isdisjoint(self.kexInit.kexAlgorithms)


@functools.cache
def userKeyFor(signature: bytes) -> Key | None:
    """
    A user's private key that can sign so; L{None} if there is none, because we
    only verify such signatures.
    """
    return {**userKeys(), **rareUserKeys()}.get(catalogue.keyTypeOfSignature(signature))


def canServe(cell: Cell) -> bool:
    """
    Whether our server has the host key for it: some we only verify.
    """
    hostKey = cell.forces("signatures")
    return hostKey is None or catalogue.keyTypeOfSignature(hostKey) in {**hostKeys(), **rareHostKeys()}


@dataclass
class _Learnt:
    """
    What the tests of a class have in common.
    """

    version: str | None = None
    offer: Offer | None = None
    problem: BaseException | None = None
    server: Daemon | None = None


class Matrix:
    """
    What the two kinds of test case have in common.

    @cvar matrix: there is one, for L{tests.interop.table}.
    @cvar role: what the peer is.
    @cvar peer: the peer.
    """

    timeout = 60
    matrix = True
    role: str
    peer: Any

    @classmethod
    def learnt(cls) -> _Learnt:
        if "_learnt" not in cls.__dict__:
            cls._learnt = _Learnt()
        return cls._learnt

    async def offer(self) -> Offer:
        """
        What the peer has. Whoever has no version is not there, and that skips
        the test.
        """
        learnt = self.learnt()
        if learnt.problem is not None:
            raise learnt.problem.with_traceback(None)
        if learnt.offer is None:
            try:
                learnt.version = await self.peer.version(self)
                probing = Deferred.fromCoroutine(self.probe())
                learnt.offer = await probing.addTimeout(PROBE_SECONDS, reactor)
            except Exception as problem:
                learnt.problem = problem
                raise
        return learnt.offer

    async def tryAlgorithms(self, cell: Cell) -> str:
        offer = await self.offer()
        if cell.lackedBy(offer.kexInit, offer.userSignatures) or not self.canDo(cell):
            return "-"
        entry = known(self.peer.name, self.role, self.learnt().version, cell)
        if entry is None:
            await self.tryCell(cell, offer)
            return "ok"
        if entry.tried:
            try:
                await self.tryCell(cell, offer)
            except (self.failureException, ConchError):
                self.flushLoggedErrors()
            else:
                self.fail(f"it works: {entry}")
        return entry.reason

    def userKey(self, cell: Cell | None) -> Key | None:
        """
        What the user has; L{None} where we can make no such key.
        """
        return userKeyFor((cell and cell.forces("userSignatures")) or self.peer.userKeyType)

    def canDo(self, cell: Cell) -> bool:
        """
        Whether our half of the cell is there.
        """
        raise NotImplementedError


class ServerMatrix(Matrix):
    """
    A peer's server and our client.
    """

    role = "server"

    async def port(self) -> int:
        """
        Where the server is, which is started for the first of its tests.
        """
        learnt = self.learnt()
        if STAGE.take(reactor, type(self)) or learnt.server is None:
            directory = Path(self.mktemp()).absolute()
            directory.mkdir(parents=True)
            learnt.server = await self.peer.startServer(self, directory)
            STAGE.holds(learnt.server)
        return learnt.server.port

    async def connect(self, cell: Cell | None = None, **attributes) -> Client:
        port = await self.port()
        key = self.userKey(cell)
        login = Login(
            self.peer.user or userName(),
            key=key,
            algorithms=EVERYTHING if cell is None else cell.algorithms,
            userSignatures=EVERYTHING.signatures if cell is None else cell.userSignatures,
            knownHostKeys=frozenset(self.peer.hostKeyBlobs()),
            attributes=attributes,
        )
        return await Client.connect(self, reactor, port, login)

    async def probe(self) -> Offer:
        client = await self.connect(allowTerrapin=True)
        # Behind the login, every extension has come.
        await client.ready
        kexInit = KexInit.unpack(client.transport.otherKexInitPayload[1:])
        signatures = self.peer.userSignatures(kexInit, client.transport.peerExtensions)
        return Offer(kexInit, signatures)

    def canDo(self, cell: Cell) -> bool:
        return self.userKey(cell) is not None

    async def tryCell(self, cell: Cell, offer: Offer) -> None:
        client = await self.connect(cell, allowTerrapin=not offer.strict)
        await client.ready
        cell.check(self, client.transport)
        if (signature := cell.forces("userSignatures")) is not None:
            self.assertEqual(client.userAuth.signatureAlgorithm, signature)
        command = await client.run(self.peer.command, SOME_DATA)
        checkEcho(self, command, SOME_DATA)
        # Nobody has ended the connection before us.
        self.assertEqual(client.lost, [])
        self.assertIsInstance(await client.close(), Disconnected)
        self.assertEqual((client.verified, client.secured), (1, 1))
        self.assertEqual(command.closes, 1)


class ClientMatrix(Matrix):
    """
    A peer's client and our server.
    """

    role = "client"

    def serve(self, cell: Cell | None = None, **attributes) -> Server:
        return Server.start(
            self,
            reactor,
            EVERYTHING if cell is None else cell.algorithms,
            acceptedSignatures=EVERYTHING.signatures if cell is None else cell.userSignatures,
            **attributes,
        )

    async def probe(self) -> Offer:
        server = self.probed = self.serve(allowTerrapin=True)
        finished = await self.peer.runClient(self, server.port, self.userKey(None), SOME_DATA, None)
        self.assertTrue(server.transports, finished.errors)
        payload = server.transports[0].otherKexInitPayload
        self.assertTrue(payload, finished.errors)
        kexInit = KexInit.unpack(payload[1:])
        return Offer(kexInit, self.peer.clientUserSignatures(kexInit))

    def canDo(self, cell: Cell) -> bool:
        return self.userKey(cell) is not None and canServe(cell)

    async def tryCell(self, cell: Cell, offer: Offer) -> None:
        server = self.server = self.serve(cell, allowTerrapin=not offer.strict)
        key = self.userKey(cell)
        finished = await self.peer.runClient(self, server.port, key, SOME_DATA, cell)
        ends = [str(transport.closeReason and transport.closeReason.value) for transport in server.transports]
        self.assertEqual(finished.status, 0, f"{finished.errors!r}; at our end: {ends}")
        self.assertEqual(sha256(finished.output), sha256(SOME_DATA))
        await server.ended()
        (transport,) = server.transports
        cell.check(self, transport)
        # It said goodbye, or closed TCP once the command was over.
        reason = transport.closeReason.value
        self.assertIsInstance(reason, (Disconnected, ConnectionEnded))
        self.assertTrue(transport.isAuthenticated)
