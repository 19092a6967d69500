"""
Known hosts files made at random, from a seed: what we find in them is what
C{ssh-keygen -F} finds, and whom we trust is whom ssh(1) trusts.
"""

from __future__ import annotations

import random
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.client.hostentries import CERT_AUTHORITY, HashedEntry, hostPattern
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.client.policies import Strict
from conchlite.error import HostKeyRejected
from conchlite.ssh.certificates import FOREVER, HOST, signCertificate
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from tests.client.test_knownhosts import line
from tests.interop.peers import LOCALHOST, SERVER_PATH, program

FILES = 53
CASES_PER_FILE = 10

#: How many of ssh and ssh-keygen run at a time.
PARALLEL = 3

A, B, CA, OTHER_CA = (Key.generate("ed25519") for _ in range(4))
E = Key.generate("ecdsa")


def certified(key: Key, ca: Key, *principals: str, validBefore: int = FOREVER) -> Key:
    return signCertificate(ca, key, kind=HOST, keyID="id", principals=principals, validBefore=validBefore)


#: What a server shows.
SHOWN = {
    "a": A,
    "b": B,
    "ecdsa": E,
    # No wildcards: ssh(1) compared them the wrong way round until OpenSSH 10.3.
    "certificate": certified(A, CA, "alpha", "x.example.com", "::1", "192.0.2.1"),
    "ecdsa certificate": certified(E, CA, "alpha"),
    "other authority": certified(A, OTHER_CA, "alpha", "beta"),
    "other name": certified(B, CA, "nobody"),
    "expired": certified(B, CA, "alpha", "beta", validBefore=1_000_000_000),
}

HOSTS = ["alpha", "ALPHA", "beta", "x.example.com", "192.0.2.1", "::1"]
PORTS = [22, 22, 2222, 22022]
NAMES = [
    *("alpha", "Alpha", "beta", "x.example.com", "192.0.2.1", "::1"),
    *("[alpha]:2222", "[x.example.com]:22022", "[::1]:2222", "[alpha]:22", "[beta]:2222"),
]
PATTERNS = ["*", "*.example.com", "al?ha", "a*", "[*]:2222", "[alpha]:*", "192.0.2.*", "::*", "*pha"]
ODD = [
    b"",
    b"# comment",
    b"\xff\xfe",
    b"alpha",
    b"@odd alpha x",
    b"alpha ssh-ed25519 AAAA",
    b"alpha 1024 35 123",
]


class Case(NamedTuple):
    host: str
    port: int
    shown: str


def names(choose: random.Random) -> bytes:
    """
    The first field of a line.
    """
    given = choose.choices(NAMES + PATTERNS, k=choose.choice((1, 1, 1, 2, 3)))
    if choose.random() < 0.2:
        given.insert(choose.randrange(len(given) + 1), "!" + choose.choice(NAMES + PATTERNS))
    return ",".join(given).encode()


def entry(choose: random.Random) -> bytes:
    """
    A line.
    """
    if choose.random() < 0.1:
        return choose.choice(ODD)
    marker = choose.choice([b""] * 6 + [b"@cert-authority ", b"@cert-authority ", b"@revoked "])
    if marker == b"@cert-authority ":
        key = choose.choice([CA, CA, OTHER_CA, A])
    else:
        key = choose.choice([A, A, B, B, E, E, CA])
    blob = key.public().blob()
    if choose.random() < 0.3:
        name = choose.choice(NAMES).lower().encode()
        text = HashedEntry.forHost(name, blob, choose.randbytes).toString()
    else:
        text = line(names(choose), blob, choose.choice([b"", b"a comment"]))
    return marker + text + choose.choice([b"", b"", b"\r" if b" comment" in text else b""])


def makeFile(choose: random.Random, path: Path) -> list[Case]:
    """
    Write a file.

    @return: who is looked for in it.
    """
    path.write_bytes(b"\n".join(entry(choose) for _ in range(choose.randrange(2, 12))) + b"\n")
    kinds = list(SHOWN)
    return [
        Case(choose.choice(HOSTS), choose.choice(PORTS), choose.choice(kinds)) for _ in range(CASES_PER_FILE)
    ]


def isStricter(file: KnownHostsFile, case: Case) -> bool:
    """
    Where we refuse whom ssh(1) trusts: a server with a certificate of no
    authority is known under its port with another key, and without the port
    with this one.
    """
    if SHOWN[case.shown].certificate is None or case.port == 22:
        return False
    return any(not found.marker for _, found in file.allEntriesFor(hostPattern(case.host, case.port)))


class Server(SSHFactory):
    """
    Shows one key, and lets nobody in.
    """

    portal = Portal(None, [])

    def __init__(self, key: Key) -> None:
        self.privateKeys = self.publicKeys = {key.sshType(): key}


class CorpusTests(TestCase):
    timeout = 240

    async def setUp(self) -> None:
        choose = random.Random(4)
        self.files = []
        for _ in range(FILES):
            path = Path(self.mktemp()).absolute()
            self.files.append((path, makeFile(choose, path)))
        self.ports = {}
        for name, key in SHOWN.items():
            port = reactor.listenTCP(0, Server(key), interface=LOCALHOST)
            self.addCleanup(port.stopListening)
            self.ports[name] = port.getHost().port
        # The threads of the reactor would wait for one another.
        reactor.suggestThreadPoolSize(PARALLEL)
        self.addCleanup(reactor.suggestThreadPoolSize, 10)

    def trustedBySSH(self, path: Path, case: Case) -> bool:
        """
        Whether ssh(1) trusts the server; in a thread.
        """
        options = {
            "ProxyCommand": "-",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(path),
            "GlobalKnownHostsFile": "/dev/null",
            "PreferredAuthentications": "none",
        }
        arguments = [f"-o{name}={value}" for name, value in options.items()]
        with socket.create_connection((LOCALHOST, self.ports[case.shown])) as connection:
            finished = subprocess.run(
                [program("ssh"), "-F", "none", *arguments, "-p", str(case.port), case.host, "true"],
                env={"PATH": SERVER_PATH, "HOME": "/"},
                stdin=connection,
                stdout=connection,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
        if b"Host key verification failed" in finished.stderr:
            return False
        self.assertIn(b"Permission denied", finished.stderr)
        return True

    def foundBySSHKeygen(self, path: Path, name: bytes) -> set[tuple[int, bool]]:
        """
        The lines about a host, and whether they are authorities; in a thread.
        """
        arguments = [program("ssh-keygen"), "-F", name.decode(), "-f", str(path)]
        finished = subprocess.run(arguments, stdout=subprocess.PIPE, timeout=60, check=False)
        found = re.findall(rb"# Host \S+ found: line (\d+) ?(.*)", finished.stdout)
        return {(int(number), rest == b"CA") for number, rest in found}

    def verdict(self, path: Path, case: Case) -> bool:
        try:
            Strict(str(path), now=time.time).verify(case.host, case.port, SHOWN[case.shown].blob())
        except HostKeyRejected:
            return False
        return True

    async def asked(self, function) -> list[tuple[Path, Case, object]]:
        cases = [(path, case) for path, cases in self.files for case in cases]
        answers = await gatherResults(deferToThread(function, path, case) for path, case in cases)
        return [(path, case, answer) for (path, case), answer in zip(cases, answers, strict=True)]

    async def test_verdicts(self):
        """
        Row 83: the same servers are trusted, of more than 500.
        """
        trusted = refused = differences = 0
        for path, case, theirs in await self.asked(self.trustedBySSH):
            ours = self.verdict(path, case)
            if ours != theirs:
                known = KnownHostsFile.fromPath(FilePath(str(path)))
                stricter = theirs and isStricter(known, case)
                self.assertTrue(stricter, (case, ours, theirs, path.read_bytes()))
                differences += 1
            trusted += ours
            refused += not ours
        self.assertGreater(trusted + refused, 500)
        self.assertGreater(min(trusted, refused), 80)
        self.assertLess(differences, 10)

    async def test_lines(self):
        """
        Row 83: the same lines are found, of more than 500 files and names.
        """

        def find(path: Path, case: Case) -> object:
            return self.foundBySSHKeygen(path, hostPattern(case.host, case.port))

        count = 0
        for path, case, theirs in await self.asked(find):
            known = KnownHostsFile.fromPath(FilePath(str(path)))
            # What has a name and no key is found by ssh-keygen, and of no use to anybody.
            keyless = {n for n, text in enumerate(path.read_bytes().split(b"\n"), 1) if text in ODD}
            ours = {
                (number, found.marker == CERT_AUTHORITY)
                for number, found in known.allEntriesFor(hostPattern(case.host, case.port))
            }
            self.assertEqual(
                ours, {(n, ca) for n, ca in theirs if n not in keyless}, (case, path.read_bytes())
            )
            count += len(ours)
        self.assertGreater(count, 300)

    async def test_removing(self):
        """
        Row 83: what is left of a file without a host is what C{ssh-keygen -R}
        leaves of it.
        """
        removed = 0
        for path, cases in self.files:
            name = hostPattern(cases[0].host, cases[0].port)
            # It does not change a file that has a line it cannot read.
            lines = [text for text in path.read_bytes().split(b"\n") if text not in ODD[2:]]
            path.write_bytes(b"\n".join(lines))
            theirs = path.with_suffix(".theirs")
            theirs.write_bytes(b"\n".join(lines))
            arguments = [program("ssh-keygen"), "-R", name.decode(), "-f", str(theirs)]
            subprocess.run(arguments, capture_output=True, timeout=60, check=False)
            removed += KnownHostsFile.fromPath(FilePath(str(path))).removeHost(name)
            self.assertEqual(path.read_bytes(), theirs.read_bytes(), name)
        self.assertGreater(removed, 20)
