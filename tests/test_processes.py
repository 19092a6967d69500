"""
Which processes there are: the source is read, not run.
"""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import conchlite

#: What runs a program, or another copy of this one.
RUNNING = {
    "Popen",
    "check_call",
    "check_output",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "fork",
    "forkpty",
    "getProcessOutput",
    "getProcessOutputAndValue",
    "getProcessValue",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "spawnProcess",
    "spawnv",
    "spawnve",
    "system",
}


class ProcessTests(SynchronousTestCase):
    def test_sessionsAlone(self) -> None:
        """
        Row 70: no helper is run for a login, as somebody or with something
        that it should not have (CVE-2021-41617). What a session runs has the
        environment that it was given.
        """
        root = Path(conchlite.__file__).parent
        found = []
        for path in sorted(root.rglob("*.py")):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [alias.name for alias in node.names] + [getattr(node, "module", "")]
                    self.assertNotIn("subprocess", names, path)
                name = getattr(node, "attr", getattr(node, "id", None))
                if isinstance(node, ast.Attribute | ast.Name) and name in RUNNING:
                    found.append((path.relative_to(root).as_posix(), name))
        self.assertEqual(found, [("ssh/childprocess.py", "execve")])
