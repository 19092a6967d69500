"""
What tests of host keys that are announced begin with: keys of each type, a
server that has them, a client that takes note of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.hostkeyproof import PROOF
from conchlite.ssh.keys import Key
from conchlite.wire.connection import HostKeys
from tests.ssh.links import Client, Link, Server

KEYS = [Key.generate("ed25519"), *(Key.generate("ecdsa", bits) for bits in (256, 384, 521))]
KEYS.append(Key.generate("rsa", 2048))
BY_TYPE = {key.sshType(): key for key in KEYS}
SPARE = Key.generate("ed25519")


class Learning(Client):
    """
    A client that takes note of host keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.learned: list[Sequence[Key]] = []
        self.failure: Exception | None = None

    def hostKeysReceived(self, keys: Sequence[Key]) -> object:
        self.learned.append(keys)
        if self.failure is not None:
            raise self.failure
        return None


class RecordingConnection(SSHConnection):
    """
    Writes down the global requests that come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.data: list[bytes] = []
        self.answers: list[object] = []

    def gotGlobalRequest(self, globalType: bytes, data: bytes) -> object:
        self.asked.append(globalType)
        self.data.append(data)
        answer = super().gotGlobalRequest(globalType, data)
        self.answers.append(answer)
        return answer


class Factory(SSHFactory):
    """
    A server with a key of each type.
    """

    protocol = Server

    def __init__(self, keys: Mapping[bytes, Any] = BY_TYPE) -> None:
        self.privateKeys = dict(keys)
        self.publicKeys = {name: BY_TYPE[name].public() for name in keys}


class Signer:
    """
    Signs by a Deferred, as one far away does.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.waiting: list[Deferred[bytes]] = []
        self.held = False

    def supportedSignatureAlgorithms(self) -> list[bytes]:
        return self.key.supportedSignatureAlgorithms()

    def sign(self, data: bytes, algorithm: bytes) -> Deferred[bytes]:
        signed = succeed(self.key.sign(data, algorithm))
        if not self.held:
            return signed
        self.waiting.append(Deferred())
        return self.waiting[-1].addCallback(lambda _: signed)


class HostKeyTestCase(SynchronousTestCase):
    def link(
        self,
        client: Client | None = None,
        factory: SSHFactory | None = None,
        server: Mapping[str, object] = {},
        **attributes: object,
    ) -> Link:
        """
        A client that has logged in; what the server said since then has not
        been delivered.
        """
        link = Link(client or Learning(), factory or Factory())
        vars(link.client).update(attributes)
        vars(link.server).update(server)
        link.secure()
        for end in (link.client, link.server):
            end.isAuthenticated = True
            end.setService(RecordingConnection())
        return link

    def ask(self, link: Link, *blobs: bytes) -> Any:
        asked = link.client.service.sendGlobalRequest(PROOF, HostKeys(blobs).pack(), wantReply=True)
        link.flush()
        return asked
