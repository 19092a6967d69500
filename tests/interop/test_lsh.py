"""
GNU lsh: its server lshd, and its client lsh. They are of 2013, and have RSA
and DSA keys alone.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key
from tests.interop.account import ACCOUNT, chownToAccount, makeAccount, withAccount
from tests.interop.cases import ClientMatrix, ClientPeer, ServerMatrix, ServerPeer
from tests.interop.daemon import Daemon
from tests.interop.matrix import CELLS, Cell, everyAlgorithm
from tests.interop.peers import LOCALHOST, Finished, freePort, hostKeys, program, run, userKeys

# In an ACL lsh 2.1 turns the parts of a host around, as those of a DNS name.
_REVERSED = ".".join(reversed(LOCALHOST.split(".")))


async def _version(test, path: str) -> str:
    finished = await run(test, reactor, path, ["--version"])
    return re.match(rb"lshd?-([\d.]+)", finished.output)[1].decode()


def _seed(directory: Path) -> dict[str, str]:
    """
    The state of the random generator, without which they do not start.

    @return: the environment that tells them of it.
    """
    path = directory / "seed"
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return {"LSH_YARROW_SEED_FILE": str(path)}


def _publicExpression(key: Key) -> bytes:
    """
    A public key as an S-expression in canonical form.
    """
    return base64.b64decode(key.public().toString("lsh").strip().strip(b"{}"))


def _writePrivate(key: Key, path: Path) -> Path:
    path.write_bytes(key.toString("lsh"))
    path.chmod(0o600)
    return path


class Server(ServerPeer):
    name = "lsh"
    userKeyType = b"ssh-rsa"
    user = ACCOUNT

    async def _hostKey(self, test, directory: Path) -> Path:
        """
        Write the one host key it has.
        """
        return _writePrivate(hostKeys()[b"ssh-rsa"], directory / "host")

    async def version(self, test) -> str:
        return await _version(test, program("lshd"))

    async def startServer(self, test, directory: Path) -> Daemon:
        home = makeAccount(directory) / ACCOUNT / ".lsh"
        expression = _publicExpression(userKeys()[b"ssh-rsa"])
        authorized = home / "authorized_keys_sha1" / hashlib.sha1(expression).hexdigest()
        authorized.parent.mkdir(parents=True)
        authorized.write_bytes(expression)
        for path in (home, authorized.parent, authorized):
            chownToAccount(path)
        hostKey = await self._hostKey(test, directory)
        port = freePort()
        # With --interface before -p, lshd 2.1 binds port 22 and says nothing.
        arguments = [program("lshd"), "-p", str(port), f"--interface={LOCALHOST}", "-h", str(hostKey)]
        arguments += ["--no-password", "--no-pid-file", "-v"]
        daemon = Daemon(reactor, directory)
        return await daemon.start(withAccount(directory, arguments), _seed(directory), port)


class DSAServer(Server):
    """
    The same with a DSA key, which lsh makes: we have no such keys of our own.
    """

    async def _hostKey(self, test, directory: Path) -> Path:
        path = directory / "host"
        environment = _seed(directory)
        generate = [program("lsh-keygen"), ["-q", "-a", "dsa"]]
        made = await run(test, reactor, *generate, environment=environment)
        assert made.status == 0, made.errors
        write = [program("lsh-writekey"), ["--server", "-o", str(path)]]
        written = await run(test, reactor, *write, made.output, environment)
        assert written.status == 0, written.errors
        public = path.with_suffix(".pub").read_bytes()
        exported = await run(test, reactor, program("lsh-export-key"), ["--openssh"], public, environment)
        assert exported.status == 0, exported.errors
        self._blob = Key.fromString(exported.output.strip()).blob()
        return path

    def hostKeyBlobs(self) -> Collection[bytes]:
        return {self._blob}


class Client(ClientPeer):
    name = "lsh"
    userKeyType = b"ssh-rsa"

    async def version(self, test) -> str:
        return await _version(test, program("lsh"))

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        directory = Path(test.mktemp()).absolute()
        directory.mkdir(parents=True)
        identity = _writePrivate(key, directory / "identity")
        subject = b"(7:subject" + _publicExpression(hostKeys()[b"ssh-rsa"]) + b")"
        tag = f"(3:tag(11:ssh-hostkey{len(_REVERSED)}:{_REVERSED}))".encode("ascii")
        acls = directory / "host-acls"
        acls.write_bytes(b"(3:acl(5:entry" + subject + tag + b"))")
        arguments = [f"--host-db={acls}", "-i", str(identity), "-l", "alice", "-p", str(port), "--no-pty"]
        arguments += [LOCALHOST, "cat"]
        environment = {"HOME": str(directory), **_seed(directory)}
        return await run(test, reactor, program("lsh"), arguments, data, environment)


@everyAlgorithm([cell for cell in CELLS if cell.forces("signatures") != b"ssh-dss"])
class LshServerTests(ServerMatrix, TestCase):
    peer = Server()


@everyAlgorithm([cell for cell in CELLS if cell.forces("signatures") == b"ssh-dss"])
class LshDSAServerTests(ServerMatrix, TestCase):
    peer = DSAServer()


@everyAlgorithm()
class LshClientTests(ClientMatrix, TestCase):
    peer = Client()
