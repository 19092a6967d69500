"""
The socket of an agent: where nobody but its owner can reach it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory

from conchlite.error import AgentError


class AgentSocket:
    """
    A socket (mode 0600) in a new directory of its own (mode 0700).

    @ivar path: where it is.
    """

    def __init__(
        self,
        reactor: IReactorUNIX,
        factory: Factory[Any],
        directory: str | None = None,
        owner: int | None = None,
    ) -> None:
        """
        @param factory: makes what is on the other side, such as an
            L{conchlite.ssh.agent.AgentFactory}.
        @param directory: where to make the directory; L{None} for the place
            for temporary files.
        @param owner: the number of another user, whose it is to be; that takes
            root.
        @raise AgentError: it cannot be made.
        """
        # mkdtemp makes it for its owner alone, under a name that was not there.
        try:
            self._directory = tempfile.mkdtemp(prefix="ssh-", dir=directory)
        except OSError as error:
            raise AgentError(f"no directory for an agent's socket: {error.strerror}") from error
        self.path = os.path.join(self._directory, f"agent.{os.getpid()}")
        try:
            self._port = reactor.listenUNIX(self.path, factory, mode=0o600)
            if owner is not None:
                self._give(owner)
        except (OSError, CannotListenError) as error:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise AgentError(f"no socket for an agent: {error}") from error

    def _give(self, owner: int) -> None:
        # The directory stays ours: in one of his own the user could put a link
        # in the place of the socket, and we would remove, some day, what is at
        # the other end.
        try:
            os.chown(self.path, owner, -1, follow_symlinks=False)
            os.chmod(self._directory, 0o711)  # noqa: S103
        except OSError:
            self._port.stopListening()
            raise

    def close(self) -> Deferred[None]:
        """
        Take no more connections, and remove it.

        @return: a Deferred that fires when it is gone.
        """
        return maybeDeferred(self._port.stopListening).addBoth(self._gone)

    def _gone(self, _: object) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
