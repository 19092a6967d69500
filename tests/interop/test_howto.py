"""
The howto's program, as it is in the documentation, against OpenSSH's sshd.

It has to print its line every time: C{CONCHLITE_HOWTO_RUNS=100} in the
environment makes the test run it a hundred times.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.trial.unittest import TestCase

from tests.doc.listings import CLIENT, FINGERPRINT, LINE, clientWithKey, environment, substitute
from tests.interop import peers

#: How often the program is run.
RUNS = int(os.environ.get("CONCHLITE_HOWTO_RUNS", "10"))

#: How many of them run at the same time.
TOGETHER = 4


class HowtoTests(TestCase):
    timeout = 120 + 5 * RUNS

    async def test_everyTime(self) -> None:
        """
        Every run ends by itself, with status 0, its one line on standard
        output and nothing on standard error.
        """
        sshd = await peers.SSHD.start(self, reactor)
        path = self.write(sshd)
        tokens = DeferredSemaphore(TOGETHER)
        finished = await gatherResults(
            [tokens.run(lambda: Deferred.fromCoroutine(self.runOnce(path))) for _ in range(RUNS)],
            consumeErrors=True,
        )
        outcomes = [(done.output.decode(), done.errors.decode(), done.status) for done in finished]
        self.assertEqual([(LINE, "", 0)] * RUNS, outcomes)

    async def runOnce(self, path: Path) -> peers.Finished:
        return await peers.run(
            self, reactor, sys.executable, [str(path)], environment=environment(path.parent)
        )

    def write(self, sshd: peers.SSHD) -> Path:
        """
        The program with the literals that a reader has to replace: where the
        server is, what its key is, who logs in, and with which key.
        """
        ed25519 = b"ssh-ed25519"
        text = clientWithKey((CLIENT / "client.py").read_text(), peers.userKeys()[ed25519])
        text = substitute(
            text,
            {
                "'localhost', 5022": f"{peers.LOCALHOST!r}, {sshd.port}",
                "'user'": repr(peers.userName()),
                FINGERPRINT: peers.hostKeys()[ed25519].fingerprint(),
            },
        )
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        path = directory / "client.py"
        path.write_text(text)
        return path
