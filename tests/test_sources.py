"""
What the source never does: read, not run.
"""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import conchlite

#: Each with the reason.
FORBIDDEN = {
    "random": "nonces, keys and padding come from the operating system (CVE-2024-31497, CVE-2008-0166)",
    "pickle": "what is read from outside must not run (CVE-2022-45047)",
    "marshal": "what is read from outside must not run",
    "shelve": "what is read from outside must not run",
    "yaml": "what is read from outside must not run",
    "cryptography.hazmat.primitives.serialization.ssh": "key files are ours to bound (row 89)",
}


class ForbiddenImportsTests(SynchronousTestCase):
    """
    Rows 43, 44 and 90 of the security table.
    """

    def test_nothingForbidden(self) -> None:
        root = Path(conchlite.__file__).parent
        found, count = [], 0
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                count += len(names)
                found += [
                    f"{path.name} imports {name}: {reason}"
                    for name in names
                    for forbidden, reason in FORBIDDEN.items()
                    if name == forbidden or name.startswith(forbidden + ".")
                ]
        self.assertGreater(count, 100)
        self.assertEqual([], found)
