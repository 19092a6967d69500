"""
The PAM of the machine, and a user of the test's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.account import ACCOUNT, makeAccount, withAccount
from tests.interop.peers import missing, program

PROGRAM = Path(__file__).parent / "programs" / "pam_checker.py"
ROOT = Path(__file__).parents[2]


class PAMTests(SynchronousTestCase):
    """
    L{conchlite.checkers.PAMChecker}.
    """

    def test_password(self):
        """
        PAM knows the user's password, and no other.
        """
        if find_spec("pam") is None:
            raise missing("python-pam is not installed")
        if not Path("/etc/pam.d/sshd").exists():
            raise missing("PAM has no service sshd")
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        makeAccount(directory)
        hashed = subprocess.check_output([program("openssl"), "passwd", "-6", "right"], text=True).strip()
        passwd = directory / "passwd"
        passwd.write_text(passwd.read_text().replace(f"{ACCOUNT}:x:", f"{ACCOUNT}:{hashed}:"))
        finished = subprocess.run(
            withAccount(directory, [sys.executable, str(PROGRAM), ACCOUNT]),
            input=b"right\nwrong\n",
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        self.assertEqual(finished.stdout.split(), [b"yes", b"no"], finished.stderr)
