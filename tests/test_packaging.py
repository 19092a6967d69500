"""
What is installed, and the doors to it.

Installing from a wheel takes the package index; what of it can be seen without
one is seen here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

import conchlite

ROOT = Path(conchlite.__file__).resolve().parent.parent
PLUGINS = ROOT / "twisted" / "plugins"

#: How to come to the command line, without what pip would install.
DOORS = {
    "conchlite": ["-c", "import sys; from conchlite.__main__ import main; sys.exit(main())"],
    "python -m conchlite": ["-m", "conchlite"],
    "twistd": ["-c", "from twisted.scripts.twistd import run; run()", "conchlite"],
    "twist": ["-c", "from twisted.application.twist._twist import Twist; Twist.main()", "conchlite"],
    "python -m twisted": ["-m", "twisted", "conchlite"],
}


def environment() -> dict[str, str]:
    """
    The environment of a child that sees the checkout.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class PluginTests(SynchronousTestCase):
    def test_importsNextToNothing(self) -> None:
        """
        Every twistd of the machine imports the plugin: it brings nothing of
        conchlite, and no reactor.
        """
        code = (
            "import twisted.application.service, sys\n"
            "before = set(sys.modules)\n"
            "import twisted.plugins.conchlite_plugin\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        brought = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
        )
        self.assertEqual(
            [name for name in brought.stdout.split() if not name.startswith("twisted.plugin")], []
        )

    def test_noPackagesOfTwisted(self) -> None:
        """
        With an C{__init__.py} there, the checkout would hide Twisted.
        """
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_onePluginPerFile(self) -> None:
        """
        A stale cache of plugins shows a new file, and not a new object.
        """
        for path in PLUGINS.glob("*.py"):
            makers = re.findall(r"^\w+ = ", path.read_text(), re.MULTILINE)
            self.assertEqual(len(makers), 1, path)


class MetadataTests(SynchronousTestCase):
    def setUp(self) -> None:
        from configparser import ConfigParser

        self.metadata = ConfigParser(interpolation=None)
        self.metadata.read(ROOT / "setup.cfg")

    def lines(self, section: str, option: str) -> list[str]:
        value = self.metadata[section][option]
        return [line for line in value.split("\n") if line and not line.startswith("#")]

    def test_everyPluginIsListed(self) -> None:
        plugins = sorted(f"twisted.plugins.{path.stem}" for path in PLUGINS.glob("*.py"))
        self.assertEqual(sorted(self.lines("options", "py_modules")), plugins)

    def test_consoleScript(self) -> None:
        from twisted.python.reflect import namedAny

        for line in self.lines("options.entry_points", "console_scripts"):
            _, _, where = line.partition(" = ")
            self.assertTrue(callable(namedAny(where.replace(":", "."))), line)

    def test_packagesAreFound(self) -> None:
        """
        A directory without C{__init__.py} would be left out of a wheel.
        """
        directories = {path.parent for path in (ROOT / "conchlite").rglob("*.py")}
        self.assertEqual([d for d in directories if not (d / "__init__.py").exists()], [])


class BuildTests(SynchronousTestCase):
    def built(self) -> Iterator[str]:
        """
        What setup.py would install, from a copy of the checkout.
        """
        copy = Path(self.mktemp()).absolute()
        ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
        for name in ("conchlite", "twisted"):
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        for name in ("setup.py", "setup.cfg", "README.md", "LICENSE", "MANIFEST.in"):
            shutil.copy(ROOT / name, copy)
        # What must not come along.
        (copy / "tests").mkdir()
        (copy / "tests" / "__init__.py").touch()
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build", "--build-lib", "out"],
            cwd=copy,
            check=True,
            capture_output=True,
            env={**environment(), "PYTHONPATH": ""},
        )
        for path in (copy / "out").rglob("*"):
            if path.is_file():
                yield str(path.relative_to(copy / "out"))

    def test_contents(self) -> None:
        """
        Every module, the plugin, the marker for type checkers, and nothing else.
        """
        expected = {str(path.relative_to(ROOT)) for path in (ROOT / "conchlite").rglob("*.py")}
        expected |= {str(path.relative_to(ROOT)) for path in PLUGINS.glob("*.py")}
        expected.add("conchlite/py.typed")
        self.assertEqual(set(self.built()), expected)


class DoorTests(TestCase):
    """
    The command line by every door that leads to it, as processes of their own.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    async def everyDoor(self, *arguments: str) -> list[tuple[str, str, int]]:
        """
        Run the same command by every door at once.

        @return: what came to standard output and standard error, and the status.
        """
        finished = await gatherResults(
            getProcessOutputAndValue(
                sys.executable, [*door, *arguments], environment(), str(self.directory), reactor
            )
            for door in DOORS.values()
        )
        self.assertEqual(list(self.directory.iterdir()), [], "it left something behind")
        return [(output.decode(), errors.decode(), status) for output, errors, status in finished]

    async def test_demo(self) -> None:
        """
        It shows its steps and nothing else, ends with 0, and leaves nothing behind.
        """
        for output, errors, status in await self.everyDoor("demo"):
            self.assertEqual((errors, status), ("", 0))
            self.assertIn("This data will be echoed back to us", output)
            self.assertTrue(output.endswith("all of them ok\n"), output)

    async def test_failure(self) -> None:
        """
        A failure is one line and its status, whoever runs the reactor.
        """
        # Port 1 of the loopback interface: nobody listens there.
        found = await self.everyDoor("run", "--known-hosts", "known_hosts", "127.0.0.1:1", "true")
        said = "conchlite: cannot connect to 127.0.0.1 port 1: connection refused\n"
        self.assertEqual(found, [("", said, 255)] * len(DOORS))

    async def test_usage(self) -> None:
        found = await self.everyDoor("run")
        said = "conchlite: the host is missing (see conchlite run --help)\n"
        self.assertEqual(found, [("", said, 64)] * len(DOORS))
