"""
The user's agent: the one whose socket SSH_AUTH_SOCK names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorUNIX
from twisted.python.failure import Failure

from conchlite.error import AgentError, BadKeyError, safe
from conchlite.ssh import agent
from conchlite.wire.agent import Identity

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

#: Seconds that an agent has to take a connection.
CONNECT_SECONDS = 10


class SSHAgentClient(agent.SSHAgentClient):
    """
    A connection to an agent that hands out its keys one by one, for
    C{getPublicKey} of a user's authentication.

    @ivar blobs: the keys that were not handed out yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blobs: list[bytes] = []

    def getPublicKeys(self) -> Deferred[None]:
        """
        Learn which keys the agent has.
        """
        return self.requestIdentities().addCallback(self._cbIdentities)

    def _cbIdentities(self, identities: list[Identity]) -> None:
        self.blobs = [blob for blob, _ in identities]

    def getPublicKey(self) -> Key | None:
        """
        The next key; L{None} after the last. Those of types that are not known
        here are left out.
        """
        from conchlite.ssh.keys import Key

        while self.blobs:
            try:
                return Key.fromString(self.blobs.pop(0), type="blob")
            except BadKeyError as error:
                self._log.debug("a key of the agent is left out: {error}", error=str(error))
        return None


def connectToAgent(reactor: IReactorUNIX, path: str | bytes | None = None) -> Deferred[SSHAgentClient]:
    """
    Connect to an agent.

    @param path: its socket; L{None} for the one that SSH_AUTH_SOCK names.
    @return: a Deferred of the connection. It fails with L{AgentError} if there
        is no agent. To cancel it gives up.
    """
    if path is None:
        path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return fail(AgentError("there is no agent: SSH_AUTH_SOCK is not set"))
    where = safe(os.fsdecode(path), 1024)

    def failed(failure: Failure) -> Failure:
        if failure.check(CancelledError):
            return failure
        from conchlite.client.connecting import connectText

        return Failure(AgentError(f"no agent at {where}: {connectText(failure)}"))

    endpoint = UNIXClientEndpoint(reactor, os.fsdecode(path), timeout=CONNECT_SECONDS)
    connecting: Deferred[SSHAgentClient] = connectProtocol(endpoint, SSHAgentClient())
    return connecting.addErrback(failed)
