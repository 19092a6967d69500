"""
Every kind of key file, made by the program that owns the format and read here,
and made here and read there; and signatures of files, both ways.

The table of what was made by whom is L{MADE}: a test for each.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.keyfiles.ciphers import FILE_CIPHERS
from conchlite.error import BadPassphrase, BadSignature, EncryptedKeyError, SignerRejected
from conchlite.ssh import sshsig
from conchlite.ssh.allowedsigners import AllowedSigners
from conchlite.ssh.certificates import FOREVER
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import USER
from tests.algorithms.keyvectors import keyText
from tests.interop.peers import missing

PASSPHRASE = "correct horse"
WRONG = "battery staple"

SK_DUMMY = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")

KINDS = {"ed25519": 256, "ecdsa": 521, "rsa": 2048}

# What is read, and not made here.
ALL_KINDS = (*KINDS, "dsa")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise missing(f"{name} is not installed")
    return found


def _run(name: str, *arguments: str | Path, data: bytes = b"") -> bytes:
    done = subprocess.run(
        [_tool(name), *map(str, arguments)], input=data, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        raise AssertionError(f"{name} {arguments}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


def _privately(path: Path) -> Path:
    path.chmod(0o600)
    return path


@functools.cache
def _key(kind: str) -> Key:
    """
    One key of each kind, made here, for what is written with it elsewhere. One
    of DSA is not made here.
    """
    if kind == "dsa":
        return Key.fromString(keyText("dsa.openssh"))
    return Key.generate(kind, KINDS[kind])


class Maker:
    """
    The programs that make key files: each method returns the file and the key
    that has to be in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "key"

    def plain(self, kind: str) -> Path:
        """
        A key of ours in OpenSSH's format, for other programs to convert.
        """
        path = self.directory / "plain"
        if kind == "dsa":
            path.write_bytes(keyText("dsa.openssh"))
            return _privately(path)
        _key(kind).toFile(path, comment="some comment")
        return path

    def keygen(self, kind: str, *arguments: str, passphrase: str = "") -> Path:
        self.path = self.plain(kind)
        _run("ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-a", "2", *arguments, "-f", self.path)
        return self.path

    def openssl(self, kind: str, *arguments: str) -> Path:
        if kind == "dsa":
            (self.directory / "pem").write_bytes(keyText("dsa.pem"))
        else:
            self.pem(kind)
        _run("openssl", *arguments, "-in", self.directory / "pem", "-out", self.path)
        return _privately(self.path)

    def pem(self, kind: str) -> None:
        _key(kind).toFile(self.directory / "pem", "pkcs8" if kind == "ed25519" else "pem")

    def puttygen(self, kind: str, version: int, passphrase: str = "") -> Path:
        secret = self.directory / "secret"
        secret.write_text(passphrase)
        parameters = f"version={version},memory=1024,passes=2"
        _run(
            "puttygen",
            self.plain(kind),
            *("-O", "private", "--ppk-param", parameters, "--new-passphrase", secret, "-o", self.path),
        )
        return _privately(self.path)

    def public(self, kind: str, *arguments: str) -> Path:
        """
        What ssh-keygen -e makes of a public key.
        """
        _key(kind).public().toFile(self.directory / "plain.pub")
        self.path.write_bytes(_run("ssh-keygen", "-e", *arguments, "-f", self.directory / "plain.pub"))
        return self.path

    def nettle(self, form: str) -> Path:
        """
        pkcs1-conv makes a canonical S-expression of PKCS#1, sexp-conv the
        other forms.
        """
        pem = _key("rsa").toString("pem")
        canonical = _run("pkcs1-conv", data=pem)
        self.path.write_bytes(_run("sexp-conv", "-s", form, data=canonical))
        return _privately(self.path)

    def nettlePublic(self, form: str) -> Path:
        canonical = _run("pkcs1-conv", data=_key("rsa").public().toString("pem"))
        self.path.write_bytes(_run("sexp-conv", "-s", form, data=canonical))
        return self.path


#: What it is called, how it is made, which key is in it, and its passphrase.
MADE: list[tuple[str, Callable[[Maker], Path], str, str]] = [
    *[
        (f"ssh-keygen-{kind}-{form}", lambda m, k=kind, f=form: m.keygen(k, "-m", f), kind, "")
        for kind in ALL_KINDS
        for form in ("RFC4716", "PEM", "PKCS8")
        if (kind, form) not in (("ed25519", "PEM"), ("ed25519", "PKCS8"))
    ],
    *[
        (
            f"ssh-keygen-{form}-encrypted",
            lambda m, f=form: m.keygen("ecdsa", "-m", f, passphrase=PASSPHRASE),
            "ecdsa",
            PASSPHRASE,
        )
        for form in ("PEM", "PKCS8")
    ],
    *[
        (
            f"ssh-keygen-Z-{cipher.decode()}",
            lambda m, c=cipher: m.keygen("ed25519", "-Z", c.decode(), passphrase=PASSPHRASE),
            "ed25519",
            PASSPHRASE,
        )
        for cipher in FILE_CIPHERS
    ],
    *[
        (
            f"openssl-{kind}-{cipher}",
            lambda m, k=kind, c=cipher: m.openssl(
                k,
                *{"ecdsa": ["ec"], "rsa": ["rsa", "-traditional"], "dsa": ["dsa"]}[k],
                "-" + c,
                "-passout",
                f"pass:{PASSPHRASE}",
            ),
            kind,
            PASSPHRASE,
        )
        for kind in ("ecdsa", "rsa", "dsa")
        for cipher in ("aes128", "aes192", "aes256", "des3")
    ],
    *[
        (
            f"openssl-pkcs8-{kind}-{name}",
            lambda m, k=kind, a=arguments: m.openssl(
                k, "pkcs8", "-topk8", *a, "-passout", f"pass:{PASSPHRASE}"
            ),
            kind,
            PASSPHRASE,
        )
        for kind in ALL_KINDS
        for name, arguments in {
            "pbes2": ("-v2", "aes-256-cbc"),
            "scrypt": ("-scrypt",),
            "des3": ("-v2", "des3"),
            "pbes1": ("-v1", "PBE-SHA1-3DES"),
        }.items()
    ],
    *[
        (f"openssl-pkcs8-{kind}", lambda m, k=kind: m.openssl(k, "pkcs8", "-topk8", "-nocrypt"), kind, "")
        for kind in ALL_KINDS
    ],
    *[
        (
            f"puttygen-{version}-{kind}{'-encrypted' * bool(passphrase)}",
            lambda m, k=kind, v=version, p=passphrase: m.puttygen(k, v, p),
            kind,
            passphrase,
        )
        for kind in ALL_KINDS
        for version in (2, 3)
        for passphrase in ("", PASSPHRASE)
    ],
    *[
        (f"ssh-keygen-e-{kind}-{form}", lambda m, k=kind, f=form: m.public(k, "-m", f), kind, "")
        for kind in ALL_KINDS
        for form in ("RFC4716", "PKCS8", "PEM")
        if (kind, form) not in (("ed25519", "PKCS8"), ("ed25519", "PEM"), ("dsa", "PEM"))
    ],
    *[
        (f"nettle-{form}", lambda m, f=form: m.nettle(f), "rsa", "")
        for form in ("canonical", "advanced", "hex", "transport")
    ],
    *[
        (f"nettle-public-{form}", lambda m, f=form: m.nettlePublic(f), "rsa", "")
        for form in ("canonical", "advanced", "transport")
    ],
]


class KeyFilesTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.maker = Maker(self.directory)

    def assertLoads(self, make: Callable[[Maker], Path], kind: str, passphrase: str) -> None:
        path, wanted = make(self.maker), _key(kind)
        if passphrase:
            self.assertRaises(EncryptedKeyError, Key.fromFile, path)
            refused = self.assertRaises(BadPassphrase, Key.fromFile, path, passphrase=WRONG)
            self.assertIn(str(path), str(refused))
        key = Key.fromFile(path, passphrase=passphrase or None)
        self.assertIn(key, (wanted, wanted.public()))

    def test_names(self):
        self.assertEqual(len({name for name, *_ in MADE}), len(MADE))

    def test_lsh(self):
        """
        What lsh-keygen makes, in the clear and encrypted, and the public key
        that is beside it.
        """
        for kind in ("rsa", "dsa"):
            expression = _run("lsh-keygen", "-a", kind, *("-l", "1024") * (kind == "rsa"), "--server")
            path = self.directory / kind
            _run("lsh-writekey", "-c", "none", "-o", path, data=expression)
            private, public = Key.fromFile(_privately(path)), Key.fromFile(path.with_suffix(".pub"))
            self.assertEqual((private.public(), private.type()), (public, kind.upper()))

    def test_dsa(self):
        """
        Keys that the programs make themselves.
        """
        path = self.directory / "key"
        for form in ("RFC4716", "PEM", "PKCS8"):
            path.unlink(missing_ok=True)
            _run("ssh-keygen", "-q", "-t", "dsa", "-N", "", "-m", form, "-f", path)
            self.assertEqual(Key.fromFile(path).public(), Key.fromFile(f"{path}.pub"))
        (self.directory / "empty").write_bytes(b"")
        empty = ("--new-passphrase", self.directory / "empty")
        _run("puttygen", "-q", "-t", "dsa", "-b", "1024", *empty, "-o", path)
        key = Key.fromFile(_privately(path))
        self.assertEqual(
            _run("puttygen", "-L", path).split()[:2], key.public().toString("openssh").split()[:2]
        )

    def test_ed448(self):
        """
        OpenSSH has none; puttygen makes and writes them.
        """
        empty, path = self.directory / "empty", self.directory / "key"
        empty.write_bytes(b"")
        _run("puttygen", "-q", "-t", "ed448", "--new-passphrase", empty, "-C", "a comment", "-o", path)
        _run("puttygen", path, "-O", "private-openssh-new", "-o", self.directory / "openssh")
        key = Key.fromFile(_privately(path))
        self.assertEqual((key.type(), key.comment), ("Ed448", b"a comment"))
        self.assertEqual(Key.fromFile(_privately(self.directory / "openssh")), key)

    def test_itLoadsWhatWeWrite(self):
        """
        ssh-keygen, with every cipher; openssl; puttygen.
        """
        path = self.directory / "ours"
        for kind in KINDS:
            line = _key(kind).public().toString("openssh")
            for cipher in FILE_CIPHERS if kind == "ecdsa" else [b"aes256-ctr"]:
                _key(kind).toFile(path, passphrase=PASSPHRASE, cipher=cipher, rounds=2, replace=True)
                shown = _run("ssh-keygen", "-y", "-P", PASSPHRASE, "-f", path)
                self.assertTrue(shown.startswith(line), cipher)
            out = self.directory / "ppk"
            _key(kind).toFile(path, replace=True)
            _run("puttygen", path, "-O", "private", "-o", out)
            self.assertEqual(Key.fromFile(out), _key(kind))
            for passphrase in (None, PASSPHRASE):
                _key(kind).toFile(path, "pkcs8", passphrase=passphrase, replace=True)
                text = _run("openssl", "pkey", "-in", path, "-pubout", "-passin", f"pass:{passphrase or ''}")
                self.assertEqual(Key.fromString(text), _key(kind).public())
            _key(kind).public().toFile(path, "rfc4716", comment='with "quotes" ' * 9, replace=True)
            self.assertEqual(_run("ssh-keygen", "-i", "-f", path).strip(), line)
            # PuTTY 0.78 does not go on with a header in the next line.
            _key(kind).public().toFile(path, "rfc4716", comment='with "quotes"', replace=True)
            self.assertEqual(_run("puttygen", "-L", path).strip(), line + b' with "quotes"')
        for form in ("pem", "pkcs8"):
            _key("rsa").public().toFile(path, form, replace=True)
            self.assertEqual(_run("ssh-keygen", "-i", "-m", form, "-f", path).strip(), _line("rsa"))
        for half in (_key("rsa"), _key("rsa").public()):
            _run("sexp-conv", "-s", "canonical", data=half.toString("lsh"))

    def test_randomart(self):
        path = self.directory / "pub"
        for kind in KINDS:
            _key(kind).public().toFile(path, replace=True)
            _, _, drawn = _run("ssh-keygen", "-lv", "-f", path).decode("ascii").partition("\n")
            self.assertEqual(_key(kind).randomart(), drawn.rstrip("\n"))


def _line(kind: str) -> bytes:
    return _key(kind).public().toString("openssh")


def _test(make: Callable[[Maker], Path], kind: str, passphrase: str) -> Callable[[KeyFilesTests], None]:
    return lambda self: self.assertLoads(make, kind, passphrase)


for _name, *_made in MADE:
    setattr(KeyFilesTests, "test_loads_" + _name.replace("-", "_").partition("@")[0], _test(*_made))


class SignatureTests(SynchronousTestCase):
    """
    ssh-keygen -Y sign, verify and find-principals.
    """

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.message = self.directory / "message"
        self.message.write_bytes(b"message")

    def verdict(self, signers: bytes, signature: bytes, *options: str) -> bool:
        """
        What ssh-keygen says.
        """
        (self.directory / "signers").write_bytes(signers)
        (self.directory / "sig").write_bytes(signature)
        done = subprocess.run(
            [
                *(_tool("ssh-keygen"), "-Y", "verify", "-f", self.directory / "signers"),
                *("-I", "me@example.org", "-n", "file", "-s", self.directory / "sig", *options),
            ],
            input=b"message",
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def test_itVerifiesOurs(self):
        for kind in KINDS:
            for hash in ("sha256", "sha512"):
                signature = sshsig.sign(_key(kind), b"message", "file", hash)
                self.assertTrue(self.verdict(b"me@* " + _line(kind), signature))
                self.assertFalse(
                    self.verdict(b"me@* " + _line(kind), sshsig.sign(_key(kind), b"other", "file"))
                )

    def test_weVerifyIts(self):
        for kind in KINDS:
            path = self.directory / kind
            _key(kind).toFile(path)
            for hash in ("sha256", "sha512"):
                signature = self.directory / "message.sig"
                signature.unlink(missing_ok=True)
                options = (
                    "-q",
                    "-Y",
                    "sign",
                    "-O",
                    f"hashalg={hash}",
                    "-n",
                    "file",
                    "-f",
                    path,
                    self.message,
                )
                _run("ssh-keygen", *options)
                text = signature.read_bytes()
                self.assertEqual(sshsig.verify(text, b"message", "file"), _key(kind).public())
                self.assertRaises(BadSignature, sshsig.verify, text, b"other", "file")

    def test_securityKeys(self):
        """
        Their files are read, and what the device signs is verified.
        """
        if not SK_DUMMY.exists():
            raise missing("sk-dummy.so of openssh-tests is not installed")
        for kind in ("ed25519-sk", "ecdsa-sk"):
            path = self.directory / kind
            _run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "device", "-w", SK_DUMMY, "-f", path)
            key, public = Key.fromFile(path), Key.fromFile(f"{path}.pub")
            self.assertTrue(key.isSecurityKey())
            self.assertEqual((key.public(), key.comment), (public, b"device"))
            key.toFile(path, passphrase=PASSPHRASE, rounds=1, replace=True)
            line = public.toString("openssh")
            self.assertTrue(_run("ssh-keygen", "-y", "-P", PASSPHRASE, "-f", path).startswith(line))
            key.toFile(path, replace=True)
            provider = {**os.environ, "SSH_SK_PROVIDER": str(SK_DUMMY)}
            subprocess.run(
                [_tool("ssh-keygen"), "-q", "-Y", "sign", "-n", "file", "-f", path, self.message],
                env=provider,
                capture_output=True,
                check=True,
            )
            signature = self.directory / "message.sig"
            text = signature.read_bytes()
            signature.unlink()
            self.assertEqual(sshsig.verify(text, b"message", "file"), public)
            self.assertTrue(self.verdict(b"me@* " + line, text))
            self.assertRaises(BadSignature, sshsig.verify, text, b"message", "file", requireVerification=True)
            self.assertRaises(BadSignature, sshsig.verify, text, b"other", "file")

    def test_allowedSigners(self):
        """
        The same answer to each line, at each time.
        """
        key, authority = _key("ed25519"), _key("ecdsa")
        certified = authority.signCertificate(
            key, kind=USER, keyID="x", principals=["me@example.org"], validBefore=FOREVER
        )
        mine, its = _line("ed25519"), _line("ecdsa")
        lines = [
            *[
                b"%b %b" % (who, mine)
                for who in (b"me@example.org", b"you", b"*", b"*,!me@*", b'"me@*"', b"m?@*")
            ],
            b"me@* " + its,
            b"me@* ssh-ed25519 AAAA\nme@* " + mine,
            b"# nothing\n\nyou nonsense\nme@* " + mine,
            *[
                b"me@* %b %b" % (options, mine)
                for options in (
                    b'namespaces="file"',
                    b'namespaces="git,f*"',
                    b'namespaces="git"',
                    b'namespaces="*,!file"',
                    b'valid-after="20200101"',
                    b'valid-after="20200102"',
                    b'valid-before="20200101"',
                    b'valid-before="20191231"',
                    b'valid-after="20190101",valid-before="20210101"',
                    b'valid-after="20210101",valid-before="20190101"',
                    b"nonsense",
                    b"cert-authority",
                    b"namespaces=file",
                )
            ],
            b"me@* cert-authority " + its,
            b"* cert-authority " + its,
            b"you cert-authority " + its,
            b'me@* cert-authority,namespaces="git" ' + its,
        ]
        said = []
        for signer in (key, certified):
            signature = sshsig.sign(signer, b"message", "file")
            for text in lines:
                theirs = self.verdict(text, signature, "-O", "verify-time=20200101")
                ours = True
                try:
                    AllowedSigners(text).check(
                        sshsig.verify(signature, b"message", "file"), "me@example.org", "file", _time()
                    )
                except SignerRejected:
                    ours = False
                self.assertEqual(ours, theirs, (signer, text))
                said.append(ours)
        self.assertGreater(min(said.count(True), said.count(False)), 10)

    def test_findPrincipals(self):
        signature = self.directory / "sig"
        signers = self.directory / "signers"
        signature.write_bytes(sshsig.sign(_key("rsa"), b"message", "file"))
        signers.write_bytes(b"you %b\nme@*,they %b\n" % (_line("ecdsa"), _line("rsa")))
        shown = _run("ssh-keygen", "-Y", "find-principals", "-f", signers, "-s", signature)
        found = AllowedSigners.fromFile(signers).findPrincipals(_key("rsa").public(), _time())
        self.assertEqual(list(found), shown.split())


def _time() -> float:
    """
    The beginning of 2020, where we are.
    """
    from time import mktime, strptime

    return mktime(strptime("20200101", "%Y%m%d"))
