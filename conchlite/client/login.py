"""
Logging in with what a program was given: keys, a password, known hosts, and
perhaps somebody to ask about a host that is not known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorTCP, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.client.connecting import ClientConnection, ClientTransport, Connecting
from conchlite.client.hostentries import REVOKED
from conchlite.client.hostkeys import DEFAULT_PATHS, HostKeys
from conchlite.client.identities import Identity
from conchlite.client.identityauth import IdentityUserAuth
from conchlite.client.knownhosts import KnownHostsFile, UserInterface, hostPattern
from conchlite.error import (
    AuthenticationFailed,
    CannotConnect,
    Disconnected,
    HostKeyRejected,
    HostKeyUnknown,
    UsageError,
    safe,
)
from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from conchlite.ssh.keys import Fingerprint, Key

#: How many seconds a TCP connection may take to come about.
TCP_SECONDS = 30

#: How many seconds it may take, that included, until the server has proved who
#: it is.
SECURE_SECONDS = 60

#: What may be given as known hosts: a file, its path, or the usual files.
KnownHosts: TypeAlias = KnownHostsFile | FilePath[str] | FilePath[bytes] | str | bytes | None


class IClientReactor(IReactorPluggableNameResolver, IReactorTCP, IReactorTime):
    """
    What a new connection asks of the reactor.
    """


class Login:
    """
    Who logs in where, and how: each L{connect} makes a connection.

    @ivar username: who logs in.
    """

    def __init__(
        self,
        reactor: IClientReactor,
        username: Text,
        hostname: Text,
        port: int | None = None,
        keys: Sequence[Key] = (),
        password: Text | None = None,
        knownHosts: KnownHosts = None,
        ui: UserInterface | None = None,
        algorithms: AlgorithmSet | None = None,
    ) -> None:
        """
        @param hostname: the server's name, or its address, IPv4 or IPv6.
        @param port: its port; by default 22.
        @param keys: private keys, in the order in which they are offered.
        @param password: the password, for a server that accepts no key.
        @param knownHosts: by default the files of the user and of the machine.
        @param ui: whom to ask about a host that is not known; what is accepted
            is added to the known hosts, to the user's file by default. L{None}
            to refuse it.
        @param algorithms: what is offered to the server; by default what every
            client offers.
        @raise UsageError: one of C{keys} is no private key.
        """
        for key in keys:
            if key.isPublic():
                raise UsageError("keys: one is a public key, and only a private key can log in")
        self.username = asBytes(username)
        self._reactor = reactor
        # Bytes that are no text are no name either: the TCP endpoint refuses them.
        self._host = hostname if isinstance(hostname, str) else hostname.decode("utf-8", "backslashreplace")
        self._port = 22 if port is None else port
        self._keys = tuple(keys)
        self._password = password
        self._files = _knownHostsFiles(knownHosts)
        self._ui = ui
        self._algorithms = algorithms

    def connect(self) -> Deferred[ClientConnection]:
        """
        Connect and log in.

        @return: fires with the connection when the user is logged in. Fails
            with what L{HostnameEndpoint} fails with where there is no server,
            with L{AuthenticationFailed}, also where the server puts an end to
            the login, and with whatever else ended the connection. Cancelling
            it drops the connection.
        """
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> ClientConnection:
        connecting = _Connecting(
            self._host, self._port, HostKeys(self._files), self._makeUserAuth, self._reactor, SECURE_SECONDS
        )
        connecting.algorithms = self._algorithms
        if self._ui is not None:
            connecting.question = partial(self._ask, self._ui)
        endpoint = HostnameEndpoint(self._reactor, self._host, self._port, TCP_SECONDS)
        try:
            return await connecting.connect(endpoint)
        except CannotConnect as error:
            if isinstance(error.data, Failure) and error.data.value is not None:
                raise error.data.value from None
            raise
        except Disconnected as error:
            if connecting.userAuth is None:
                raise
            # As OpenSSH's sshd does after too many attempts.
            raise AuthenticationFailed(f"the server ended the login: {error}") from error

    def _ask(self, ui: UserInterface, address: str, hostKey: bytes) -> Deferred[bool]:
        name = hostPattern(self._host, self._port)
        for file in self._files:
            for number, entry in file.entriesFor(name):
                if entry.marker != REVOKED:
                    # Of the same type it would have been refused.
                    ui.warn(
                        f"The host {safe(name)} is known with a {safe(entry.keyType)} key "
                        f"({file.path}, line {number}), and shows one of another type.\n".encode()
                    )
        return self._files[0].verifyHostKey(ui, name, hostPattern(address, self._port), hostKey)

    def _makeUserAuth(self, connection: ClientConnection) -> IdentityUserAuth:
        identities = [Identity(key) for key in self._keys]
        userAuth = _UserAuth(self.username, self._host, connection, identities)
        userAuth.given = self._password
        return userAuth


def _knownHostsFiles(knownHosts: KnownHosts) -> list[KnownHostsFile]:
    if isinstance(knownHosts, KnownHostsFile):
        return [knownHosts]
    if knownHosts is None:
        paths = list(DEFAULT_PATHS)
    else:
        paths = [os.fsdecode(knownHosts.path if isinstance(knownHosts, FilePath) else knownHosts)]
    return [KnownHostsFile.fromPath(FilePath(os.path.expanduser(path))) for path in paths]


class _Connecting(Connecting):
    """
    Makes a connection, and asks about a host that is not known.

    @ivar question: asks, with the server's address and the blob of its key.
    """

    question: Callable[[str, bytes], Deferred[bool]] | None = None

    def makeTransport(self) -> ClientTransport:
        return _Transport()

    def ask(self, unknown: Failure, transport: ClientTransport, hostKey: bytes) -> Deferred[bool] | Failure:
        """
        Ask whether a host that is not known is the one that is meant.

        @param unknown: what to fail with where nobody is to be asked.
        """
        if self.question is None:
            return unknown
        # The server has proved who it is; how long a person takes is no
        # matter of the network.
        self._stopTimeout()
        return self.question(getattr(transport.getPeer().address, "host", self._host), hostKey)


class _Transport(ClientTransport):
    connecting: _Connecting
    _verdict: Deferred[object] | None = None

    def verifyHostKey(self, hostKey: bytes, fingerprint: Fingerprint) -> Deferred[object]:
        verdict = self._verdict = super().verifyHostKey(hostKey, fingerprint)
        return verdict.addErrback(self._ebUnknown, hostKey).addErrback(self._ebUnanswered)

    def _ebUnknown(self, failure: Failure, hostKey: bytes) -> Deferred[bool] | Failure:
        failure.trap(HostKeyUnknown)
        return self.connecting.ask(failure, self, hostKey)

    def _ebUnanswered(self, failure: Failure) -> Failure:
        failure.trap(CancelledError)
        raise HostKeyRejected("the connection ended before the host key was accepted")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._verdict is not None:
            # Nobody waits for the answer any more.
            self._verdict.cancel()


class _UserAuth(IdentityUserAuth):
    """
    Logs in with what the program was given: nobody is asked.
    """

    given: Text | None = None

    def getPassword(self, prompt: bytes | None = None) -> Deferred[Text | None] | None:
        return None if prompt is not None else succeed(self.given)
