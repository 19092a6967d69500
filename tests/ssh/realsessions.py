"""
Sessions in memory whose processes are real.
"""

from __future__ import annotations

import os

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import TestCase

from conchlite.avatar import SessionUser
from conchlite.interfaces import ISession
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.session import SSHSession, packRequest_pty_req
from tests.ssh.fakes import Link
from tests.ssh.sessions import SessionRecorder


class RealSessionCase(TestCase):
    """
    The link is pumped whenever the reactor has read something: nothing here
    depends on how fast anything is.
    """

    timeout = 60
    hangupSeconds: float | None = 0

    def setUp(self) -> None:
        def openSession() -> ISession:
            self.made = self.makeSession()
            self.made.hangupSeconds = self.hangupSeconds
            return self.made

        user = SessionUser(openSession)
        self.link = Link(SSHConnection(), SSHConnection(), user)
        self.ended: Deferred[None] = Deferred()
        ended = self.ended

        class Client(SessionRecorder):
            def closed(self) -> None:
                super().closed()
                ended.callback(None)

        self.client = Client()
        self.conn = self.link.client.service
        self.conn.openChannel(self.client)
        self.pumping = LoopingCall(self.link.pump)
        self.pumping.start(0.001)
        self.addCleanup(self.pumping.stop)

    def makeSession(self) -> ProcessSession:
        """
        What the server's session is.
        """
        return ProcessSession(reactor, "/bin/sh", "/")

    def channel(self) -> SSHSession:
        """
        The server's end.
        """
        return self.link.server.service.channels[0]

    async def ask(self, request: str, data: bytes = b"") -> None:
        await self.conn.sendRequest(self.client, request, data, wantReply=True)

    async def askForPty(self, modes: bytes = b"") -> None:
        await self.ask("pty-req", packRequest_pty_req("vt100", (24, 80, 640, 480), modes))

    async def start(self, command: str) -> None:
        await self.ask("exec", NS(command))

    async def run_(self, command: str) -> None:
        """
        Run a command without input to its end.
        """
        await self.start(command)
        self.client.loseWriteConnection()
        await self.ended

    async def says(self, text: bytes) -> None:
        """
        Wait until the process has written something.
        """
        while text not in self.client.received:
            await self.wait()

    async def wait(self) -> None:
        """
        Let the reactor read, and the processes run.
        """
        await deferLater(reactor, 0.001)

    async def descriptors(self) -> list[str]:
        """
        The descriptors of this process, with those of a reactor that runs.
        """
        await self.wait()
        return os.listdir("/dev/fd")

    async def gone(self, server: SSHSession) -> None:
        """
        Wait until a session's process has ended.
        """
        while server.client.transport.pid is not None:
            await self.wait()
