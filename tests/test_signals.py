"""
What is done when a signal comes: the source is read, not run.
"""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import conchlite

#: What else would run code in the middle of other code.
FORBIDDEN = {
    "alarm",
    "setitimer",
    "siginterrupt",
    "pthread_kill",
    "setswitchinterval",
    "settrace",
    "add_signal_handler",
}


class SignalTests(SynchronousTestCase):
    def setUp(self) -> None:
        root = Path(conchlite.__file__).parent
        self.trees = {path: ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}

    def test_handlers(self) -> None:
        """
        Row 71: a handler of a signal tells the reactor, and does nothing else
        (CVE-2024-6387).
        """
        handlers = 0
        for path, tree in self.trees.items():
            functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call) or ast.unparse(node.func) not in (
                    "signal.signal",
                    "sigaction",
                ):
                    continue
                given = ast.unparse(node.args[1])
                if given in ("signal.SIG_DFL", "signal.SIG_IGN"):
                    continue
                [statement] = functions[given.removeprefix("self.")].body
                self.assertIsInstance(statement, ast.Expr)
                self.assertIsInstance(statement.value, ast.Call)
                called = ast.unparse(statement.value.func)
                self.assertTrue(called.endswith(".callFromThread"), f"{path}: {called}")
                handlers += 1
        self.assertGreater(handlers, 1)

    def test_noAlarms(self) -> None:
        """
        Row 71: nobody waits for an alarm. What has to happen later is the
        reactor's to call.
        """
        found = [
            f"{path}: {node.attr}"
            for path, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN
        ]
        self.assertEqual([], found)
