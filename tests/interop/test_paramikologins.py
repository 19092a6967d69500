"""
Logins with what other tests have not: Paramiko's passwords and answers, and each type of
user key by the clients that have one for all else.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.cred.credentials import IUsernamePassword
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.error import AuthenticationFailed
from conchlite.interfaces import IKeyboardInteractive
from conchlite.ssh.userauthserver import SSHUserAuthServer
from tests.interop import test_dropbear, test_putty
from tests.interop.cases import ClientPeer
from tests.interop.daemon import Daemon
from tests.interop.loginscenes import PASSWORD, Checker, giving
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import hostKeys, rareUserKeys, userKeys, writePrivateKey
from tests.interop.peers import run as runProgram
from tests.interop.programpeers import PROGRAMS, ProgramClient, PythonProgram

PARAMIKO = PythonProgram("Paramiko", "paramiko", "paramiko")
ROUNDS = [["Frost und Tau"], ["a", "b"]]


class ParamikoTests(TestCase):
    timeout = 60
    program = str(PROGRAMS / "paramiko_logins.py")

    async def prepare(self) -> Path:
        await PARAMIKO.command(self, "client")
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        return directory

    async def test_server(self):
        """
        A password, two rounds of prompts, one after the other; and a wrong password.
        """
        directory = await self.prepare()
        hostKey = writePrivateKey(hostKeys()[b"ssh-ed25519"], directory / "host")
        daemon = await Daemon(reactor, directory).start(
            [sys.executable, "-W", "ignore", self.program, "server", str(hostKey)],
            announces=r"listening (\d+)",
        )
        self.addCleanup(daemon.stop)
        for user in ("alice", "answers", "both"):
            answers = list(ROUNDS)
            given = {
                "preferredOrder": ("password", "keyboard-interactive"),
                **giving([]),
                "getPassword": lambda prompt=None: PASSWORD,
                "getGenericAnswers": lambda name, instruction, prompts, left=answers: (
                    left.pop(0) if prompts else []
                ),
            }
            client = await Client.logIn(self, reactor, daemon.port, Login(user, userAuth=given))
            await client.close()
            self.assertEqual(answers, ROUNDS if user == "alice" else [])
        wrong = {**giving([]), "getPassword": lambda prompt=None: "Regen"}
        login = Client.logIn(self, reactor, daemon.port, Login("alice", userAuth=wrong))
        with self.assertRaises(AuthenticationFailed):
            await login

    async def test_client(self):
        directory = await self.prepare()
        asked = []

        async def converse(credentials):
            asked.append(await credentials.ask("First", "one", [("Password: ", False)]))
            asked.append(await credentials.ask("Thanks", "", []))
            asked.append(await credentials.ask("Second", "two", [("A? ", True), ("B? ", False)]))
            return credentials.username in (b"answers", b"both")

        async def check(credentials):
            return credentials.username in (b"alice", b"both") and credentials.password == PASSWORD.encode()

        checkers = [Checker(IKeyboardInteractive, converse), Checker(IUsernamePassword, check)]
        server = Server.start(self, reactor, checkers=checkers)

        class UserAuth(SSHUserAuthServer):
            passwordDelay = failureDelay = 0.05

            def methodsFor(self, user):
                return [[b"password", b"keyboard-interactive"]] if user == b"both" else []

        server.factory.services = {**server.factory.services, b"ssh-userauth": UserAuth}
        arguments = ["-W", "ignore", self.program, "client", str(server.port)]
        environment = {"HOME": str(directory)}
        finished = await runProgram(self, reactor, sys.executable, arguments, b"", environment)
        self.assertEqual(
            finished.output.decode().splitlines(),
            [
                "alice password in",
                "answers keyboard-interactive in",
                "both password keyboard-interactive",
                "both keyboard-interactive in",
                "nobody password AuthenticationException",
                "nobody keyboard-interactive AuthenticationException",
            ],
            finished.errors,
        )
        self.assertEqual(asked, 3 * [ROUNDS[0], [], ROUNDS[1]])


class UserKeyTests(TestCase):
    """
    Each type of key that the program has, at our server.
    """

    timeout = 60

    async def check(self, peer: ClientPeer, *names: bytes) -> None:
        server = Server.start(self, reactor)
        keys = {**userKeys(), **rareUserKeys()}
        for name in names:
            finished = await peer.runClient(self, server.port, keys[name], b"hello", None)
            self.assertEqual((finished.status, finished.output), (0, b"hello"), (name, finished.errors))
            self.assertTrue(server.transports[-1].isAuthenticated)

    async def test_paramiko(self):
        await self.check(ProgramClient(PARAMIKO), *userKeys())

    async def test_dropbear(self):
        await self.check(test_dropbear.Client(), *userKeys())

    async def test_putty(self):
        await self.check(test_putty.Client(), *userKeys(), b"ssh-ed448")
