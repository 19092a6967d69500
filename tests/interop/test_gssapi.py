"""
C{gssapi-with-mic} with MIT's Kerberos: our client and sshd, ssh and our server,
our two ends, and the library below them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.checkers import PrincipalChecker
from conchlite.error import AuthenticationFailed
from conchlite.interfaces import IGSSAPICredentials
from conchlite.ssh.gssapi import InstalledLibrary
from tests.interop.account import ACCOUNT, startSSHD
from tests.interop.daemon import STAGE, Daemon
from tests.interop.kerberos import REALM, SERVICE, Kerberos, expire, installedPackage, useIn
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import (
    LOCALHOST,
    SSH,
    hostKeys,
    missing,
    run,
    writePrivateKey,
)
from tests.ssh.authlink import FakeChecker
from tests.ssh.fakegssapi import LibraryMixin

DATA = b"some data\n"


class KerberosTestCase(TestCase):
    """
    @ivar kdc: the KDC, which the tests of a class have in common.
    """

    timeout = 60
    _kdc: Kerberos

    async def setUp(self):
        installedPackage()
        if STAGE.take(reactor, type(self)):
            directory = Path(self.mktemp()).absolute()
            directory.mkdir(parents=True)
            type(self)._kdc = await Kerberos.begin(reactor, directory)
            STAGE.holds(self._kdc)
        self.kdc = self._kdc

    async def connect(self, port, user=ACCOUNT, **attributes):
        """
        Our client.
        """
        given = {"preferredOrder": ["gssapi-with-mic"], "gssapiHost": LOCALHOST, **attributes}
        client = await Client.connect(self, reactor, port, Login(user, userAuth=given))
        # No key of his.
        client.login.key = None
        return client

    async def logIn(self, port, **attributes):
        client = await self.connect(port, **attributes)
        await client.ready
        self.assertEqual(client.userAuth.lastAuth, b"gssapi-with-mic")
        return client

    async def refused(self, port, **attributes):
        client = await self.connect(port, **attributes)
        try:
            await client.ready
        except AuthenticationFailed as failure:
            return str(failure)
        raise self.failureException("the login succeeded")


class InstalledLibraryTests(LibraryMixin, KerberosTestCase):
    """
    The library does what the fake of the other tests does.
    """

    service = SERVICE
    principal = f"alice@{REALM}"

    async def setUp(self):
        await super().setUp()
        useIn(self, self.kdc.ticket("alice"))

    def library(self):
        return InstalledLibrary()


class SSHDTests(KerberosTestCase):
    """
    Our client and sshd.
    """

    async def sshd(self) -> Daemon:
        return await startSSHD(
            self,
            reactor,
            self.kdc.environment,
            PubkeyAuthentication="no",
            GSSAPIAuthentication="yes",
            GSSAPIStrictAcceptorCheck="no",
        )

    async def test_login(self):
        """
        A user logs in with a ticket, and leaves nothing of it there.
        """
        sshd = await self.sshd()
        useIn(self, self.kdc.ticket("alice"))
        client = await self.logIn(sshd.port)
        command = await client.run('cat; echo "${KRB5CCNAME:-none}"', DATA)
        self.assertEqual((command.output, command.status), (DATA + b"none\n", 0))
        await client.close()
        self.assertIn(f"Accepted gssapi-with-mic for {ACCOUNT}", sshd.log)

    async def test_otherPrincipal(self):
        sshd = await self.sshd()
        useIn(self, self.kdc.ticket("bob"))
        self.assertIn(f"gssapi-with-mic for {SERVICE}", await self.refused(sshd.port))

    async def test_noTicket(self):
        """
        Why nothing was tried is in the report.
        """
        sshd = await self.sshd()
        useIn(self, self.kdc.environment)
        self.assertIn(
            f"gssapi-with-mic, as there is no ticket for {SERVICE}: No Kerberos credentials available",
            await self.refused(sshd.port),
        )
        ticket = self.kdc.ticket("alice", "-l", "1h")
        expire(ticket)
        useIn(self, ticket)
        self.assertIn("gssapi-with-mic, as there is no ticket for", said := await self.refused(sshd.port))
        self.assertIn("expired", said)
        useIn(self, self.kdc.ticket("alice"))
        said = await self.refused(sshd.port, gssapiHost="nowhere.invalid")
        self.assertIn("not found in Kerberos database", said)


class AsyncSSHTests(KerberosTestCase):
    """
    AsyncSSH, either way.
    """

    program = Path(__file__).with_name("programs") / "asyncssh_gss.py"

    def setUp(self):
        try:
            import asyncssh  # noqa: F401
        except ImportError:
            raise missing("asyncssh is not installed") from None
        return super().setUp()

    async def test_client(self):
        useIn(self, self.kdc.environment)
        server = Server.start(self, reactor, checkers=[PrincipalChecker(REALM)])
        arguments = [str(self.program), "client", str(server.port)]
        finished = await run(self, reactor, sys.executable, arguments, environment=self.kdc.ticket("alice"))
        self.assertEqual((finished.status, finished.output), (0, DATA), finished.errors)

    async def test_server(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        key = writePrivateKey(hostKeys()[b"ssh-ed25519"], directory / "host")
        daemon = Daemon(reactor, directory)
        self.addCleanup(daemon.stop)
        command = [sys.executable, str(self.program), "server", str(key)]
        await daemon.start(command, self.kdc.environment, announces=r"port (\d+)")
        useIn(self, self.kdc.ticket("alice"))
        client = await self.logIn(daemon.port)
        self.assertEqual((await client.run("who")).output, b"alice")
        await client.close()
        self.assertIn("gssapi-with-mic", await self.refused(daemon.port, user="bob"))


class SSHTests(KerberosTestCase):
    """
    ssh and our server, and our client and our server.
    """

    def serve(self, checker=None):
        useIn(self, self.kdc.environment)
        return Server.start(self, reactor, checkers=[checker or PrincipalChecker(REALM)])

    async def runSSH(self, server, ticket, **options):
        return await SSH(self, reactor, server.port).run(
            "cat",
            DATA,
            environment=ticket,
            GSSAPIAuthentication="yes",
            PreferredAuthentications="gssapi-with-mic",
            **options,
        )

    async def test_login(self):
        server = self.serve()
        finished = await self.runSSH(server, self.kdc.ticket("alice"))
        self.assertEqual((finished.status, finished.output, finished.errors), (0, DATA, b""))

    async def test_otherPrincipal(self):
        server = self.serve()
        finished = await self.runSSH(server, self.kdc.ticket("bob"))
        self.assertEqual((finished.status, finished.output), (255, b""))
        self.assertIn(b"Permission denied (gssapi-with-mic)", finished.errors)

    async def test_delegation(self):
        """
        The checker has what the user has delegated.
        """
        checker = FakeChecker(IGSSAPICredentials, lambda credentials: credentials.username)
        server = self.serve(checker)
        for option in ("no", "yes"):
            finished = await self.runSSH(server, self.kdc.ticket("alice"), GSSAPIDelegateCredentials=option)
            self.assertEqual((finished.status, finished.errors), (0, b""))
        without, delegating = checker.asked
        self.assertEqual((without.principal, without.delegated), (f"alice@{REALM}", None))
        self.assertEqual(str(delegating.delegated.name), f"alice@{REALM}")

    async def test_ourselves(self):
        """
        Both ends ours, with the library in the reactor's threads.
        """
        server = self.serve()
        useIn(self, self.kdc.ticket("alice"))
        client = await self.logIn(server.port)
        self.assertEqual((await client.run("cat", DATA)).output, DATA)
        await client.close()
        self.assertIn(f"gssapi-with-mic for {SERVICE} [refused]", await self.refused(server.port, user="bob"))
