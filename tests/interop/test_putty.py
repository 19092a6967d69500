"""
PuTTY's client for scripts, plink.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key, hostKeyFingerprint
from tests.interop.cases import ClientMatrix, ClientPeer
from tests.interop.matrix import Cell, everyAlgorithm
from tests.interop.peers import (
    LOCALHOST,
    Finished,
    hostKeys,
    program,
    rareHostKeys,
    run,
    writePrivateKey,
)

# A session with everything before the line below which it asks its user; in a
# batch it ends there. What a version does not know it passes over.
_SESSION = """\
KEX=ecdh,ntru-curve25519,mlkem-curve25519,mlkem-nist,dh-gex-sha1,dh-group18-sha512,dh-group17-sha512,\
dh-group16-sha512,dh-group15-sha512,dh-group14-sha1,rsa,dh-group1-sha1,WARN
Cipher=aes,aesgcm,chacha20,3des,blowfish,arcfour,des,WARN
HostKey=ed448,ed25519,ecdsa,rsa,dsa,WARN
SSH2DES=1
"""


class Client(ClientPeer):
    name = "PuTTY"

    async def version(self, test) -> str:
        finished = await run(test, reactor, program("plink"), ["-V"])
        return re.search(rb"Release (\S+)", finished.output)[1].decode()

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        directory = Path(test.mktemp()).absolute()
        (directory / ".putty" / "sessions").mkdir(parents=True)
        (directory / ".putty" / "sessions" / "everything").write_text(_SESSION)
        environment = {"HOME": str(directory)}
        private = writePrivateKey(key, directory / "openssh")
        identity = directory / "identity.ppk"
        arguments = [str(private), "-O", "private", "-o", str(identity)]
        converted = await run(test, reactor, program("puttygen"), arguments, environment=environment)
        assert converted.status == 0, converted.errors
        arguments = ["-load", "everything", "-batch", "-ssh", "-noagent", "-no-antispoof", "-T"]
        for hostKey in (*hostKeys().values(), *rareHostKeys().values()):
            arguments += ["-hostkey", hostKeyFingerprint(hostKey.public().blob()).sha256]
        if cell is not None and cell.family == "compression":
            arguments += ["-C"]
        arguments += ["-P", str(port), "-i", str(identity), f"alice@{LOCALHOST}", "cat"]
        return await run(test, reactor, program("plink"), arguments, data, environment)


@everyAlgorithm()
class PuTTYClientTests(ClientMatrix, TestCase):
    peer = Client()
