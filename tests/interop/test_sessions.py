"""
What sessions run on our server, under OpenSSH's client and our own: terminals,
signals, and the accounts of a machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from conchlite.interfaces import ExitedBySignal
from conchlite.ssh.clientsession import SSHClientSession
from tests.interop.account import ACCOUNT, HOME, makeAccount, withAccount
from tests.interop.daemon import Daemon
from tests.interop.ours import Client, Login, Server, processes
from tests.interop.peers import SSH, Finished, hostKeys, writePrivateKey

ROOT = Path(__file__).parents[2]
LISTING = ROOT / "doc" / "howto" / "listings" / "sessions" / "accounts.py"

#: Waits for ever, and is there for signals between two moments.
WAIT = "while :; do sleep 0.01; done"


class TerminalTests(TestCase):
    """
    C{ssh -tt}.
    """

    timeout = 60

    def run_(self, command: str, data: bytes = b"", **options) -> Deferred[Finished]:
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        return SSH(self, reactor, server.port).run(command, data, RequestTTY="force", **options)

    async def test_terminal(self) -> None:
        """
        It has ssh's type, and what the client has said comes first.
        """
        finished = await self.run_(
            'tty; echo "$TERM $SSH_TTY"; stty size; exit 7', environment={"TERM": "vt220"}
        )
        name, said, size = finished.output.decode().splitlines()
        self.assertEqual((said, finished.status), (f"vt220 {name}", 7))
        self.assertTrue(name.startswith("/dev/"))
        self.assertEqual(len(size.split()), 2)

    async def test_endOfInput(self) -> None:
        finished = await self.run_("stty -echo; cat; echo done", b"line\n")
        self.assertTrue(finished.output.endswith(b"line\r\ndone\r\n"), finished.output)

    async def test_lastByte(self) -> None:
        finished = await self.run_("stty -opost; head -c 1048576 /dev/zero; printf end")
        self.assertEqual((len(finished.output), finished.status), (1048579, 0))

    async def test_signal(self) -> None:
        """
        ssh says 255 of a command that a signal ended.
        """
        self.assertEqual((await self.run_("kill -TERM $$")).status, 255)


class _Session(SSHClientSession):
    """
    @ivar received: what has come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.opened: Deferred[None] = Deferred()
        self.over: Deferred[None] = Deferred()
        self._awaited: tuple[bytes, Deferred[None]] | None = None

    def channelOpen(self, specificData: bytes) -> None:
        self.opened.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._awaited is not None and self._awaited[0] in self.received:
            said = self._awaited[1]
            self._awaited = None
            said.callback(None)

    def says(self, text: bytes) -> Deferred[None]:
        """
        Wait until the server has said something more.
        """
        self.received = b""
        self._awaited = (text, Deferred())
        return self._awaited[1]

    def closed(self) -> None:
        self.over.callback(None)


class OurClientTests(TestCase):
    """
    Our client's typed session.
    """

    timeout = 60

    async def test_terminal(self) -> None:
        """
        A terminal with modes, another size, control-C, a signal, and how it
        ended.
        """
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        client = await Client.logIn(self, reactor, server.port, Login("alice"))
        session = _Session()
        client.connection.openChannel(session)
        await session.opened
        await session.requestPty("vt100", (25, 81, 0, 0), [(53, 0)])
        said = session.says(b"ready")
        await session.execute(
            "trap 'stty size' WINCH; trap 'echo caught' INT; "
            f"stty -a | grep -o -e '-echo '; stty size; echo ready; {WAIT}"
        )
        await said
        self.assertEqual(session.received.split(b"\r\n")[:2], [b"-echo ", b"25 81"])
        for text, do in (
            (b"50 132\r\n", lambda: session.resize((50, 132, 0, 0))),
            (b"caught\r\n", lambda: session.write(b"\x03")),
            (b"caught\r\n", lambda: session.sendSignal("INT")),
        ):
            said = session.says(text)
            do()
            await said
        await session.sendBreak(500)
        session.sendSignal("TERM")
        await session.over
        self.assertEqual(session.exitSignal, ExitedBySignal("TERM"))
        self.assertIsNone(session.exitStatus)


class AccountTests(TestCase):
    """
    The chapter's server, as root, and a user who is another.
    """

    timeout = 60

    async def start(self) -> SSH:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        makeAccount(directory)
        key = writePrivateKey(hostKeys()[b"ssh-ed25519"], directory / "host")
        daemon = Daemon(reactor, directory)
        arguments = withAccount(directory, [sys.executable, str(LISTING), str(key)])
        self.addCleanup(daemon.stop)
        await daemon.start(arguments, {"PYTHONPATH": str(ROOT)}, announces=r"listening on port (\d+)")
        return SSH(self, reactor, daemon.port)

    async def test_user(self) -> None:
        """
        He is himself, at home, with and without a terminal; nobody is root.
        """
        ssh = await self.start()
        told = 'id -un; pwd; echo "$HOME $USER $LOGNAME $SHELL"; echo $SSH_CONNECTION | wc -w; '
        finished = await ssh.run(told + "kill -0 $PPID 2> /dev/null")
        lines = finished.output.decode().split("\n")
        self.assertEqual(lines[0], ACCOUNT)
        self.assertEqual(
            lines[1:4], [str(HOME / ACCOUNT), f"{HOME / ACCOUNT} {ACCOUNT} {ACCOUNT} /bin/sh", "4"]
        )
        self.assertNotEqual(finished.status, 0)
        finished = await ssh.run("id -un; stat -c %U $SSH_TTY", RequestTTY="force")
        self.assertEqual(finished.output, f"{ACCOUNT}\r\n{ACCOUNT}\r\n".encode())
        finished = await ssh.run("true", user="root")
        self.assertEqual(finished.status, 255)
