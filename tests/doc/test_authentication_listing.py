"""
The listings of the chapter on authentication do what it says.
"""

from __future__ import annotations

import re
import shutil

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.keys import Key
from tests.doc.listings import DOC, Server, assertUsage, copied, run, serverWithKey, substitute

CHAPTER = DOC / "howto" / "authentication.rst"


class LoginListingTests(SynchronousTestCase):
    """
    C{login.py}, against the server of the client's chapter.
    """

    def setUp(self) -> None:
        self.directory = copied(self.mktemp()).resolve()
        self.program = self.directory / "login.py"
        shutil.copy(DOC / "howto" / "listings" / "authentication" / "login.py", self.program)
        key = Key.generate("ed25519")
        self.identity("identity", key)
        self.identity("other", Key.generate("ed25519"))
        server = self.directory / "server.py"
        server.write_text(substitute(serverWithKey(server.read_text(), key), {"5022": "0"}))
        self.serving = Server(server)
        self.addCleanup(self.serving.stop)
        knownHosts = self.directory / "known_hosts"
        line = self.serving.said["known_hosts line"].replace("localhost", "127.0.0.1")
        knownHosts.write_text(line + "\n")
        self.arguments = ["127.0.0.1", str(self.serving.port), "user", str(knownHosts), "hello"]

    def identity(self, name: str, key: Key) -> None:
        path = self.directory / name
        path.write_bytes(key.toString("openssh"))
        path.chmod(0o600)

    def test_login(self) -> None:
        done = run(self.program, *self.arguments, str(self.directory / "identity"))
        self.assertEqual(("Hello, 127.0.0.1.\n", "", 0), (done.stdout, done.stderr, done.returncode))

    def test_report(self) -> None:
        """
        The chapter shows what is printed.
        """
        path = str(self.directory / "other")
        done = run(self.program, *self.arguments, path)
        self.assertEqual(("", 1), (done.stderr, done.returncode))
        [shown] = re.findall(r"that prints:\n\n.. code-block:: text\n\n((?:    .*\n)+)", CHAPTER.read_text())

        def plain(text: str) -> str:
            return " ".join(re.sub(r"SHA256:\S+?(?=[, ])", "SHA256:...", text).split())

        self.assertEqual(plain(shown), plain(done.stdout.replace(path, "identity")))

    def test_usage(self) -> None:
        assertUsage(self, self.program)
