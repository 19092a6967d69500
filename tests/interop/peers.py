"""
OpenSSH's programs, run for a test: its server, its client, and keys for both.

Everything runs as the user that the tests run as, on the loopback interface, on
files of the test's own directory; nothing of the machine's configuration is
read. Where a program is not installed the test is skipped, or, with
C{CONCHLITE_INTEROP=require} in the environment, fails.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from conchlite.algorithms import catalogue
from conchlite.error import UsageError
from conchlite.ssh.keys import Key

LOCALHOST = "127.0.0.1"

#: C{PATH}, with where servers are installed, which is not in every user's.
SERVER_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))

# How often a port is chosen, until one is still free when sshd wants it.
_PORTS_TRIED = 20

#: Seconds that what is told to end has until it is killed.
STOP_SECONDS = 10


def program(name: str) -> str:
    """
    Where a program is installed.
    """
    path = shutil.which(name, path=SERVER_PATH)
    if path is None:
        raise missing(f"{name} is not installed")
    return path


def missing(reason: str) -> Exception:
    """
    What a test raises that cannot run here: it is skipped, or fails where
    nothing may be missing.
    """
    if os.environ.get("CONCHLITE_INTEROP") == "require":
        return AssertionError(reason)
    return SkipTest(reason)


def userName() -> str:
    """
    Whose tests these are: a server that is not run by root lets in nobody else.
    """
    return pwd.getpwuid(os.geteuid()).pw_name


@functools.cache
def hostKeys() -> Mapping[bytes, Key]:
    """
    A private host key of each type, by the type's name.
    """
    return _generate()


@functools.cache
def userKeys() -> Mapping[bytes, Key]:
    """
    A user's private key of each type, by the type's name.
    """
    return _generate()


@functools.cache
def rareHostKeys() -> Mapping[bytes, Key]:
    """
    A private host key of each type that few know and we can make, by the
    type's name.
    """
    return _generateRare()


@functools.cache
def rareUserKeys() -> Mapping[bytes, Key]:
    """
    The same for users.
    """
    return _generateRare()


def _generateRare() -> dict[bytes, Key]:
    generated = {}
    for name in catalogue.keyTypes():
        if name not in hostKeys():
            try:
                generated[name] = Key.generate(name.decode())
            except UsageError:
                pass  # We verify its signatures, and make none.
    return generated


def _generate() -> dict[bytes, Key]:
    kinds = [("ed25519", None), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 3072)]
    generated = (Key.generate(kind, bits) for kind, bits in kinds)
    return {key.sshType(): key for key in generated}


def writePrivateKey(key: Key, path: Path) -> Path:
    """
    Write a key as ssh and sshd read it, which want nobody else to do so.
    """
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as stream:
        # Without a comment Paramiko 5.1.0 reads nothing where there is no padding.
        stream.write(key.toString("openssh", subtype="v1", comment="conchlite"))
    return path


def publicKeyLine(key: Key) -> str:
    return key.public().toString("openssh").decode("ascii")


_versions: dict[str, tuple[int, int]] = {}


async def version(reactor, path: str) -> tuple[int, int]:
    """
    The version of an OpenSSH program.
    """
    if path not in _versions:
        # A server that does not know the option shows its version all the same.
        _, error, _ = await getProcessOutputAndValue(path, ["-V"], reactor=reactor)
        found = re.search(rb"OpenSSH_(\d+)\.(\d+)", error)
        assert found is not None, error
        _versions[path] = (int(found[1]), int(found[2]))
    return _versions[path]


_options: dict[tuple[str, ...], dict[str, str]] = {}


async def everyOption(reactor, ssh: Sequence[str] = ()) -> dict[str, str]:
    """
    The options of ssh_config(5) and sshd_config(5) that switch on every
    algorithm there is, of which many are off by default.

    @param ssh: the command that is asked, if it is not this system's ssh.
    """
    path, *arguments = ssh or [program("ssh")]
    if tuple(ssh) in _options:
        return _options[tuple(ssh)]
    environment = {"PATH": SERVER_PATH}
    # Of signatures, it lists those with certificates and with a token too,
    # which a server without such a key leaves out.
    questions = {
        "KexAlgorithms": "kex",
        "HostKeyAlgorithms": "HostKeyAlgorithms",
        "PubkeyAcceptedAlgorithms": "HostKeyAlgorithms",
        "Ciphers": "cipher",
        "MACs": "mac",
    }
    options = {"Compression": "yes"}
    for option, question in questions.items():
        answer, _, _ = await getProcessOutputAndValue(
            path, [*arguments, "-Q", question], environment, reactor=reactor
        )
        options[option] = ",".join(answer.decode("ascii").split())
    _options[tuple(ssh)] = options
    return options


def versionText(numbers: tuple[int, int]) -> str:
    return "OpenSSH {}.{}".format(*numbers)


def freePort() -> int:
    """
    A port that is free now; it may not be a moment later.
    """
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return probe.getsockname()[1]


class SSHD(ProcessProtocol):
    """
    OpenSSH's server.

    @ivar port: where it listens.
    @ivar version: its version.
    @ivar log: what it wrote to its log, the most verbose that does not tell
        its inner workings.
    """

    def __init__(self, reactor, directory: Path, options: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._directory = directory
        self._options = options
        self.port = 0
        self.version = (0, 0)
        self.log = ""
        self._running = False
        self._awaited: list[tuple[str, Deferred[bool]]] = []

    @classmethod
    async def start(cls, test, reactor, **options: str) -> SSHD:
        """
        Start a server that is stopped when the test ends.

        @param options: options of sshd_config(5) that take the place of those
            it would have.
        """
        directory = Path(test.mktemp()).absolute()
        directory.mkdir(parents=True)
        sshd = cls(reactor, directory, options)
        test.addCleanup(lambda: Deferred.fromCoroutine(sshd.stop()))
        await sshd._start()
        return sshd

    async def _start(self) -> None:
        path = program("sshd")
        self.version = await version(self._reactor, path)
        if os.geteuid() == 0:
            # What a server of root makes its child's root directory.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self._writeKeys()
        for _ in range(_PORTS_TRIED):
            self.port = freePort()
            self._writeConfiguration()
            self.log = ""
            self._ended: Deferred[None] = Deferred()
            self._running = True
            configuration = str(self._directory / "sshd_config")
            self._reactor.spawnProcess(
                self,
                path,
                [path, "-D", "-e", "-f", configuration],
                {"PATH": SERVER_PATH},
                str(self._directory),
            )
            if await self.logged(f"Server listening on {LOCALHOST} port {self.port}"):
                return
            if "Address already in use" not in self.log:
                break
        raise AssertionError(f"sshd did not start:\n{self.log}")

    def _writeKeys(self) -> None:
        for name, key in hostKeys().items():
            writePrivateKey(key, self._directory / f"host_{name.decode()}")
        lines = [publicKeyLine(key) + "\n" for key in userKeys().values()]
        (self._directory / "authorized_keys").write_text("".join(lines))

    def _writeConfiguration(self) -> None:
        options = {
            "ListenAddress": f"{LOCALHOST}:{self.port}",
            "AuthorizedKeysFile": str(self._directory / "authorized_keys"),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "PermitRootLogin": "yes",
            "PermitUserRC": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "LogLevel": "VERBOSE",
            "MaxStartups": "100",
            # The shell is not to read what the account's owner has in there.
            "SetEnv": f"HOME={self._directory}",
        }
        if self.version >= (9, 8):
            options["PerSourcePenalties"] = "no"
        options.update(self._options)
        lines = [f"{name} {value}\n" for name, value in options.items()]
        lines += [f"HostKey {self._directory}/host_{name.decode()}\n" for name in hostKeys()]
        (self._directory / "sshd_config").write_text("".join(lines))

    def logged(self, pattern: str) -> Deferred[bool]:
        """
        Fires with true when the log has what matches C{pattern}, and with
        false when the server ended without it.
        """
        if re.search(pattern, self.log):
            return succeed(True)
        logged: Deferred[bool] = Deferred()
        self._awaited.append((pattern, logged))
        return logged

    def errReceived(self, data: bytes) -> None:
        self.log += data.decode("utf-8", "replace").replace("\r\n", "\n")
        for pattern, logged in list(self._awaited):
            if re.search(pattern, self.log):
                self._awaited.remove((pattern, logged))
                logged.callback(True)

    def processEnded(self, reason: Failure) -> None:
        # Whoever else writes to its log has ended too.
        self._running = False
        awaited, self._awaited = self._awaited, []
        for _, logged in awaited:
            logged.callback(False)
        self._ended.callback(None)

    async def stop(self) -> None:
        """
        End the server and everything that it started.
        """
        if self._running:
            started = descendants(self.transport.pid)
            self._signal("TERM")
            for pid in started:
                _kill(pid, signal.SIGTERM)
            killing = self._reactor.callLater(STOP_SECONDS, self._killAll, started)
            await self._ended
            if killing.active():
                killing.cancel()

    def kill(self, pid: int) -> None:
        """
        Kill a process that the server started, if it runs.
        """
        if self._running and pid in descendants(self.transport.pid):
            _kill(pid, signal.SIGKILL)

    def _killAll(self, started: Sequence[int]) -> None:
        for pid in started:
            _kill(pid, signal.SIGKILL)
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass  # It ended by itself.


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # It ended by itself.


def descendants(pid: int) -> list[int]:
    """
    The processes that a process started, and those that they started: the
    latest first. Nothing where there is no C{/proc}.
    """
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    found = []
    for child in map(int, children):
        found += [*descendants(child), child]
    return found


class Finished:
    """
    A program that has ended.

    @ivar output: what it wrote to its standard output.
    @ivar errors: what it wrote to its standard error.
    @ivar status: its exit status, or the negative number of the signal that
        ended it.
    """

    def __init__(self, output: bytes, errors: bytes, status: int) -> None:
        self.output = output
        self.errors = errors
        self.status = status


class Running(ProcessProtocol):
    """
    A program that runs.

    @ivar wrote: fires when it has written something to its standard output.
    @ivar finished: fires when it has ended.
    """

    def __init__(self, standardInput: bytes) -> None:
        self._input = standardInput
        self._output: list[bytes] = []
        self._errors: list[bytes] = []
        self.wrote: Deferred[None] = Deferred()
        self.finished: Deferred[Finished] = Deferred()

    def connectionMade(self) -> None:
        if self._input:
            self.transport.write(self._input)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._output.append(data)
        if not self.wrote.called:
            self.wrote.callback(None)

    def errReceived(self, data: bytes) -> None:
        self._errors.append(data)

    def processEnded(self, reason: Failure) -> None:
        ended = reason.value
        status = -ended.signal if ended.signal else ended.exitCode
        self.finished.callback(Finished(b"".join(self._output), b"".join(self._errors), status))

    def kill(self) -> None:
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass  # It ended by itself.


def start(
    test,
    reactor,
    path: str,
    arguments: Sequence[str],
    standardInput: bytes = b"",
    environment: Mapping[str, str] = {},
) -> Running:
    """
    Run a program; it is killed if the test ends first.
    """
    running = Running(standardInput)
    over: Deferred[None] = Deferred()

    def ended(result):
        over.callback(None)
        return result

    def cleanUp():
        running.kill()
        return over

    running.finished.addBoth(ended)
    reactor.spawnProcess(running, path, [path, *arguments], {"PATH": SERVER_PATH, **environment})
    test.addCleanup(cleanUp)
    return running


def run(
    test,
    reactor,
    path: str,
    arguments: Sequence[str],
    standardInput: bytes = b"",
    environment: Mapping[str, str] = {},
) -> Deferred[Finished]:
    """
    Run a program to its end; it is killed if the test ends first.
    """
    return start(test, reactor, path, arguments, standardInput, environment).finished


class SSH:
    """
    OpenSSH's client, on its way to one server.

    @ivar port: where the server is.
    """

    def __init__(self, test, reactor, port: int) -> None:
        self._test = test
        self._reactor = reactor
        self.port = port
        self.directory = Path(test.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self._knownHosts = self.directory / "known_hosts"
        self.trust(hostKeys().values())

    def trust(self, keys) -> None:
        """
        Let these be the server's known host keys.
        """
        lines = [f"[{LOCALHOST}]:{self.port} {publicKeyLine(key)}\n" for key in keys]
        self._knownHosts.write_text("".join(lines))

    def start(
        self,
        command: str,
        standardInput: bytes = b"",
        key: Key | None = None,
        user: str = "alice",
        environment: Mapping[str, str] = {},
        **options: str | Sequence[str],
    ) -> Running:
        """
        Run a command on the server.

        @param options: as L{command} takes them.
        """
        path, *arguments = self.command(command, key, user, **options)
        given = {"HOME": str(self.directory), **environment}
        return start(self._test, self._reactor, path, arguments, standardInput, given)

    def command(
        self, command: str, key: Key | None = None, user: str = "alice", **options: str | Sequence[str]
    ) -> list[str]:
        """
        What runs a command on the server.

        @param key: the user's private key; the Ed25519 one by default.
        @param options: options of ssh_config(5) that take the place of those
            it would have; several values for one that is given several times.
        """
        key = key or userKeys()[b"ssh-ed25519"]
        identity = writePrivateKey(key, self.directory / f"user_{key.sshType().decode()}")
        given = {
            "BatchMode": "yes",
            "UserKnownHostsFile": str(self._knownHosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "IdentityFile": str(identity),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ControlMaster": "no",
            "ControlPath": "none",
            "LogLevel": "ERROR",
            "RequestTTY": "no",
            **options,
        }
        arguments = [program("ssh"), "-F", "none", "-p", str(self.port)]
        for name, values in given.items():
            for value in [values] if isinstance(values, str) else values:
                arguments += ["-o", f"{name}={value}"]
        return [*arguments, f"{user}@{LOCALHOST}", command]

    def run(self, command: str, standardInput: bytes = b"", **options) -> Deferred[Finished]:
        """
        Run a command on the server to its end.

        @param options: as L{start} takes them.
        """
        return self.start(command, standardInput, **options).finished
