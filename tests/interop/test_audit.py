"""
What ssh-audit says of our server and our client, and what doc/security.rst says
about that.
"""

from __future__ import annotations

import importlib.util
import json
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, SERVER_DEFAULT, AlgorithmSet, available
from conchlite.ssh.transport import SSHClientTransport
from tests.doc.test_claims import SECURITY, classesOf, rows
from tests.interop.ours import Server
from tests.interop.peers import LOCALHOST, Finished, freePort, missing, run

#: What is said of an algorithm: C{fail} or C{warn}, the words, and its name.
Finding = tuple[str, str, str]

# Its exit statuses: all is well, a warning, a failure.
_STATUSES = {0, 2, 3}


def documented() -> set[Finding]:
    """
    What doc/security.rst explains.
    """
    return {
        (level, words, name)
        for level, words, names, _ in rows('"", "what it says", "of", "why it stays"')
        for name in names.replace("``", "").split()
    }


def findings(finished: Finished) -> tuple[set[Finding], set[str]]:
    """
    @return: what it has against algorithms, and all that it has seen.
    """
    assert finished.status in _STATUSES, (finished.status, finished.output, finished.errors)
    report = json.loads(finished.output[finished.output.index(b"{") :])
    assert report["cves"] == [], report["cves"]
    found, seen = set(), set()
    for family in ("kex", "key", "enc", "mac"):
        for algorithm in report[family]:
            name = algorithm["algorithm"]
            seen.add(name)
            for level in ("fail", "warn"):
                found |= {(level, words, name) for words in algorithm["notes"].get(level, ())}
    return found, seen


def names(algorithms: AlgorithmSet) -> set[str]:
    """
    What has to be seen, if anything was.
    """
    return {
        name.decode()
        for name in (
            *available(algorithms.keyExchanges),
            *algorithms.signatures,
            *algorithms.ciphers,
            *algorithms.macs,
        )
    }


class AuditTests(TestCase):
    timeout = 60

    def audit(self, *arguments: str) -> Deferred[Finished]:
        if importlib.util.find_spec("ssh_audit") is None:
            raise missing("ssh-audit is not installed")
        return run(self, reactor, sys.executable, ["-m", "ssh_audit.ssh_audit", "-j", *arguments])

    async def auditServer(self, algorithms: AlgorithmSet) -> tuple[set[Finding], set[str]]:
        server = Server.start(self, reactor, algorithms)
        return findings(await self.audit("--skip-rate-test", "-p", str(server.port), LOCALHOST))

    async def test_server(self):
        """
        There is nothing against our server but what is explained.
        """
        found, seen = await self.auditServer(SERVER_DEFAULT)
        # It has been given no keys of these types, and no host has a security key.
        absent = {"ssh-ed448", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}
        self.assertLessEqual(names(SERVER_DEFAULT) - absent, seen)
        self.assertEqual(found - documented(), set())

    async def test_client(self):
        """
        Nor is there against our client; and there is no explanation of what
        nobody says.
        """
        port = freePort()
        auditing = self.audit("-c", "-p", str(port), "-t", "30")
        factory = Factory.forProtocol(SSHClientTransport)
        while not auditing.called:
            try:
                transport = await TCP4ClientEndpoint(reactor, LOCALHOST, port).connect(factory)
            except ConnectionRefusedError:
                # It says nothing when it begins to listen.
                await deferLater(reactor, 0.05)
            else:
                self.addCleanup(transport.abortConnection)
                break
        found, seen = findings(await auditing)
        self.assertLessEqual(names(CLIENT_DEFAULT), seen)
        self.assertEqual(found - documented(), set())
        ofServer, _ = await self.auditServer(SERVER_DEFAULT)
        self.assertEqual(documented() - found - ofServer, set())

    async def test_spotless(self):
        """
        There is nothing at all against the server that the chapter shows.
        """
        transport = classesOf(SECURITY)["Spotless"]
        algorithms = SERVER_DEFAULT.replacing(
            keyExchanges=tuple(transport.supportedKeyExchanges),
            signatures=tuple(transport.supportedPublicKeys),
            macs=tuple(transport.supportedMACs),
        )
        if not available(algorithms.keyExchanges):
            raise missing("cryptography has no ML-KEM")
        found, seen = await self.auditServer(algorithms)
        self.assertLessEqual(names(algorithms), seen)
        self.assertEqual(found, set())
