"""
L{tests.benchmarks.servers} and L{tests.benchmarks.relay} as the processes that
they are when something is measured.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.benchmarks import measure
from tests.benchmarks.contestants import CONTESTANTS, PROGRAMS, SERVERS
from tests.benchmarks.measure import Background
from tests.benchmarks.programs.job import Job
from tests.benchmarks.servers.common import Command, parse
from tests.interop.peers import missing, program, userKeys, userName, writePrivateKey

SIZE = 300_000


class CommandTests(SynchronousTestCase):
    """
    L{parse}: the servers understand what the clients ask.
    """

    def test_known(self):
        """
        The commands are those of a job, and of nothing else.
        """
        job = Job(["download", f"size={SIZE}"])
        self.assertEqual(parse(job.download), Command(writes=SIZE))
        self.assertEqual(parse(job.upload), Command(reads=True, expects=SIZE))
        self.assertEqual(parse("cat"), Command(reads=True, echoes=True))
        self.assertEqual(parse("true"), Command())
        self.assertRaises(ValueError, parse, "head -c 5 /dev/null")

    def test_status(self):
        """
        Who expects so many bytes fails with fewer, and with more.
        """
        expecting = Command(reads=True, expects=2)
        self.assertEqual([expecting.status(received) for received in (1, 2, 3)], [1, 0, 1])
        self.assertEqual(Command(reads=True, echoes=True).status(5), 0)


class ServerTests(SynchronousTestCase):
    """
    Each server, under OpenSSH's client.
    """

    def serve(self, name, **path):
        """
        Start a server, and a path to it if C{path} says which; have the client
        do everything that is measured, in small.

        @return: what the server told of itself.
        """
        program("ssh")
        (contestant,) = (each for each in CONTESTANTS if each.name == name)
        if contestant.version() is None:
            raise missing(f"{name} is not installed")
        identity = str(writePrivateKey(userKeys()[b"ssh-ed25519"], Path(self.mktemp())).absolute())
        told = {"user": userName(), "identity": identity}
        with ExitStack() as stack:
            server = stack.enter_context(Background(f"{SERVERS}.{contestant.server}", "serve", told))
            port = server.port
            if path:
                relay = Background("tests.benchmarks.relay", "serve", {"port": port, **path})
                port = stack.enter_context(relay).port
            for action in ("download", "upload", "commands", "echo"):
                values = {**told, "port": port, "size": SIZE, "count": 2}
                # It raises if ssh does not end well.
                figures = measure.run(f"{PROGRAMS}.openssh", action, values, 30)
                self.assertGreater(figures["wall"], 0)
        return server.figures

    def assertMeasured(self, figures):
        self.assertGreater(figures["cpu"], 0)
        self.assertGreater(figures["peak"], 2**20)

    def test_openssh(self):
        """
        sshd: the processes that it starts count.
        """
        program("sshd")
        figures = self.serve("openssh")
        # Eight commands' shells alone take more than this.
        self.assertGreater(figures["cpu"], 0.01)

    def test_conchlite(self):
        """
        conchlite, at the end of a path.
        """
        self.assertMeasured(self.serve("conchlite", delay=2, bandwidth=10**8))

    def test_asyncssh(self):
        """
        AsyncSSH.
        """
        self.assertMeasured(self.serve("asyncssh"))

    def test_paramiko(self):
        """
        Paramiko.
        """
        self.assertMeasured(self.serve("paramiko"))

    def test_conch(self):
        """
        Conch.
        """
        self.assertMeasured(self.serve("conch"))
