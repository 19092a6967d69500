"""
Known hosts files as we read them, and as C{ssh-keygen -F} does.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.client.hostentries import HashedEntry, hostPattern
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.ssh.keys import Key
from tests.interop.peers import hostKeys, program, start

KEY = Key.generate("ed25519").public()
TEXT = KEY.toString("openssh").decode("ascii").strip()
ENCODED = TEXT.split()[1]
RSA = hostKeys()[b"ssh-rsa"].public().toString("openssh").decode("ascii").strip()


def hashed(name: bytes, marker: str = "") -> str:
    line = HashedEntry.forHost(name, KEY, lambda size: bytes(range(size))).toString().decode("ascii")
    return f"{marker} {line}".strip()


def damaged(position: int) -> str:
    """
    A key of which one character is none of base64.
    """
    return f"ssh-ed25519 {ENCODED[:position]}!{ENCODED[position + 1 :]}"


#: Each a line of its own file's: what is odd about one must not hide another.
CORPUS = [
    "",
    "   ",
    "# a comment",
    "   # a comment behind blanks",
    f"alpha {TEXT}",
    f"  alpha {TEXT}",
    f"\talpha\t{TEXT.replace(' ', chr(9))}",
    f"alpha   {TEXT}   and a comment",
    f"alpha {TEXT}\r",
    f"alpha ssh-ed25519 {ENCODED}\r",
    f"alpha ssh-ed25519 {ENCODED}",
    f"ALPHA {TEXT}",
    f"alpha,beta {TEXT}",
    f"alpha,,beta {TEXT}",
    f",alpha {TEXT}",
    f"alpha, {TEXT}",
    f"alpha, beta {TEXT}",
    f"!alpha {TEXT}",
    f"*,!alpha {TEXT}",
    f"!alpha,* {TEXT}",
    f"*.example.com {TEXT}",
    f"*.example.com,!alpha.example.com {TEXT}",
    f"?lpha {TEXT}",
    f"a*a {TEXT}",
    f"al**pha {TEXT}",
    f"* {TEXT}",
    f"*pha*pha*pha* {TEXT}",
    f"[alpha]:2222 {TEXT}",
    f"[alpha]:* {TEXT}",
    f"[*]:2222 {TEXT}",
    f"[alpha]:22 {TEXT}",
    f"[::1]:2222 {TEXT}",
    f"::1 {TEXT}",
    f"192.0.2.1 {TEXT}",
    f"192.0.2.* {TEXT}",
    f"alpha,192.0.2.1,[::1]:2222 {TEXT}",
    f"alpha {RSA}",
    f"alpha ssh-unheard-of {ENCODED}",
    f"alpha {ENCODED}",
    "alpha",
    "alpha ssh-ed25519",
    "alpha 1024 35 1234567890123456789",
    hashed(b"alpha"),
    hashed(b"[alpha]:2222"),
    hashed(b"beta"),
    hashed(b"alpha") + " a comment",
    hashed(b"alpha")[:20] + "|AAAA " + TEXT,
    "|1|AAAA|AAAA " + TEXT,
    "|1| " + TEXT,
    "|2|AAAA|AAAA " + TEXT,
    f"@revoked alpha {TEXT}",
    f"@revoked * {TEXT}",
    hashed(b"alpha", "@revoked"),
    f"@cert-authority *.example.com {TEXT}",
    f"@cert-authority alpha {TEXT}",
    f"@unheard-of alpha {TEXT}",
    f"@revoked  alpha  {TEXT}",
    "@revoked",
    f"caf\xe9 {TEXT}",
    f"alpha {TEXT} caf\xe9",
    "\x00\x01\x02",
]

#: Lines with a name and without a key: ssh-keygen looks at the name alone, ssh
#: and we pass them over.
KEYLESS = [
    f"alpha ssh-ed25519 {ENCODED[:-4]}",
    f"alpha ssh-ed25519 {ENCODED[:40]} {ENCODED[40:]}",
    f"alpha ssh-rsa {ENCODED}",
    "alpha ssh-ed25519 AAAA",
    "alpha ssh-ed25519 ====",
    f"alpha {damaged(30)}",
]

NAMES = [
    *(b"alpha", b"beta", b"alpha.example.com", b"gamma.example.com", b"example.com", b"alphapha"),
    *(hostPattern("alpha", 2222), hostPattern("beta", 2222), hostPattern("::1", 2222), b"::1", b"192.0.2.1"),
]

_FOUND = re.compile(rb"# Host \S+ found: line (\d+) ?(.*)")


class CorpusTests(TestCase):
    timeout = 120

    async def found(self, path: Path, name: bytes) -> set[int]:
        """
        The lines that ssh-keygen finds for a host, authorities left out.
        """
        arguments = ["-F", name.decode("ascii"), "-f", str(path)]
        finished = await start(self, reactor, program("ssh-keygen"), arguments).finished
        return {int(line) for line, rest in _FOUND.findall(finished.output) if rest != b"CA"}

    async def test_sameLines(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(b"".join(line.encode("latin-1") + b"\n" for line in [*CORPUS, *KEYLESS]))
        keyless = set(range(len(CORPUS) + 1, len(CORPUS) + len(KEYLESS) + 1))
        ours = KnownHostsFile.fromPath(FilePath(str(path)))
        theirs = await gatherResults(Deferred.fromCoroutine(self.found(path, name)) for name in NAMES)
        for name, lines in zip(NAMES, theirs, strict=True):
            self.assertEqual({number for number, _ in ours.entriesFor(name)}, lines - keyless, name)
        self.assertGreater(len(theirs[0]), 20)
