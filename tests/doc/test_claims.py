"""
What the documentation claims about the code, compared with the code.
"""

from __future__ import annotations

import csv
import importlib
import re
import textwrap
from functools import reduce
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import conchlite
from conchlite import error
from conchlite.algorithms.catalogue import CLIENT_DEFAULT, LEGACY, LEGACY_NAMES, SERVER_DEFAULT
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport
from conchlite.wire import numbers
from tests.doc.listings import CLIENT, DOC, FINGERPRINT, LINE, ROOT, Server, copied, run, substitute

SECURITY = (DOC / "security.rst").read_text()
DESIGN = (DOC / "design.rst").read_text()
HOWTO = (DOC / "howto" / "client.rst").read_text()

_UNITS = {"KiB": 2**10, "MiB": 2**20}


def rows(header: str) -> list[list[str]]:
    """
    The rows of the table in security.rst that has this header.
    """
    _, _, behind = SECURITY.partition(f":header: {header}\n")
    lines = behind.split("\n\n", 2)[1].splitlines()
    return list(csv.reader((line.strip() for line in lines), skipinitialspace=True))


def named(path: str) -> object:
    """
    What a dotted name stands for.
    """
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[count:], module)
    raise AssertionError(f"there is no {path}")


def classesOf(text: str) -> dict[str, Any]:
    """
    What the Python in a chapter defines.
    """
    namespace: dict[str, Any] = {}
    for block in codeBlocks(text):
        exec(compile(block, "chapter", "exec"), namespace)
    return namespace


def codeBlocks(text: str) -> list[str]:
    """
    The Python in a chapter that is no listing.
    """
    found = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


class SecurityTests(SynchronousTestCase):
    def test_limits(self) -> None:
        """
        Every limit is what the table says, at the place that it says.
        """
        table = rows('"what", "limit", "where"')
        self.assertGreater(len(table), 40)
        wrong = []
        for what, limit, where in table:
            number, _, unit = limit.partition(" ")
            said: object
            if ":" in number:
                said = tuple(map(int, number.split(":")))
            else:
                said = float(number.replace(",", "")) * _UNITS.get(unit, 1)
            if named(where.strip("`")) != said:
                wrong.append(f"{what}: {limit}, but {where} is {named(where.strip('`'))}")
        self.assertEqual([], wrong)

    def test_everyLimit(self) -> None:
        """
        A constant that says how much of something there may be is in the
        table.
        """
        listed = {where.strip("`") for _, _, where in rows('"what", "limit", "where"')}
        missing = []
        for path in sorted(ROOT.glob("conchlite/**/*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for name in re.findall(r"^(MAXIMUM_\w+)(?:: Final)? = ", path.read_text(), re.MULTILINE):
                if f"{module}.{name}" not in listed:
                    missing.append(f"{module}.{name}")
        self.assertEqual([], missing)

    def test_algorithms(self) -> None:
        """
        What is offered is what is listed, in that order, by the catalogue and
        by the transports.
        """
        listed = {
            what: tuple(re.findall(r"``([^`]+)``", names)) for what, names in rows('"family", "offered"')
        }
        for defaults, transport, role in (
            (SERVER_DEFAULT, SSHServerTransport, "server"),
            (CLIENT_DEFAULT, SSHClientTransport, "client"),
        ):
            said = (
                listed[f"key exchange, {role}"],
                listed["signatures of host keys and users"],
                listed["ciphers"],
                listed["MACs"],
                listed["compression"],
            )
            offered = (
                defaults.keyExchanges,
                defaults.signatures,
                defaults.ciphers,
                defaults.macs,
                defaults.compressions,
            )
            attributes = (
                transport.supportedKeyExchanges,
                transport.supportedPublicKeys,
                transport.supportedCiphers,
                transport.supportedMACs,
                transport.supportedCompressions,
            )
            self.assertEqual(said, tuple(tuple(name.decode() for name in names) for names in offered))
            self.assertEqual(said, tuple(tuple(name.decode() for name in names) for names in attributes))

    def test_legacy(self) -> None:
        """
        What is called legacy is what the legacy set has besides the defaults,
        and each of it comes with what it costs.
        """
        table = rows('"legacy", "what it costs"')
        names = [name.encode() for names, _ in table for name in re.findall(r"``([^`]+)``", names)]
        families = ("keyExchanges", "signatures", "ciphers", "macs", "compressions")
        only = [
            name
            for family in families
            for name in getattr(LEGACY, family)
            if name not in getattr(CLIENT_DEFAULT, family)
        ]
        self.assertEqual(only, names)
        self.assertEqual(LEGACY_NAMES, set(names))
        self.assertTrue(all(len(cost) > 20 for _, cost in table))
        lenient = classesOf(SECURITY)["Lenient"]
        self.assertEqual(list(LEGACY.ciphers), lenient.supportedCiphers)
        self.assertEqual(LEGACY, lenient().algorithms)
        self.assertIsNone(SSHFactory.algorithms)

    def test_optIns(self) -> None:
        """
        What has to be asked for by name has that name, and is off.
        """
        strict = classesOf(SECURITY)["PostQuantum"]
        self.assertEqual([b"mlkem768x25519-sha256"], strict.supportedKeyExchanges)
        self.assertEqual(
            [b"mlkem768x25519-sha256", b"sntrup761x25519-sha512@openssh.com"],
            classesOf(SECURITY)["PostQuantumAlsoThere"].supportedKeyExchanges,
        )
        self.assertEqual((False, False), (SSHServerTransport.allowTerrapin, SSHClientTransport.allowTerrapin))
        for line in re.findall(r"``((?:SSH\w+)\.\w+)``", SECURITY):
            modules = ("transport", "userauth", "factory")
            owner, _, attribute = line.partition(".")
            owners = [getattr(importlib.import_module(f"conchlite.ssh.{m}"), owner, None) for m in modules]
            self.assertTrue(any(hasattr(found, attribute) for found in owners if found), line)


class DesignTests(SynchronousTestCase):
    def test_files(self) -> None:
        """
        Every file that the design speaks of is there, and every module of the
        package has its room.
        """
        names = {path.name for path in ROOT.glob("conchlite/**/*.py")}
        names |= {path.name for path in ROOT.glob("tests/*.py")}
        said = {name.rpartition("/")[2] for name in re.findall(r"``([\w/]+\.py)``", DESIGN)}
        self.assertGreater(len(said), 40)
        self.assertEqual(set(), said - names)
        rooms = [ROOT / "conchlite" / room for room in ("wire", "sansio", "ssh", "client")]
        there = {path.name for room in rooms for path in room.glob("*.py")} - {"__init__.py"}
        self.assertEqual(set(), there - said)

    def test_identifiers(self) -> None:
        """
        Constants that are named exist.
        """
        sources = "".join(path.read_text() for path in ROOT.glob("conchlite/**/*.py"))
        constants = set(re.findall(r"``([A-Z][A-Z_]{5,})``", DESIGN))
        self.assertEqual(set(), {name for name in constants if f"\n{name} = " not in sources})


class HowtoTests(SynchronousTestCase):
    def test_errors(self) -> None:
        """
        The exceptions of the table are there, and are L{ConchError}s.
        """
        table = HOWTO.partition("exception                       what happened\n")[2].partition("\n\n")[0]
        names = re.findall(r"``([A-Z]\w+)``", table)
        self.assertGreater(len(names), 8)
        for name in names:
            self.assertTrue(issubclass(getattr(error, name), error.ConchError), name)

    def serve(self, literals: dict[str, str]) -> tuple[Path, Server]:
        directory = copied(self.mktemp()).resolve()
        path = directory / "server.py"
        path.write_text(substitute(path.read_text(), {"5022": "0", **literals}))
        server = Server(path)
        self.addCleanup(server.stop)
        return directory, server

    def test_password(self) -> None:
        """
        The chapter's way to log in with a password does, in the howto's
        program.
        """
        (block,) = [block for block in codeBlocks(HOWTO) if "def getPassword" in block]
        database = "from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse as Passwords\n"
        directory, server = self.serve(
            {
                "from twisted.cred.portal": database + "from twisted.cred.portal",
                "[SSHPublicKeyChecker(users)]": "[Passwords(user=b'correct horse battery staple')]",
            }
        )
        path = directory / "client.py"
        literals = {
            "# --- The Connection ---\n": block,
            "ClientUserAuth('user'": "PasswordAuth('user'",
            FINGERPRINT: server.said["MD5 fingerprint"],
            "5022": str(server.port),
        }
        path.write_text(substitute(path.read_text(), literals))
        done = run(path)
        self.assertEqual((LINE, "", 0), (done.stdout, done.stderr, done.returncode))

    def test_ownGoodbye(self) -> None:
        """
        What C{closeReason} is after C{loseConnection}.
        """
        client = SSHClientTransport()
        client.makeConnection(StringTransport())
        client.loseConnection()
        client.connectionLost(Failure(ConnectionDone()))
        assert client.closeReason is not None
        ended = client.closeReason.value
        self.assertIsInstance(ended, error.Disconnected)
        said = re.search(r"``(DISCONNECT_\w+)`` and the description\s+``([^`]+)``", HOWTO)
        assert said is not None
        self.assertEqual((getattr(numbers, said[1]), said[2]), (ended.reason, ended.description))

    def test_connectionLost(self) -> None:
        """
        With the chapter's C{connectionLost} the howto's program ends where the
        host key is not the one that it knows, and says so.
        """
        directory, server = self.serve({})
        (block,) = [block for block in codeBlocks(HOWTO) if "def connectionLost" in block]
        header = "class ClientTransport(transport.SSHClientTransport):\n"
        path = directory / "client.py"
        path.write_text(substitute(path.read_text(), {header: block, "5022": str(server.port)}))
        done = run(path)
        self.assertEqual(
            ("the host key was not accepted: bad key\n", "", 0), (done.stdout, done.stderr, done.returncode)
        )

    def test_testWithoutNetwork(self) -> None:
        """
        The chapter's way to test a client: it speaks, and what it hears is
        answered, without a reactor.
        """
        (block,) = [block for block in codeBlocks(HOWTO) if "StringTransport" in block]
        namespace: dict[str, object] = {"ClientTransport": SSHClientTransport}
        exec(compile(block, "client.rst", "exec"), namespace)
        client = namespace["client"]
        sent = client.transport.value()
        self.assertTrue(sent.startswith(client.ourVersionString + b"\r\n"))
        client.dataReceived(b"HTTP/1.1 400 Bad Request\r\nSSH-1.5-old\r\n")
        self.assertTrue(client.transport.disconnecting)
        self.assertIsInstance(client.closeReason.value, error.BadVersion)

    def test_logging(self) -> None:
        """
        What is left of the chapter's Python compiles.
        """
        for block in codeBlocks(HOWTO):
            compile(block, "client.rst", "exec")
        self.assertEqual(5, len(codeBlocks(HOWTO)))

    def test_listingsAreShown(self) -> None:
        """
        The marks that cut a listing into chapters are in it, in their order.
        """
        shown = re.findall(r"literalinclude:: (\S+)\n((?:    :\S+: .*\n)*)", HOWTO + "\n")
        self.assertGreater(len(shown), 10)
        for name, options in shown:
            text = (DOC / "howto" / name).read_text()
            marks = dict(re.findall(r":(start-after|end-before): (.*)", options))
            start = text.index(marks.get("start-after", "")) + len(marks.get("start-after", ""))
            self.assertIn(marks.get("end-before", ""), text[start:], (name, options))


class NewsTests(SynchronousTestCase):
    def test_version(self) -> None:
        """
        The version that is being made has its news.
        """
        news = (DOC / "NEWS.rst").read_text()
        self.assertRegex(news, rf"(?m)^{re.escape(conchlite.__version__)}\n=+\n")

    def test_keysOfTheServerListing(self) -> None:
        """
        The key that the server lets in is the one that the client has.
        """
        server, client = (CLIENT / "server.py").read_text(), (CLIENT / "client.py").read_text()
        encoded = "".join(
            re.findall(r'^    "(.*)"$', server.partition("publicKey = (")[2].partition(")")[0], re.M)
        )
        public = re.search(r"publicKey = '(.*?)'", client, re.DOTALL)
        private = re.search(r'privateKey = """(.*?)"""', client, re.DOTALL)
        assert public is not None and private is not None
        key = Key.fromString(private[1])
        self.assertEqual(key.public(), Key.fromString(encoded))
        self.assertEqual(key.public(), Key.fromString(public[1].replace("\\\n", "")))
