"""
The client that most programs use, and OpenSSH's server.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

import conchlite
from conchlite.client.policies import Pin
from conchlite.client.sshclient import SSHClient
from conchlite.error import ClientClosed, CommandTimedOut, ConchError, OutputTooLarge
from conchlite.ssh.fingerprints import fingerprint
from tests.interop.peers import LOCALHOST, SSHD, hostKeys, userKeys, userName

ED25519 = b"ssh-ed25519"


class SSHClientTests(TestCase):
    timeout = 120

    async def connect(self, **options: str) -> SSHClient:
        sshd = await SSHD.start(self, reactor, **options)
        client: SSHClient = await conchlite.connect(
            reactor,
            LOCALHOST,
            userName(),
            sshd.port,
            keys=[userKeys()[ED25519]],
            hostKeys=Pin(*(fingerprint(key.public().blob()) for key in hostKeys().values())),
        )
        self.sshd = sshd
        self.addCleanup(client.close)
        return client

    async def test_many(self) -> None:
        """
        More commands at once than sshd allows: all succeed, and sshd has
        refused next to none, although it counts a session for a moment longer.
        """
        client = await self.connect(MaxSessions="3")
        results = await gatherResults([client.run(f"echo {number}", check=True) for number in range(60)])
        self.assertEqual([f"{number}\n" for number in range(60)], [result.text for result in results])
        self.assertLess(self.sshd.log.count("no more sessions"), 25)

    async def test_commands(self) -> None:
        """
        Input, output, how it ended; a command that reads a part of its input.
        """
        client = await self.connect()
        data = os.urandom(2**20)
        result = await client.run(
            "cat; echo done >&2; exit 3", (data[i : i + 5000] for i in range(0, 2**20, 5000))
        )
        self.assertTrue(result.stdout == data, f"{len(result.stdout)} bytes came back")
        self.assertEqual((b"done\n", 3, None), (result.stderr, result.exitStatus, result.exitSignal))
        result = await client.run("head -c 3", (data for _ in range(1000)))
        self.assertEqual((data[:3], True), (result.stdout, result.succeeded))
        result = await client.run("kill -TERM $$")
        self.assertEqual((None, "TERM"), (result.exitStatus, result.exitSignal.name))
        result = await client.run("echo a; echo b >&2; echo c", stderr="merge")
        self.assertEqual(["a", "b", "c"], sorted(result.lines))

    async def test_givenUp(self) -> None:
        """
        What is given up ends there as well, and the connection goes on.
        """

        async def never() -> Any:
            # Of a user who is root sshd takes no signals; but cat ends with the channel.
            yield await Deferred()

        client = await self.connect(MaxSessions="1")
        clock = Clock()
        late = SSHClient(client.connection, clock).run("echo begun; exec cat", never(), timeout=1)
        while not any(it.localWindowLeft < it.localWindowSize for it in client.connection.channels.values()):
            await deferLater(reactor, 0.01)
        clock.advance(1)
        with self.assertRaises(CommandTimedOut) as caught:
            await late
        self.assertEqual(b"begun\n", caught.exception.result.stdout)
        with self.assertRaises(OutputTooLarge):
            await client.run("cat /dev/zero", maxOutput=10**6)
        running = client.run("exec cat", never())
        reactor.callLater(0.1, running.cancel)
        with self.assertRaises(CancelledError):
            await running
        # There is one place, and none of them holds it.
        self.assertEqual("still here\n", (await client.run("echo still here")).text)

    async def test_streams(self) -> None:
        client = await self.connect()
        async with await client.open("cat; echo over >&2") as process:
            await process.stdin.write("one\ntwo\n")
            self.assertEqual(b"one\n", await process.stdout.readLine())
            process.stdin.close()
            self.assertEqual(b"over\n", await process.stderr.read())
            self.assertEqual([b"two\n"], [line async for line in process.stdout])
            self.assertTrue((await process.wait()).succeeded)
        # Either stream first: neither is as large as the other's window.
        for first, second in (("stdout", "stderr"), ("stderr", "stdout")):
            process = await client.open("head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2")
            for name in (first, second):
                self.assertEqual(5000000, len(await getattr(process, name).read()))

    async def test_shell(self) -> None:
        client = await self.connect()
        async with await client.shell() as shell:
            await shell.stdin.write("stty size; exit 7\n")
            self.assertIn(b"24 80\r\n", await shell.stdout.read())
            self.assertEqual(7, (await shell.wait()).exitStatus)

    async def test_ends(self) -> None:
        """
        A connection that breaks is no end of a command.
        """
        client = await self.connect()
        lost: Any = client.whenLost()
        with self.assertRaises(ConchError) as caught:
            await client.run("kill -KILL $PPID")
        self.assertIs(caught.exception, await lost)
        with self.assertRaises(ClientClosed):
            await client.run("true")
