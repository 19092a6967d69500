"""
The two halves of an authentication, with every method that there is, for
messages of a peer's: each with its number, two bytes of length, and what
follows the number.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from conchlite.error import ConchError, PasswordExpired
from conchlite.interfaces import IHostBased, IKeyboardInteractive, IPasswordChange, IUserNameOnly
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from tests.ssh.authlink import FakeChecker, FakeFactory, FakeTransport, RecordingService, ed25519


def watched(deliver: Callable[[], None]) -> None:
    """
    Call C{deliver}, which must make nothing fail in the log.
    """
    problems: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            problems.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        deliver()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not problems, problems


def _deliver(transport: FakeTransport, data: bytes) -> None:
    def deliver() -> None:
        rest = data
        while len(rest) > 2 and transport.closeReason is None:
            size = int.from_bytes(rest[1:3], "big")
            transport.receive(rest[0], rest[3 : 3 + size])
            transport.clock.advance(5)
            rest = rest[3 + size :]
        transport.lose()

    watched(deliver)
    assert isinstance(transport.closeReason.value, ConchError), transport.closeReason
    assert transport.holds == 0


async def _converse(credentials) -> bytes:
    for _ in range(3):
        answers = await credentials.ask("name", "instruction", [("One? ", True), ("Two? ", False)])
        assert len(answers) == 2
    raise UnauthorizedLogin("no")


def _refuse(credentials) -> bytes:
    raise UnauthorizedLogin("no")


def _expire(credentials) -> bytes:
    raise PasswordExpired("another one: ")


def loginServer(data: bytes) -> None:
    """
    A server that lets nobody in, whatever the client says.
    """
    transport = FakeTransport(Clock())
    transport.factory = FakeFactory(
        FakeChecker(ISSHPrivateKey, _refuse),
        FakeChecker(IUsernamePassword, _expire),
        FakeChecker(IPasswordChange, _expire),
        FakeChecker(IHostBased, _refuse),
        FakeChecker(IUserNameOnly, _refuse),
        FakeChecker(IKeyboardInteractive, lambda c: Deferred.fromCoroutine(_converse(c))),
    )
    transport.setService(SSHUserAuthServer())
    _deliver(transport, data)
    assert not transport.isAuthenticated


class _Program(SSHUserAuthClient):
    """
    A program that has something for everything.
    """

    clientHostName = "client.example.org"
    clientUserName = "user"

    def getPublicKey(self):
        return ed25519(1 + len(self.triedPublicKeys) % 3)

    def getPrivateKey(self):
        return ed25519(1 + (len(self.triedPublicKeys) - 1) % 3)

    def getPassword(self, prompt=None):
        return f"password {len(self.sentPasswords)}"

    def getGenericAnswers(self, name, instruction, prompts):
        return [prompt for prompt, _ in prompts]

    def getHostKey(self):
        return ed25519(7)


def loginClient(data: bytes) -> None:
    """
    A client, whatever the server says.
    """
    transport = FakeTransport(Clock())
    client = _Program("user", RecordingService())
    transport.setService(client)
    _deliver(transport, data)
    assert len(transport.sent) < 200
