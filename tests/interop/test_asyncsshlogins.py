"""
AsyncSSH, which has both halves of what OpenSSH has only one of: a server that asks
for a new password, questions in several rounds, a client that signs as its machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.cred.credentials import IUsernamePassword
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.checkers import HostBasedChecker, InMemoryHostBasedDB
from conchlite.error import PasswordExpired
from conchlite.interfaces import IKeyboardInteractive, IPasswordChange
from tests.interop.daemon import STAGE, Daemon
from tests.interop.loginscenes import CLIENT_HOST, PASSWORD, Checker, giving
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import hostKeys, publicKeyLine, run, writePrivateKey
from tests.interop.programpeers import PROGRAMS, PythonProgram


class AsyncSSHTests(TestCase):
    timeout = 60
    peer = PythonProgram("AsyncSSH", "asyncssh", "asyncssh")
    program = str(PROGRAMS / "asyncssh_logins.py")

    async def prepare(self) -> tuple[str, Path, str]:
        await self.peer.command(self, "client")
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        key = hostKeys()[b"ssh-ed25519"]
        (directory / "hosts").write_text(f"{CLIENT_HOST} {publicKeyLine(key)}\n")
        return sys.executable, directory, str(writePrivateKey(key, directory / "host"))

    async def test_server(self):
        """
        Two rounds, a new password, a machine's word.
        """
        path, directory, hostKey = await self.prepare()
        STAGE.clear()
        daemon = await Daemon(reactor, directory).start(
            [path, self.program, "server", hostKey, str(directory / "hosts")], announces=r"listening (\d+)"
        )
        self.addCleanup(daemon.stop)
        answers = [["Frost und Tau"], ["a", "b"]]
        passwords = {None: "old", b"Old Password: ": "old", b"Another one: ": PASSWORD}
        machine = [hostKeys()[b"ssh-ed25519"]]
        programs = {
            "answers": {"getGenericAnswers": lambda name, instruction, prompts: answers.pop(0)},
            "expired": {"getPassword": lambda prompt=None: passwords[prompt]},
            "host": {
                "clientHostName": CLIENT_HOST,
                "clientUserName": "me",
                "getHostKey": lambda: machine.pop() if machine else None,
            },
        }
        for user, given in programs.items():
            order = ("keyboard-interactive", "password", "hostbased")
            answered = {"preferredOrder": order, **giving([]), **given}
            client = await Client.logIn(self, reactor, daemon.port, Login(user, userAuth=answered))
            await client.close()
        self.assertEqual((answers, machine), ([], []))

    async def test_client(self):
        path, _, hostKey = await self.prepare()
        given = []

        async def converse(credentials):
            given.append(await credentials.ask("First", "one", [("Password: ", False)]))
            given.append(await credentials.ask("Thanks", "", []))
            given.append(await credentials.ask("Second", "two", [("A? ", True), ("B? ", False)]))
            return credentials.username == b"answers"

        async def check(credentials):
            if credentials.username == b"expired" and credentials.password == b"old":
                raise PasswordExpired("Another one: ")
            return False

        async def change(credentials):
            return (credentials.password, credentials.newPassword) == (b"old", PASSWORD.encode())

        machines = InMemoryHostBasedDB(
            {CLIENT_HOST: [hostKeys()[b"ssh-ed25519"].public()]}, {"host": [(CLIENT_HOST, "me")]}
        )
        methods = {
            "answers": [Checker(IKeyboardInteractive, converse)],
            "expired": [Checker(IUsernamePassword, check), Checker(IPasswordChange, change)],
            "host": [HostBasedChecker(machines)],
        }
        for user, checkers in methods.items():
            server = Server.start(self, reactor, checkers=checkers)
            arguments = [self.program, "client", str(server.port), user, hostKey]
            finished = await run(self, reactor, path, arguments, b"", {"HOME": "/"})
            self.assertEqual((finished.output, finished.errors), (f"in as {user}\n".encode(), b""))
        self.assertEqual(given, [["Frost und Tau"], [], ["a", "b"]])
