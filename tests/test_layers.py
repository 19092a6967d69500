"""
The floors: what imports what. The source is read, not run.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import conchlite

ROOT = Path(conchlite.__file__).resolve().parent

#: Every part of the package and its floor. A part imports from lower floors,
#: and from its own.
FLOORS = {
    "conchlite": 0,
    "conchlite.error": 0,
    "conchlite.files": 0,
    "conchlite.limits": 0,
    "conchlite.interfaces": 0,
    "conchlite.wire": 1,
    "conchlite.algorithms": 2,
    "conchlite.sansio": 3,
    "conchlite.ssh": 4,
    "conchlite.client": 5,
    "conchlite.checkers": 5,
    "conchlite.avatar": 5,
    "conchlite.unix": 5,
    "conchlite.endpoints": 6,
    "conchlite.testing": 6,
    "conchlite.commands": 7,
    "conchlite.tap": 7,
    "conchlite.__main__": 7,
}

#: error.py names a DISCONNECT's reason, which is a table of floor 1 without
#: imports of its own; one error carries a report, and others a result, which
#: are imported for the type checker alone. And the package has a name for what
#: most programs begin with, which is imported when somebody asks for it.
EXCEPTIONS = {
    ("conchlite", "conchlite.client.sshclient"),
    ("conchlite.error", "conchlite.wire.numbers"),
    ("conchlite.error", "conchlite.ssh.authreport"),
    ("conchlite.error", "conchlite.client.commandresult"),
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["conchlite", *path.relative_to(ROOT).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> list[tuple[str, bool]]:
    """
    The modules that a file imports: the name, and whether it is imported when
    the file is, not later and not for the type checker alone.
    """
    found = []

    def visit(node: ast.AST, eager: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append((full if full in known else base, eager))
        else:
            typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            later = typing or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for child in ast.iter_child_nodes(node):
                visit(child, eager and not later)

    visit(ast.parse(path.read_text()), True)
    return found


def floor(module: str) -> int:
    name = module
    while name:
        if name in FLOORS and (name != "conchlite" or module == "conchlite"):
            return FLOORS[name]
        name = name.rpartition(".")[0]
    raise AssertionError(f"{module} stands on no floor")


class LayersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.modules = modules()
        self.imports = {name: imports(path, self.modules) for name, path in self.modules.items()}

    def test_somethingIsRead(self) -> None:
        self.assertIn("conchlite.ssh.transport", self.modules)
        self.assertIn(("conchlite.wire.numbers", True), self.imports["conchlite.wire.transport"])

    def test_importsGoDown(self) -> None:
        """
        No module imports from a higher floor, at once or later. What only the
        type checker sees counts too: a low floor does not know a high one.
        """
        wrong = [
            (module, imported)
            for module, found in self.imports.items()
            for imported, _ in found
            if imported.startswith("conchlite")
            and (module, imported) not in EXCEPTIONS
            and floor(imported) > floor(module)
        ]
        self.assertEqual([], wrong)

    def test_noCircles(self) -> None:
        """
        Importing one module never comes back to it.
        """
        graph = {
            module: {name for name, eager in found if eager and name in self.modules}
            for module, found in self.imports.items()
        }
        done: set[str] = set()

        def walk(module: str, trail: tuple[str, ...]) -> None:
            self.assertNotIn(module, trail, f"a circle of imports: {' '.join((*trail, module))}")
            if module not in done:
                for imported in sorted(graph[module]):
                    walk(imported, (*trail, module))
                done.add(module)

        for module in graph:
            walk(module, ())

    def test_nothingOfConch(self) -> None:
        wrong = [
            (module, imported)
            for module, found in self.imports.items()
            for imported, _ in found
            if (imported + ".").startswith("twisted.conch.")
        ]
        self.assertEqual([], wrong)

    def test_lowFloorsKnowNoTwisted(self) -> None:
        """
        wire is standard library, algorithms adds cryptography and pyasn1, and
        sansio does its work without either.
        """
        forbidden = {
            1: ("twisted", "zope", "cryptography", "pyasn1"),
            2: ("twisted", "zope"),
            3: ("twisted", "zope", "cryptography", "pyasn1"),
        }
        wrong = [
            (module, imported)
            for module, found in self.imports.items()
            for imported, _ in found
            if imported.partition(".")[0] in forbidden.get(floor(module), ())
        ]
        self.assertEqual([], wrong)

    def test_onlyTheTopKnowsTheReactor(self) -> None:
        """
        The global reactor is imported by the commands alone.
        """
        wrong = []
        for module, path in self.modules.items():
            if floor(module) == FLOORS["conchlite.tap"]:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)]
                base = getattr(node, "module", None)
                if "twisted.internet.reactor" in names or (base == "twisted.internet" and "reactor" in names):
                    wrong.append(module)
        self.assertEqual([], wrong)


class ImportTests(SynchronousTestCase):
    """
    What is loaded by an import, seen from a fresh interpreter.
    """

    def loaded(self, statement: str) -> set[str]:
        code = f"{statement}; import sys; print(*sorted(sys.modules))"
        output = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
        )
        return set(output.stdout.split())

    def test_nothingOfConchIsLoaded(self) -> None:
        names = [name for name in modules() if not name.endswith("__main__")]
        loaded = self.loaded("import " + ", ".join(names))
        self.assertIn("conchlite.ssh.transport", loaded)
        self.assertEqual([], [name for name in loaded if (name + ".").startswith("twisted.conch.")])

    def test_transportLoadsWhatItNeeds(self) -> None:
        """
        The transport brings no cipher, no key format and no other service, and
        does not install a reactor.
        """
        loaded = self.loaded("import conchlite.ssh.transport")
        unneeded = (
            "conchlite.algorithms.kex.",
            "conchlite.algorithms.publickeys.",
            "conchlite.algorithms.keyfiles",
            "conchlite.ssh.userauth",
            "conchlite.ssh.connection",
            "conchlite.ssh.keys",
            "conchlite.client",
        )
        self.assertEqual([], [name for name in loaded if name.startswith(unneeded)])
        self.assertNotIn("twisted.internet.reactor", loaded)
        self.assertNotIn("cryptography", loaded)

    def test_clientLoadsWhatItNeeds(self) -> None:
        """
        A client that has its classes has nothing of the server's half, no
        method of authentication, and nothing that says why a login failed: each
        comes when it is first tried.
        """
        loaded = self.loaded(
            "from conchlite.ssh import channel, connection, keys, transport; "
            "from conchlite.ssh.userauth import SSHUserAuthClient"
        )
        self.assertIn("conchlite.ssh.userauthclient", loaded)
        unneeded = (
            "conchlite.algorithms.base",
            "conchlite.algorithms.kex.",
            "conchlite.algorithms.keyfiles",
            "conchlite.checkers",
            "conchlite.client",
            "conchlite.interfaces",
            "conchlite.ssh.authreport",
            "conchlite.ssh.doorman",
            "conchlite.ssh.factors",
            "conchlite.ssh.session",
            "conchlite.ssh.userauthserver",
            "cryptography",
            "twisted.cred",
        )
        self.assertEqual([], [name for name in loaded if name.startswith(unneeded)])
        methods = [name for name in loaded if name.startswith("conchlite.ssh.authmethods.")]
        self.assertEqual(["conchlite.ssh.authmethods.base"], methods)

    def test_bothHalvesOfUserauth(self) -> None:
        """
        The names that Conch has in one module are there, each when it is asked
        for, and no others.
        """
        from conchlite.ssh import userauth, userauthclient, userauthserver

        self.assertIs(userauthclient.SSHUserAuthClient, userauth.SSHUserAuthClient)
        self.assertIs(userauthserver.SSHUserAuthServer, userauth.SSHUserAuthServer)
        with self.assertRaises(AttributeError):
            userauth.SSHUserAuthNobody  # noqa: B018
