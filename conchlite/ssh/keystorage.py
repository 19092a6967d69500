"""
Keys in files, as L{conchlite.ssh.keys.Key} reads and writes them: which format
a file is in, who may read it, and what a passphrase stands for.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from typing import TYPE_CHECKING, Any, TypeAlias

from conchlite.algorithms import catalogue
from conchlite.algorithms.loading import USUAL_EFFORT, Effort
from conchlite.error import (
    BadKeyError,
    EncryptedKeyError,
    ExposedKeyFile,
    PassphraseNormalizationError,
    UnknownKeyFormat,
    UsageError,
    safe,
)
from conchlite.files import readWithStatus, writeWhole
from conchlite.ssh.threads import threadsOf

if TYPE_CHECKING:
    from typing import Self

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorThreads

    from conchlite.algorithms.base import KeyFile

Path: TypeAlias = "str | bytes | os.PathLike[str]"

#: No key file is larger than this, in bytes.
MAXIMUM_FILE_SIZE = 1024 * 1024

# What a name of a format stands for, where it is more than one.
_READ = {"private_openssh": ("private_openssh", "private_pem", "private_pkcs8")}

# What is written as what: C{type} and C{subtype} of L{Key.toString}.
_PRIVATE_SUBTYPES = {"v1": "private_openssh", "pem": "private_pem", "pkcs8": "private_pkcs8"}
_PRIVATE_TYPES = {"lsh": "private_lsh", "agentv3": "agentv3"}
_PUBLIC_TYPES = {
    "openssh": "public_openssh",
    "rfc4716": "public_rfc4716",
    "pem": "public_pem",
    "pkcs8": "public_pkcs8",
    "lsh": "public_lsh",
}


def passphraseBytes(passphrase: bytes | str | None) -> bytes | None:
    """
    The bytes that a passphrase stands for; an empty one is none.

    @raise PassphraseNormalizationError: it has a character that this Python's
        Unicode does not know, so that its normal form is anyone's guess.
    """
    if not passphrase:
        return None
    if isinstance(passphrase, bytes):
        return passphrase
    if any(unicodedata.category(character) in ("Cn", "Cs") for character in passphrase):
        raise PassphraseNormalizationError("the passphrase has a character that Unicode does not define")
    return unicodedata.normalize("NFKC", passphrase).encode("utf-8")


def formatOf(data: bytes, type: str | None) -> KeyFile:
    """
    The format that C{data} is in.

    @raise UnknownKeyFormat: there is none that is known.
    @raise BadKeyError: there is no C{type}.
    """
    candidates = catalogue.keyFiles()
    if type is not None:
        name = type.lower()
        if name not in candidates:
            raise BadKeyError(f"there is no key type {safe(type)}: {', '.join(candidates)}")
        candidates = _READ.get(name, (name,))
        if len(candidates) == 1:
            return catalogue.keyFile(name)
    for name in candidates:
        form = catalogue.keyFile(name)
        if form.recognises(data):
            return form
    raise UnknownKeyFormat("this is no key in a format that is known")


def readKeyFile(path: Path, type: str | None, checkPermissions: bool) -> tuple[bytes, KeyFile]:
    """
    What a file holds, and the format that it is in.

    @raise OSError: it cannot be read, or is no regular file.
    @raise ExposedKeyFile: it is a private key of ours that others may read.
    @raise BadKeyError: it is too large, or in no format that is known.
    """
    try:
        data, status = readWithStatus(path, MAXIMUM_FILE_SIZE)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UnknownKeyFormat("too large for a key") from None
        raise
    form = formatOf(data, type)
    # As ssh(1): whose file it is not, has not made it so, and may have given
    # it to us by way of a group.
    mode = stat.S_IMODE(status.st_mode)
    if checkPermissions and form.holdsPrivate and status.st_uid == os.getuid() and mode & 0o077:
        name = safe(os.fsdecode(path))
        raise ExposedKeyFile(
            f"a private key that others may read (mode {mode:04o}) is not used: chmod 600 {name}"
        )
    return data, form


def formatNamed(type: str, subtype: str | None, public: bool, traditional: bool) -> str:
    """
    The name of the format that C{Key.toString} means.

    @param public: whether it is for a public key.
    @param traditional: whether PEM has a traditional format for the key.
    @raise BadKeyError: there is no such format.
    @raise UsageError: it is for private keys, and the key is public.
    """
    name = type.lower()
    if public:
        if name in _PUBLIC_TYPES:
            return _PUBLIC_TYPES[name]
        if name in _PRIVATE_TYPES:
            raise UsageError("this takes a private key, and the key is public")
    elif name in _PRIVATE_TYPES:
        return _PRIVATE_TYPES[name]
    elif name in ("pem", "pkcs8") and subtype is None:
        return _PRIVATE_SUBTYPES[name]
    elif name == "openssh":
        wanted = (subtype or ("PEM" if traditional else "v1")).lower()
        if wanted not in _PRIVATE_SUBTYPES:
            raise BadKeyError(f"there is no subtype {safe(wanted)}")
        return _PRIVATE_SUBTYPES[wanted]
    there = _PUBLIC_TYPES if public else ("openssh", "pem", "pkcs8", *_PRIVATE_TYPES)
    raise BadKeyError(f"no key is written as {safe(type)}, but as {', '.join(there)}")


def writer(name: str, cipher: bytes | str | None, rounds: int | None) -> KeyFile:
    """
    The format of this name, to write with.

    @raise UsageError: it leaves no choice of cipher and rounds.
    """
    form = catalogue.keyFile(name)
    if cipher is None and rounds is None:
        return form
    from conchlite.algorithms.keyfiles.openssh import DEFAULT_CIPHER, PrivateKeyFile

    if not isinstance(form, PrivateKeyFile):
        raise UsageError("only OpenSSH's own format (v1) leaves a choice of cipher and rounds")
    if isinstance(cipher, str):
        cipher = cipher.encode("utf-8", "replace")
    return PrivateKeyFile(cipher or DEFAULT_CIPHER, rounds)


class StoredKey:
    """
    The part of L{conchlite.ssh.keys.Key} that is about files.

    @ivar comment: the text that stood with the key in its file, or nothing.
    """

    comment: bytes

    def __init__(self, keyObject: Any, comment: bytes = b"") -> None:
        raise NotImplementedError

    def isPublic(self) -> bool:
        """
        Whether this is a public key; else it is a private one.
        """
        raise NotImplementedError

    def _written(self) -> tuple[Any, bool]:
        """
        What is to be written, and whether PEM has a traditional format for it.
        """
        raise NotImplementedError

    @classmethod
    def fromFile(
        cls,
        filename: Path,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        checkPermissions: bool = True,
        effort: Effort = USUAL_EFFORT,
    ) -> Self:
        """
        Read a key from a file, which has to be a regular one: what a FIFO
        gives, a program reads itself, and has L{fromString} understand it.

        To derive the key of an encrypted file takes some tenths of a second:
        L{fromFileLater} does it in a thread.

        @param type: the format, as in L{fromString}.
        @param passphrase: as in L{fromString}.
        @param checkPermissions: whether to refuse, as ssh(1) does, a private
            key in a file of ours that others may read.
        @param effort: as in L{fromString}.
        @raise OSError: the file cannot be read, or is no regular one.
        @raise ExposedKeyFile: others may read the private key; the text says
            what to do about it.
        @raise BadKeyError: as L{fromString}; the text of this and of the
            following names the file.
        @raise EncryptedKeyError: as L{fromString}.
        @raise BadPassphrase: as L{fromString}.
        """
        try:
            data, form = readKeyFile(filename, type, checkPermissions)
            return cls._loaded(form, data, passphrase, effort)
        except (BadKeyError, EncryptedKeyError) as error:
            raise error.__class__(f"{safe(os.fsdecode(filename))}: {error}") from error

    @classmethod
    def fromString(
        cls,
        data: bytes | str,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        effort: Effort = USUAL_EFFORT,
    ) -> Self:
        """
        Read a key. Of a line of C{authorized_keys} this is the key and the
        comment; what its options demand is for the caller to see to.

        @param type: the format: C{public_openssh}, C{private_openssh} (which
            is PEM too), C{private_pem}, C{private_pkcs8}, C{private_putty},
            C{public_rfc4716}, C{public_pem}, C{public_pkcs8}, C{public_lsh},
            C{private_lsh}, C{blob}, C{private_blob} or C{agentv3}, in upper
            or lower case; L{None} to find out.
        @param passphrase: what the key is encrypted with. Text is normalised
            (NFKC) and encoded as UTF-8.
        @param effort: what it may cost to make a key of the passphrase.
        @raise UnknownKeyFormat: C{data} is in no format that is known.
        @raise DamagedKey: it is truncated or damaged.
        @raise BadPassphrase: the passphrase is wrong.
        @raise BadKeyError: the root of these three; and C{data} is no key of
            this format, or of a type that is not supported; or it is not
            encrypted, and a passphrase is given.
        @raise EncryptedKeyError: it is encrypted, and no passphrase is given.
        @raise PassphraseNormalizationError: nobody can say which bytes the
            passphrase stands for.
        """
        if isinstance(data, str):
            # A lone surrogate is no key, and becomes none.
            data = data.encode("utf-8", "replace")
        return cls._loaded(formatOf(data, type), data, passphrase, effort)

    @classmethod
    def _loaded(cls, form: KeyFile, data: bytes, passphrase: bytes | str | None, effort: Effort) -> Self:
        loaded = form.load(data, passphraseBytes(passphrase), effort)
        return cls(loaded.key, loaded.comment)

    @classmethod
    def fromFileLater(
        cls,
        reactor: IReactorThreads,
        filename: Path,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        checkPermissions: bool = True,
        effort: Effort = USUAL_EFFORT,
    ) -> Deferred[Self]:
        """
        As L{fromFile}, in a thread of the reactor's.

        @return: fires with the key, and fails with what L{fromFile} raises. To
            cancel it is to take no interest any more: the thread goes on.
        """
        run = threadsOf(reactor)
        return run(cls.fromFile, filename, type, passphrase, checkPermissions=checkPermissions, effort=effort)

    @classmethod
    def fromStringLater(
        cls,
        reactor: IReactorThreads,
        data: bytes | str,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        effort: Effort = USUAL_EFFORT,
    ) -> Deferred[Self]:
        """
        As L{fromString}, in a thread of the reactor's.

        @return: as that of L{fromFileLater}.
        """
        return threadsOf(reactor)(cls.fromString, data, type, passphrase, effort=effort)

    def toString(
        self,
        type: str,
        extra: bytes | str | None = None,
        subtype: str | None = None,
        comment: bytes | str | None = None,
        passphrase: bytes | str | None = None,
        *,
        cipher: bytes | str | None = None,
        rounds: int | None = None,
    ) -> bytes:
        """
        Write the key.

        @param type: C{openssh}, C{lsh}, C{pem} (PKCS#1, SEC 1), C{pkcs8} or
            C{agentv3}, and of a public key C{rfc4716}, in upper or lower case.
        @param extra: the comment of a public key, the passphrase of a private
            one: the old way to give them.
        @param subtype: of a private OpenSSH key: C{v1}, OpenSSH's own format;
            C{PEM}, the traditional one; C{PKCS8}. L{None} is C{PEM}, and C{v1}
            for keys that have no traditional one. With a passphrase, prefer
            C{v1}: what C{PEM} does to the passphrase is one MD5.
        @param comment: left out where the format has no place for it.
        @param passphrase: what to encrypt a private key with.
        @param cipher: the cipher of C{v1}, one of those of C{ssh-keygen -Z};
            L{None} for C{aes256-ctr}.
        @param rounds: how often bcrypt works on the passphrase in C{v1};
            L{None} for 24. A hundred take a second or so.
        @raise BadKeyError: there is no such format.
        @raise UsageError: the format cannot hold the key, or cannot encrypt,
            or knows no such cipher.
        """
        if extra is not None and self.isPublic():
            comment = extra
        elif extra is not None:
            passphrase = extra
        if isinstance(comment, str):
            comment = comment.encode("utf-8")
        written, traditional = self._written()
        form = writer(formatNamed(type, subtype, self.isPublic(), traditional), cipher, rounds)
        return form.dump(written, comment or b"", passphraseBytes(passphrase))

    def toFile(
        self,
        path: str | os.PathLike[str],
        type: str = "openssh",
        subtype: str | None = "v1",
        comment: bytes | str | None = None,
        passphrase: bytes | str | None = None,
        *,
        cipher: bytes | str | None = None,
        rounds: int | None = None,
        replace: bool = False,
    ) -> None:
        """
        Write the key to a file, whole or not at all. That of a private key is
        never readable by anybody else, whatever the umask; that of a public
        key is readable by all.

        @param type: as the other parameters, what it is in L{toString}.
        @param comment: L{None} for the key's own.
        @param replace: whether the file may take the place of another.
        @raise FileExistsError: there is a file, and C{replace} is false.
        @raise OSError: it cannot be written.
        @raise BadKeyError: as L{toString}.
        @raise UsageError: as L{toString}.
        """
        if comment is None:
            comment = self.comment
        if self.isPublic() or type.lower() != "openssh":
            subtype = None
        text = self.toString(type, None, subtype, comment, passphrase, cipher=cipher, rounds=rounds)
        if self.isPublic() and not text.endswith(b"\n"):
            text += b"\n"
        writeWhole(path, text, 0o644 if self.isPublic() else 0o600, replace=replace)
