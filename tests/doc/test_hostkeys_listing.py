"""
The chapter on host keys.
"""

from __future__ import annotations

import runpy

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.policies import Strict
from conchlite.error import ConchError, HostKeyChanged, HostKeyUnknown, UserRejectedKey
from conchlite.ssh.certificates import FOREVER, HOST, signCertificate
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key
from tests.client.test_knownhosts import FakeUI, line
from tests.doc.listings import DOC

LISTING = runpy.run_path(str(DOC / "howto" / "listings" / "hostkeys" / "policies.py"))

KEY, OTHER = (Key.generate("ed25519").public() for _ in range(2))


class Asked(Strict):
    """
    Remembers for which hosts it was asked.
    """

    def __init__(self) -> None:
        super().__init__(())
        self.hosts: list[tuple[str, int]] = []

    def order(self, host: str, port: int, algorithms: list[bytes]) -> list[bytes]:
        self.hosts.append((host, port))
        return super().order(host, port, algorithms)


class PoliciesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = FilePath(self.mktemp())
        self.file.setContent(line(b"known", KEY.blob()) + b"\n")

    def says(self, policy: object, host: str, expected: type[ConchError] | None, key: Key = KEY) -> None:
        """
        The policy trusts the server, or refuses it so.
        """
        answer = maybeDeferred(policy.verify, host, 22, key.blob())
        if expected is None:
            self.assertIn(self.successResultOf(answer), (None, True))
        else:
            self.assertIs(self.failureResultOf(answer).type, expected)

    def fetch(self, host: str) -> Deferred[str]:
        return succeed(fingerprint(KEY.blob()) if host in ("listed", "known") else "")

    def test_using(self) -> None:
        """
        The policy that a program gives is the one that is asked.
        """
        reactor = MemoryReactorClock()
        asked = Asked()
        LISTING["backup"](reactor, Key.generate("ed25519"), asked).connect(Factory.forProtocol(Protocol))
        reactor.advance(1)
        reactor.tcpClients[0][2].buildProtocol(None).makeConnection(StringTransport())
        self.assertEqual([("server.example", 22)], asked.hosts)

    def test_strict(self) -> None:
        self.says(LISTING["strict"](self.file), "known", None)
        self.says(LISTING["strict"](self.file), "new", HostKeyUnknown)
        self.says(LISTING["strict"](self.file), "known", HostKeyChanged, OTHER)

    def test_acceptNew(self) -> None:
        for host in ("known", "new", "new"):
            self.says(LISTING["acceptNew"](self.file), host, None)
        for host in ("known", "new"):
            self.says(LISTING["acceptNew"](self.file), host, HostKeyChanged, OTHER)

    def test_ask(self) -> None:
        self.says(LISTING["ask"](FakeUI(False), self.file), "new", UserRejectedKey)
        self.says(LISTING["ask"](FakeUI(True), self.file), "new", None)
        self.says(LISTING["strict"](self.file), "new", None)

    def test_pin(self) -> None:
        self.says(LISTING["pin"](fingerprint(KEY.blob())), "new", None)
        self.says(LISTING["pin"](fingerprint(KEY.blob())), "new", HostKeyUnknown, OTHER)

    def test_authority(self) -> None:
        ca = Key.generate("ed25519")
        policy = LISTING["pinAuthority"](fingerprint(ca.blob()))
        certified = signCertificate(
            ca, KEY, kind=HOST, keyID="id", principals=["here"], validBefore=FOREVER
        ).public()
        self.says(policy, "here", None, certified)
        self.says(policy, "there", HostKeyUnknown, certified)

    def test_lookup(self) -> None:
        for host, expected in (("known", None), ("listed", None), ("new", HostKeyUnknown)):
            self.says(LISTING["inventory"](self.fetch, self.file), host, expected)

    def test_several(self) -> None:
        for host, expected in (("known", None), ("listed", None), ("new", UserRejectedKey)):
            self.says(LISTING["inventoryThenPerson"](self.fetch, FakeUI(False), self.file), host, expected)
        self.file.setContent(line(b"known,other", KEY.blob()) + b"\n")
        for host, expected in (("known", None), ("other", HostKeyUnknown), ("listed", HostKeyUnknown)):
            self.says(LISTING["knownAndListed"](self.fetch, self.file), host, expected)

    def test_rotation(self) -> None:
        policy = LISTING["following"](self.file)
        rotation = policy.rotation("known", 22, KEY.blob())
        rotation.received([KEY, OTHER], [b"ssh-ed25519"])
        self.says(LISTING["strict"](self.file), "known", None, OTHER)

    def test_own(self) -> None:
        ecdsa = Key.generate("ecdsa").public()
        self.file.setContent(line(b"known", KEY.blob()) + b"\n" + line(b"known", ecdsa.blob()) + b"\n")
        self.says(LISTING["OnlyEd25519"](self.file), "known", None)
        self.says(LISTING["OnlyEd25519"](self.file), "known", HostKeyUnknown, ecdsa)
        self.says(LISTING["OnlyEd25519"](self.file), "new", HostKeyUnknown)
