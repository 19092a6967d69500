"""
Peers that are libraries: the programs in C{programs} make a server and a client
of each, and C{programs/contract.py} says how they are called.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from twisted.internet import reactor

from conchlite.ssh.keys import Key
from tests.interop.cases import ClientPeer, ServerPeer
from tests.interop.daemon import Daemon
from tests.interop.matrix import Cell
from tests.interop.peers import (
    Finished,
    hostKeys,
    missing,
    program,
    publicKeyLine,
    rareHostKeys,
    rareUserKeys,
    run,
    userKeys,
    writePrivateKey,
)

PROGRAMS = Path(__file__).absolute().parent / "programs"


class Program:
    """
    How the programs of one library are called.

    @ivar name: what the library is called.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    async def command(self, test, role: str) -> Sequence[str]:
        """
        What the program's arguments follow. Skips the test if it is not there.

        @param role: C{"server"} or C{"client"}.
        """
        raise NotImplementedError

    async def version(self, test) -> str:
        """
        What the library itself says of its version, without its name.
        """
        path, *arguments = await self.command(test, "client")
        finished = await run(test, reactor, path, [*arguments, "--version"], b"", {"HOME": "/"})
        assert finished.status == 0, finished.errors
        return finished.output.decode().strip().removeprefix(self.name + " ")


class PythonProgram(Program):
    """
    One that the interpreter of the tests runs.

    @ivar stem: what the names of its files begin with.
    @ivar modules: what must be installed for it.
    """

    def __init__(self, name: str, stem: str, *modules: str) -> None:
        super().__init__(name)
        self.stem = stem
        self.modules = modules

    async def command(self, test, role: str) -> Sequence[str]:
        for module in self.modules:
            # It is looked for and not imported: it stays out of this process.
            if importlib.util.find_spec(module) is None:
                raise missing(f"{self.name} needs {module}, which is not installed")
        # They warn of algorithms that nobody should use any more.
        return [sys.executable, "-W", "ignore", str(PROGRAMS / f"{self.stem}_{role}.py")]


class CompiledProgram(Program):
    """
    One for both roles that is compiled for the first test, and kept for the
    others.
    """

    _path: Path | None = None

    async def command(self, test, role: str) -> Sequence[str]:
        if self._path is None:
            directory = Path(test.mktemp()).absolute()
            directory.mkdir(parents=True)
            self._path = await self.compile(test, directory)
        return [str(self._path), role]

    async def compile(self, test, directory: Path) -> Path:
        """
        Compile it. Skips the test if what that takes is not there.

        @param directory: an empty one, for the program and what comes with it.
        """
        raise NotImplementedError


class ProgramServer(ServerPeer):
    """
    A library's server.
    """

    user = "alice"

    def __init__(self, program: Program, environment: Mapping[str, str] = {}) -> None:
        """
        @param environment: what is added to the program's environment.
        """
        self.program = program
        self.name = program.name
        self.environment = environment
        self._dsaKeys: set[bytes] = set()

    async def version(self, test) -> str:
        return await self.program.version(test)

    def hostKeyBlobs(self) -> Collection[bytes]:
        return {*super().hostKeyBlobs(), *self._dsaKeys}

    async def _makeDSAKey(self, test, path: Path) -> None:
        # We verify its signatures, but make none: and OpenSSH 10 makes no key.
        keygen = program("ssh-keygen")
        made = await run(test, reactor, keygen, ["-q", "-N", "", "-t", "dsa", "-f", str(path)])
        if made.status == 0:
            public = path.with_name(path.name + ".pub")
            self._dsaKeys = {Key.fromFile(str(public)).blob()}
            # Whose name begins as those of private ones do.
            public.unlink()

    def hostKeys(self) -> Mapping[bytes, Key]:
        """
        The private host keys that it gets, by their types' names.
        """
        return {**hostKeys(), **rareHostKeys()}

    async def startServer(self, test, directory: Path) -> Daemon:
        for name, key in self.hostKeys().items():
            writePrivateKey(key, directory / f"host_{name.decode()}")
        await self._makeDSAKey(test, directory / "host_ssh-dss")
        authorizedKeys = directory / "authorized_keys"
        keys = [*userKeys().values(), *rareUserKeys().values()]
        authorizedKeys.write_text("".join(publicKeyLine(key) + "\n" for key in keys))
        arguments = [*await self.program.command(test, "server"), str(directory), str(authorizedKeys), "0"]
        daemon = Daemon(reactor, directory)
        return await daemon.start(arguments, self.environment, announces=r"(?m)^listening (\d+)$")


class ProgramClient(ClientPeer):
    """
    A library's client.
    """

    def __init__(self, program: Program, environment: Mapping[str, str] = {}) -> None:
        """
        @param environment: what is added to the program's environment.
        """
        self.program = program
        self.name = program.name
        self.environment = environment

    async def version(self, test) -> str:
        return await self.program.version(test)

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        return await self.runCommand(test, port, key, "cat", data)

    async def runCommand(self, test, port: int, key: Key, command: str, data: bytes) -> Finished:
        """
        Run a command on our server, as C{alice}.
        """
        directory = Path(test.mktemp()).absolute()
        directory.mkdir(parents=True)
        known = directory / "known"
        keys = [*hostKeys().values(), *rareHostKeys().values()]
        known.write_text("".join(publicKeyLine(each) + "\n" for each in keys))
        identity = writePrivateKey(key, directory / "identity")
        path, *arguments = await self.program.command(test, "client")
        arguments += [str(port), str(known), str(identity), "alice", command]
        return await run(test, reactor, path, arguments, data, {"HOME": str(directory), **self.environment})
