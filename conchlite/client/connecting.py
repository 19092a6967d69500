"""
From a host's name to a connection that is logged in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.client.hostkeys import HostKeyPolicy
from conchlite.client.policies import Policy
from conchlite.client.rotation import Rotation
from conchlite.error import CannotConnect, ConchError, HostKeyRejected, safe
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.hostkeyproof import ANNOUNCEMENT
from conchlite.ssh.transport import SSHClientTransport
from conchlite.ssh.userauth import SSHUserAuthClient
from conchlite.wire import numbers

if TYPE_CHECKING:
    from conchlite.ssh.keys import Fingerprint, Key

_T = TypeVar("_T")


class ClientTransport(SSHClientTransport):
    """
    Trusts whom the policy trusts, and tells how it goes.

    @ivar connecting: to whom.
    """

    connecting: Connecting
    _verdict: Deferred[object] | None = None

    def verifyHostKey(self, hostKey: bytes, fingerprint: Fingerprint) -> Deferred[object]:
        """
        Ask the policy, and nobody else.
        """
        address = getattr(self.getPeer().address, "host", None)
        self._verdict = verdict = self.connecting.verify(hostKey, address)
        return verdict.addErrback(self._ebUnanswered)

    def _ebUnanswered(self, failure: Failure) -> Failure:
        if failure.check(CancelledError):
            raise HostKeyRejected("the connection ended before the host key was accepted")
        return failure

    def globalRequestMethod(self, requestName: bytes) -> Callable[[bytes], object] | None:
        """
        Announced host keys are of interest where the policy learns them, or
        a subclass has a use for them.
        """
        ours = type(self).hostKeysReceived is ClientTransport.hostKeysReceived
        if requestName == ANNOUNCEMENT and ours and self.connecting.rotation is None:
            return None
        return super().globalRequestMethod(requestName)

    def hostKeysReceived(self, keys: Sequence[Key]) -> object:
        """
        Let the policy learn them.
        """
        if self.connecting.rotation is not None:
            self.connecting.rotation.received(keys, self.supportedPublicKeys)
        return None

    def connectionSecure(self) -> None:
        """
        Log in.
        """
        self.connecting.secured(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell who waits for it.
        """
        super().connectionLost(reason)
        if self._verdict is not None:
            # Nobody waits for the answer any more.
            self._verdict.cancel()
        self.connecting.lost(self)


class ClientConnection(SSHConnection):
    """
    The connection after the login.

    @ivar connecting: how it came to be.
    """

    def __init__(self, connecting: Connecting) -> None:
        super().__init__()
        self.connecting = connecting

    def serviceStarted(self) -> None:
        """
        The login succeeded.
        """
        super().serviceStarted()
        self.connecting.loggedIn(self)

    def close(self) -> Deferred[None]:
        """
        Say good-bye to the server.

        @return: fires when the connection is closed; it never fails.
        """
        # OpenSSH's sshd logs any other reason as an error.
        self.transport.sendDisconnect(numbers.DISCONNECT_BY_APPLICATION, b"disconnected by user")
        return self.connecting.whenLost()


class _TransportFactory(Factory):
    noisy = False

    def __init__(self, connecting: Connecting, hostKeyAlgorithms: list[bytes]) -> None:
        self.connecting = connecting
        self._hostKeyAlgorithms = hostKeyAlgorithms

    def buildProtocol(self, addr: IAddress | None) -> ClientTransport:
        transport = self.connecting.transport = self.connecting.makeTransport()
        transport.factory = self
        transport.connecting = self.connecting
        transport.clock = self.connecting.clock
        transport.loginTimeout = self.connecting.loginTimeout
        transport.keepAliveInterval = self.connecting.keepAlive or transport.keepAliveInterval
        if self.connecting.algorithms is not None:
            transport.algorithms = self.connecting.algorithms
        transport.supportedPublicKeys = self._hostKeyAlgorithms
        return transport


class Connecting:
    """
    One connection to one server, from its beginning to its end.

    @ivar clock: what the timers run on.
    @ivar algorithms: what is offered; L{None} for the default.
    @ivar loginTimeout: how many seconds the server has from the connection to
        the end of the login, the time included that people take to answer; 0
        for no limit.
    @ivar keepAlive: after how many seconds of silence the server is asked
        whether it is there; 0 for what the transport has.
    @ivar transport: the transport, when there is one.
    @ivar userAuth: the service that logs in, when there is one.
    @ivar rotation: what learns the server's other host keys, if any are to be
        learned.
    """

    rotation: Rotation | None = None
    makeTransport: Callable[[], ClientTransport] = ClientTransport
    algorithms: AlgorithmSet | None = None
    loginTimeout: float = 0
    keepAlive: float = 0

    def __init__(
        self,
        host: str,
        port: int,
        hostKeys: HostKeyPolicy,
        makeUserAuth: Callable[[ClientConnection], SSHUserAuthClient],
        clock: IReactorTime,
        timeoutSeconds: float = 30,
    ) -> None:
        """
        @param host: the server, as the known hosts name it.
        @param hostKeys: whom to trust.
        @param makeUserAuth: makes the service that logs in and then starts
            the connection that it is given.
        @param timeoutSeconds: how long it may take until the server has
            proved who it is. The login may take longer: it may ask a person.
        """
        self._host = host
        self._port = port
        self._hostKeys = hostKeys
        self._makeUserAuth = makeUserAuth
        self._timeoutSeconds = timeoutSeconds
        self._endpointConnecting: Deferred[IProtocol] | None = None
        self._result: Deferred[ClientConnection] | None = None
        self._lost: list[Deferred[None]] = []
        self._isLost = False
        self._timeout: IDelayedCall | None = None
        self.clock = clock
        self.transport: ClientTransport | None = None
        self.userAuth: SSHUserAuthClient | None = None

    def connect(self, endpoint: IStreamClientEndpoint) -> Deferred[ClientConnection]:
        """
        Connect and log in. To be called once.

        @return: fires with the connection when the user is logged in. Fails
            with L{CannotConnect} where there is no server, and with what ended
            the connection: L{HostKeyUnknown}, L{HostKeyChanged},
            L{AuthenticationFailed}, L{Disconnected} and others, all of them
            L{ConchError}. Cancelling it drops the connection.
        """
        result: Deferred[ClientConnection] = Deferred(self._cancelled)
        self._result = result
        # What a transport offers is for it to say: this one is only asked.
        asked = self.makeTransport()
        if self.algorithms is not None:
            asked.algorithms = self.algorithms
        signatures = asked.supportedPublicKeys
        try:
            algorithms = self._hostKeys.order(self._host, self._port, signatures)
        except ConchError:
            self._fail(Failure())
            return result
        self._timeout = self.clock.callLater(self._timeoutSeconds, self._timedOut)
        self._endpointConnecting = connecting = endpoint.connect(_TransportFactory(self, algorithms))
        connecting.addCallbacks(self._connected, self._notConnected)
        return result

    def _connected(self, transport: IProtocol) -> None:
        self._endpointConnecting = None

    def _notConnected(self, failure: Failure) -> None:
        self._endpointConnecting = None
        self._isLost = True
        error = CannotConnect(f"cannot connect to {self._where()}: {connectText(failure)}", failure)
        self._fail(Failure(error))

    def _where(self) -> str:
        return f"{safe(self._host)} port {self._port}"

    def _timedOut(self) -> None:
        what = "the server has not proved who it is" if self.transport is not None else "no answer"
        error = CannotConnect(f"{self._where()}: {what} within {self._timeoutSeconds:g} seconds")
        self._fail(Failure(error))
        self._drop()

    def _cancelled(self, result: Deferred[ClientConnection]) -> None:
        self._result = None
        self._stopTimeout()
        self._drop()

    def _drop(self) -> None:
        if self._endpointConnecting is not None:
            self._endpointConnecting.cancel()
        elif self.transport is not None:
            self.transport.abortConnection()

    def _stopTimeout(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()

    def verify(self, hostKey: bytes, address: str | None = None) -> Deferred[object]:
        """
        The verdict on the server's host key.

        @param address: where the connection goes to.
        @return: fires with True; fails with L{HostKeyRejected} where the key
            is not the one that is known, and with what the policy fails with.
            Cancelling it takes a question back.
        """
        verdict: Deferred[object] = maybeDeferred(self._ask, hostKey, address)
        return verdict.addCallback(self._cbVerified, hostKey)

    def _ask(self, hostKey: bytes, address: str | None) -> object:
        answer = self._hostKeys.verify(self._host, self._port, hostKey, address)
        if isinstance(answer, Deferred):
            if not answer.called:
                # The server has proved who it is; how long a person takes is
                # no matter of the network.
                self._stopTimeout()
            return answer
        # A policy that says nothing, and does not refuse, agrees; from a
        # Deferred that means that something was forgotten.
        return True if answer is None else answer

    def _cbVerified(self, verdict: object, hostKey: bytes) -> bool:
        if verdict is not True:
            raise HostKeyRejected(f"the policy for host keys answered {verdict!r}, not True")
        if isinstance(self._hostKeys, Policy):
            self.rotation = self._hostKeys.rotation(self._host, self._port, hostKey)
        return True

    def secured(self, transport: ClientTransport) -> None:
        """
        The server has proved who it is: it is our turn.
        """
        self._stopTimeout()
        self.userAuth = self._makeUserAuth(ClientConnection(self))
        transport.requestService(self.userAuth)

    def loggedIn(self, connection: ClientConnection) -> None:
        """
        The server took the login.
        """
        result, self._result = self._result, None
        if result is not None:
            result.callback(connection)

    def lost(self, transport: ClientTransport) -> None:
        """
        The connection ended.
        """
        self._isLost = True
        if transport.closeReason is not None:
            self._fail(transport.closeReason)
        waiting, self._lost = self._lost, []
        for deferred in waiting:
            deferred.callback(None)

    def whenLost(self) -> Deferred[None]:
        """
        @return: fires when the connection is closed, or at once if it is.
        """
        deferred: Deferred[None] = Deferred()
        if self._isLost:
            deferred.callback(None)
        else:
            self._lost.append(deferred)
        return deferred

    def _fail(self, failure: Failure) -> None:
        self._stopTimeout()
        result, self._result = self._result, None
        if result is not None:
            result.errback(failure)


def connectText(failure: Failure) -> str:
    """
    Why there is no connection, in few words.
    """
    error = failure.value
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, DNSLookupError):
        return "the name cannot be resolved"
    if isinstance(error, ConnectTimeout):
        return "no answer"
    if isinstance(error, ConnectError) and isinstance(error.osError, int):
        return os.strerror(error.osError)
    return safe(failure.getErrorMessage())
