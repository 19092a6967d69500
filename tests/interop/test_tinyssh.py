"""
TinySSH's server, which socat starts for each connection.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.wire.types import packString
from tests.interop.account import ACCOUNT, HOME, makeAccount, withAccount
from tests.interop.cases import ServerMatrix, ServerPeer
from tests.interop.daemon import Daemon
from tests.interop.matrix import everyAlgorithm
from tests.interop.peers import LOCALHOST, freePort, program, run


class Server(ServerPeer):
    """
    It makes its key by itself, in a directory where nobody else may write, nor
    in one of those above.
    """

    name = "TinySSH"
    user = ACCOUNT

    async def version(self, test) -> str:
        # It says its version to nobody but the package manager.
        finished = await run(test, reactor, program("dpkg-query"), ["-W", "-f", "${Version}", "tinysshd"])
        program("tinysshd")
        return finished.output.decode()

    async def startServer(self, test, directory: Path) -> Daemon:
        home = makeAccount(directory)
        keys = home / "keys"
        made = await run(test, reactor, program("tinysshd-makekey"), [str(keys)])
        assert made.status == 0, made.errors
        self._keys = keys
        port = freePort()
        listening = f"TCP-LISTEN:{port},bind={LOCALHOST},reuseaddr,fork"
        server = f"EXEC:{program('tinysshd')} -v {HOME / keys.name}"
        daemon = Daemon(reactor, directory)
        return await daemon.start(withAccount(directory, [program("socat"), listening, server]), port=port)

    def hostKeyBlobs(self) -> Collection[bytes]:
        return {packString(b"ssh-ed25519") + packString((self._keys / "ed25519.pk").read_bytes())}


@everyAlgorithm()
class TinySSHServerTests(ServerMatrix, TestCase):
    peer = Server()
