"""
Our client and OpenSSH's ssh-agent, OpenSSH's ssh-add and our agent, and agents
that are forwarded.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.trial.unittest import TestCase

from conchlite.client.agent import SSHAgentClient, connectToAgent
from conchlite.client.login import Login as ClientLogin
from conchlite.error import AgentError, AuthenticationFailed, ConchError
from conchlite.ssh.agent import AgentFactory, AgentSocket, Constraints, Destination, Hop, HopKey, KeyRing
from conchlite.ssh.agentforwarding import AgentForwarding
from conchlite.ssh.keys import Key
from conchlite.ssh.permissions import Permissions
from tests.interop.ours import Client, Command, Login, Server, processes
from tests.interop.peers import (
    LOCALHOST,
    SSH,
    SSHD,
    Finished,
    hostKeys,
    missing,
    program,
    publicKeyLine,
    run,
    start,
    userKeys,
    userName,
    writePrivateKey,
)

# A security key in software: of Debian's package openssh-tests.
_DEVICE = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"


class AgentTestCase(TestCase):
    timeout = 60

    def directory(self) -> Path:
        # Sockets have short names.
        directory = tempfile.TemporaryDirectory(prefix="agent-")
        self.addCleanup(directory.cleanup)
        return Path(directory.name)

    async def sshAgent(self, *options: str) -> str:
        """
        Start an ssh-agent.

        @return: its socket.
        """
        path = str(self.directory() / "socket")
        # It says so when it listens; the socket is there a moment before.
        await start(self, reactor, program("ssh-agent"), ["-D", "-a", path, *options]).wrote
        return path

    def ourAgent(self, ring: KeyRing) -> str:
        """
        Start an agent of ours.

        @return: its socket.
        """
        socket = AgentSocket(reactor, AgentFactory(ring))
        self.addCleanup(socket.close)
        return socket.path

    async def connect(self, path: str) -> SSHAgentClient:
        client = await connectToAgent(reactor, path)
        self.addCleanup(client.disconnect)
        return client

    async def sshAdd(self, path: str, *arguments: str, **environment: str) -> Finished:
        given = {"SSH_AUTH_SOCK": path, **environment}
        return await run(self, reactor, program("ssh-add"), list(arguments), b"", given)

    async def works(self, path: str, *arguments: str, **environment: str) -> bytes:
        finished = await self.sshAdd(path, *arguments, **environment)
        self.assertEqual(finished.status, 0, (arguments, finished.errors))
        return finished.output

    async def certified(self, key: Key, directory: Path) -> Key:
        """
        The key with a certificate of ssh-keygen's.
        """
        path = writePrivateKey(key, directory / key.sshType().decode())
        path.with_suffix(".pub").write_text(publicKeyLine(key) + "\n")
        authority = writePrivateKey(userKeys()[b"ssh-ed25519"], directory / "authority")
        arguments = ["-q", "-s", str(authority), "-I", "test", "-n", "alice", str(path.with_suffix(".pub"))]
        made = await run(self, reactor, program("ssh-keygen"), arguments)
        self.assertEqual(made.status, 0, made.errors)
        return key.withCertificate(Key.fromFile(directory / f"{path.name}-cert.pub"))


class OurAgentTests(AgentTestCase):
    """
    ssh-add and our agent.
    """

    async def test_everyKey(self):
        """
        Keys and certificates are added, listed, sign and are removed.
        """
        ring = KeyRing(reactor)
        path, directory = self.ourAgent(ring), self.directory()
        for key in userKeys().values():
            if key.sshType() == b"ssh-ed448":
                continue
            certified = await self.certified(key, directory)
            file = directory / key.sshType().decode()
            await self.works(path, "-q", str(file))
            self.assertEqual(set(ring.keys), {key.blob(), certified.blob()})
            await self.works(path, "-T", f"{file}.pub", f"{file}-cert.pub")
            self.assertEqual(len((await self.works(path, "-l")).splitlines()), 2)
            self.assertIn(publicKeyLine(key).encode(), await self.works(path, "-L"))
            await self.works(path, "-d", str(file))
            self.assertEqual(len(ring.keys), 0)
        await self.works(path, "-q", str(file))
        await self.works(path, "-D")
        self.assertEqual(len(ring.keys), 0)

    async def test_constraints(self):
        """
        A lifetime, a confirmation and destinations reach the key.
        """
        asked = []
        ring = KeyRing(reactor, confirm=lambda use: asked.append(use) or True)
        self.addCleanup(ring.removeAll)
        path, directory = self.ourAgent(ring), self.directory()
        key = userKeys()[b"ssh-ed25519"]
        file = writePrivateKey(key, directory / "key")
        (directory / "key.pub").write_text(publicKeyLine(key))
        hosts = directory / "known_hosts"
        host = hostKeys()[b"ssh-ed25519"]
        hosts.write_text(f"first {publicKeyLine(host)}\nsecond {publicKeyLine(host)}\n")
        await self.works(path, "-q", "-c", "-t", "60", str(file))
        self.assertEqual(ring.constraints(key.blob()), Constraints(lifetime=60, confirm=True))
        await self.works(path, "-T", f"{file}.pub")
        self.assertEqual([use.key for use in asked], [key.public()])
        arguments = ("-h", "first", "-h", "first>alice@second")
        await self.works(path, "-q", "-H", str(hosts), *arguments, str(file))
        at = HopKey(host.blob())
        self.assertEqual(
            ring.constraints(key.blob()).destinations,
            (
                Destination(Hop(), Hop(b"", b"first", (at,))),
                Destination(Hop(b"", b"first", (at,)), Hop(b"alice", b"second", (at,))),
            ),
        )
        self.assertNotEqual((await self.sshAdd(path, "-T", f"{file}.pub")).status, 0)

    async def test_lock(self):
        """
        ssh-add -x and -X: what locked it opens it, and nothing else.
        """
        ring = KeyRing(reactor)
        ring.add(userKeys()[b"ssh-ed25519"])
        path, directory = self.ourAgent(ring), self.directory()

        async def lock(option: str, passphrase: str) -> int:
            program = directory / "askpass"
            program.write_text(f"#!/bin/sh\necho {passphrase}\n")
            program.chmod(0o700)
            asking = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
            return (await self.sshAdd(path, option, **asking)).status

        self.assertEqual(await lock("-x", "secret"), 0)
        self.assertIn(b"no identities", (await self.sshAdd(path, "-l")).output)
        self.assertNotEqual(await lock("-X", "wrong"), 0)
        self.assertEqual(await lock("-X", "secret"), 0)
        self.assertEqual(len((await self.works(path, "-l")).splitlines()), 1)

    async def test_destinations(self):
        """
        ssh logs in to sshd with a key that our agent holds for there, and not
        with one that it holds for elsewhere.
        """
        sshd = await SSHD.start(self, reactor)
        key = userKeys()[b"ssh-ed25519"]
        hosts = tuple(HopKey(host.blob()) for host in hostKeys().values())
        for keys, status in ((hosts, 0), ((HopKey(key.blob()),), 255)):
            ring = KeyRing(reactor)
            destination = Destination(Hop(), Hop(userName().encode(), b"host", keys))
            ring.add(key, constraints=Constraints(destinations=(destination,)))
            ssh = SSH(self, reactor, sshd.port)
            agent = {"IdentityAgent": self.ourAgent(ring), "IdentitiesOnly": "no", "IdentityFile": "none"}
            finished = await ssh.run("echo there", user=userName(), **agent)
            self.assertEqual(finished.status, status, finished.errors)

    async def test_noLibraries(self):
        ring = KeyRing(reactor)
        finished = await self.sshAdd(self.ourAgent(ring), "-s", _DEVICE)
        self.assertNotEqual(finished.status, 0)
        self.assertIn(b"agent refused operation", finished.errors)


class SSHAgentTests(AgentTestCase):
    """
    Our client and ssh-agent.
    """

    async def test_everyKey(self):
        client = await self.connect(await self.sshAgent())
        directory = self.directory()
        for key in userKeys().values():
            if key.sshType() == b"ssh-ed448":
                continue
            for given in (key, await self.certified(key, directory)):
                await client.addKey(given, b"a comment")
                self.assertEqual(await client.requestIdentities(), [(given.blob(), b"a comment")])
                signature = await client.signData(given.blob(), b"data")
                self.assertTrue(key.verify(signature, b"data"))
                await client.removeIdentity(given.blob())
                self.assertEqual(await client.requestIdentities(), [])

    async def test_signatureFlags(self):
        client = await self.connect(await self.sshAgent())
        key = userKeys()[b"ssh-rsa"]
        await client.addKey(key)
        for flags, name in ((None, b"rsa-sha2-512"), (2, b"rsa-sha2-256"), (4, b"rsa-sha2-512")):
            signature = await client.signData(key.blob(), b"data", flags)
            self.assertEqual(signature[4 : 4 + len(name)], name)

    async def test_lock(self):
        client = await self.connect(await self.sshAgent())
        key = userKeys()[b"ssh-ed25519"]
        await client.addKey(key)
        await client.lock("secret")
        self.assertEqual(await client.requestIdentities(), [])
        await self.assertFailure(client.signData(key.blob(), b"data"), AgentError)
        await self.assertFailure(client.unlock("wrong"), AgentError)
        await client.unlock("secret")
        self.assertEqual(len(await client.requestIdentities()), 1)

    async def test_constraints(self):
        """
        ssh-agent understands what we say, and refuses what nobody knows.
        """
        client = await self.connect(await self.sshAgent())
        key = userKeys()[b"ssh-ed25519"]
        destination = Destination(Hop(), Hop(b"", b"host", (HopKey(hostKeys()[b"ssh-ed25519"].blob()),)))
        await client.addKey(key, constraints=Constraints(lifetime=60, destinations=(destination,)))
        await self.assertFailure(client.signData(key.blob(), b"data"), AgentError)
        unknown = Constraints(securityKeyProvider=b"/nowhere")
        await self.assertFailure(client.addKey(key, constraints=unknown), AgentError)

    async def test_securityKey(self):
        """
        A security key signs through its agent.
        """
        if not os.path.exists(_DEVICE):
            raise missing("sk-dummy.so of openssh-tests is not installed")
        path = await self.sshAgent("-P", _DEVICE)
        client, directory = await self.connect(path), self.directory()
        for kind in ("ed25519-sk", "ecdsa-sk"):
            file = str(directory / kind)
            arguments = ["-q", "-t", kind, "-N", "", "-w", _DEVICE, "-f", file]
            made = await run(self, reactor, program("ssh-keygen"), arguments)
            self.assertEqual(made.status, 0, made.errors)
            await self.works(path, "-q", "-S", _DEVICE, file)
            key = Key.fromFile(file + ".pub")
            signature = await client.signData(key.blob(), b"data")
            self.assertTrue(key.verify(signature, b"data"))
            await client.removeIdentity(key.blob())
            # Our own message for such a key is understood as well.
            provider = Constraints(securityKeyProvider=_DEVICE.encode())
            await client.addKey(Key.fromFile(file), constraints=provider)
            self.assertTrue(key.verify(await client.signData(key.blob(), b"data"), b"data"))


class LoginTests(AgentTestCase):
    """
    Our client logs in to sshd with a key that ssh-agent has.
    """

    async def logIn(self, sshd: SSHD, agent: SSHAgentClient, key: Key, bind: bool = True) -> Client:
        flags = {b"rsa-sha2-256": 2, b"rsa-sha2-512": 4}
        opened = []

        async def sign(publicKey, data):
            if bind:
                await agent.bindToTransport(client.transport)
            algorithm = client.userAuth.signatureAlgorithm
            opened.append(algorithm)
            return await agent.signData(key.blob(), data, flags.get(algorithm, 0))

        def signData(publicKey, data):
            return Deferred.fromCoroutine(sign(publicKey, data))

        login = Login(userName(), key=key, userAuth={"signData": signData})
        client = await Client.connect(self, reactor, sshd.port, login)
        await client.ready
        self.assertEqual(len(opened), 1)
        return client

    async def test_everyKey(self):
        sshd = await SSHD.start(self, reactor)
        path = await self.sshAgent()
        for key in userKeys().values():
            if key.sshType() == b"ssh-ed448":
                continue
            agent = await self.connect(path)
            await agent.addKey(key)
            await (await self.logIn(sshd, agent, key)).close()

    async def test_destination(self):
        """
        ssh-agent lets a key with a destination log in there, and nowhere
        else, and only if it is shown the connection.
        """
        sshd = await SSHD.start(self, reactor)
        path = await self.sshAgent()
        key = userKeys()[b"ssh-ed25519"]
        hosts = tuple(HopKey(host.blob()) for host in hostKeys().values())
        for user, names, bind, succeeds in (
            (b"", hosts, True, True),
            (userName().encode(), hosts, True, True),
            (b"nobody", hosts, True, False),
            (b"", (HopKey(key.blob()),), True, False),
            (b"", hosts, False, False),
        ):
            agent = await self.connect(path)
            destination = Destination(Hop(), Hop(user, b"host", names))
            await agent.addKey(key, constraints=Constraints(destinations=(destination,)))
            if succeeds:
                await (await self.logIn(sshd, agent, key, bind)).close()
            else:
                await self.assertFailure(
                    self.deferred(self.logIn(sshd, agent, key, bind)), AuthenticationFailed, ConchError
                )

    async def test_client(self):
        """
        What programs log in with shows the agent the connection: a key with a
        destination logs in.
        """
        sshd = await SSHD.start(self, reactor)
        path = await self.sshAgent()
        agent = await self.connect(path)
        hosts = tuple(HopKey(host.blob()) for host in hostKeys().values())
        destination = Destination(Hop(), Hop(b"", b"host", hosts))
        constraints = Constraints(destinations=(destination,))
        await agent.addKey(userKeys()[b"ssh-ed25519"], constraints=constraints)
        known = self.directory() / "known_hosts"
        known.write_text(
            "".join(f"[{LOCALHOST}]:{sshd.port} {publicKeyLine(host)}\n" for host in hostKeys().values())
        )
        login = ClientLogin(
            reactor,
            userName(),
            LOCALHOST,
            sshd.port,
            knownHosts=str(known),
            agent=UNIXClientEndpoint(reactor, path),
        )
        connection = await login.connect()
        await connection.close()

    def deferred(self, coroutine):
        return Deferred.fromCoroutine(coroutine)


class ForwardingCommand(Command):
    """
    A command that may use the user's agent.
    """

    forwarding: AgentForwarding

    def channelOpen(self, specificData):
        asked = self.forwarding.request(self)
        asked.addCallbacks(lambda _: super(ForwardingCommand, self).channelOpen(b""), self._ebRunning)


class ForwardingTests(AgentTestCase):
    async def test_ssh(self):
        """
        ssh -A, and ssh-add in a process that our server runs.
        """
        path = await self.sshAgent()
        agent = await self.connect(path)
        key = userKeys()[b"ssh-ed25519"]
        await agent.addKey(key, b"forwarded")
        server = Server.start(
            self,
            reactor,
            openSession=processes(self, reactor),
            permissions=Permissions(),
        )
        ssh = SSH(self, reactor, server.port)
        command = "echo $SSH_AUTH_SOCK; ssh-add -L"
        finished = await ssh.run(command, ForwardAgent="yes", IdentityAgent=path)
        socket, listed = finished.output.decode().splitlines()
        self.assertEqual(listed, publicKeyLine(key).strip() + " forwarded")
        await server.ended()
        self.assertFalse(os.path.exists(os.path.dirname(socket)))

    async def test_sshd(self):
        """
        sshd, and ssh-add in its session, which lists and signs, and adds
        nothing.
        """
        sshd = await SSHD.start(self, reactor)
        path = await self.sshAgent()
        agent = await self.connect(path)
        key = userKeys()[b"ssh-ed25519"]
        await agent.addKey(key, b"forwarded")
        client = await Client.logIn(self, reactor, sshd.port, Login(userName()))
        uses = []
        forwarding = AgentForwarding(
            lambda: connectToAgent(reactor, path), lambda use: True, lambda *use: uses.append(use)
        )
        file = self.directory() / "key"
        writePrivateKey(key, file)
        file.with_suffix(".pub").write_text(publicKeyLine(key))
        listed = await self.run_(client, forwarding, f"ssh-add -L && ssh-add -T {file}.pub")
        self.assertEqual(listed.output.decode().strip(), publicKeyLine(key).strip() + " forwarded")
        self.assertEqual(listed.status, 0)
        ((use, permitted),) = uses
        self.assertEqual((use.publicKey, use.host, use.login, permitted), (key.blob(), LOCALHOST, None, True))
        added = await self.run_(client, forwarding, f"ssh-add {file}")
        self.assertNotEqual(added.status, 0)
        self.assertIn(b"refused", added.errors)
        await client.close()

    def run_(self, client: Client, forwarding: AgentForwarding, command: str):
        channel = ForwardingCommand(command, b"", None)
        channel.forwarding = forwarding
        client.connection.openChannel(channel)
        return channel.finished

    async def test_secondHop(self):
        """
        From sshd on to another one, with a key whose destinations allow this
        way, and with one whose destinations do not.
        """
        first, second = await SSHD.start(self, reactor), await SSHD.start(self, reactor)
        path = await self.sshAgent()
        key = userKeys()[b"ssh-ed25519"]
        hosts = tuple(HopKey(host.blob()) for host in hostKeys().values())
        here = Destination(Hop(), Hop(b"", b"first", hosts))
        on = Destination(Hop(b"", b"first", hosts), Hop(userName().encode(), b"second", hosts))
        known = self.directory() / "known_hosts"
        known.write_text(
            "".join(f"[{LOCALHOST}]:{second.port} {publicKeyLine(host)}\n" for host in hostKeys().values())
        )
        command = (
            f"ssh -F none -T -p {second.port} -o BatchMode=yes -o UserKnownHostsFile={known}"
            f" -o StrictHostKeyChecking=yes -o IdentityFile=none {userName()}@{LOCALHOST} echo there"
        )
        for constraints, status in (((), 0), ((here, on), 0), ((here,), 255)):
            agent = await self.connect(path)
            await agent.addKey(key, constraints=Constraints(destinations=constraints))
            uses: list = []
            forwarding = AgentForwarding(
                lambda: connectToAgent(reactor, path), lambda use, uses=uses: uses.append(use) or True
            )
            client = await Client.logIn(self, reactor, first.port, Login(userName()))
            finished = await self.run_(client, forwarding, command)
            self.assertEqual(finished.status, status, finished.errors)
            if not status:
                self.assertEqual(finished.output, b"there\n")
                self.assertEqual([use.login.user for use in uses], [userName().encode()])
            await client.close()
