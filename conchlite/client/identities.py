"""
The keys that a user has: in files, in an agent, or in the program's hands; and
the order in which they are offered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.interfaces import IReactorTime

from conchlite.algorithms.keyfiles.openssh import publicBlob
from conchlite.error import AgentError, BadKeyError, ConchError, EncryptedKeyError, ExposedKeyFile, safe
from conchlite.files import readRegularFile
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keystorage import MAXIMUM_FILE_SIZE
from conchlite.wire.agent import RSA_SHA2_256, RSA_SHA2_512

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

#: The key files that are used where none is named, if they are there.
DEFAULT_PATHS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

#: How many seconds an agent has to say which keys it has. A signature may take
#: longer: it may ask a person.
LIST_SECONDS = 10

# What an RSA key of an agent is told to sign with.
_FLAGS = {b"rsa-sha2-256": RSA_SHA2_256, b"rsa-sha2-512": RSA_SHA2_512}


class Agent(Protocol):
    """
    What is asked of an agent, such as
    L{conchlite.client.agent.connectToAgent} connects to.
    """

    def requestIdentities(self) -> Deferred[list[tuple[bytes, bytes]]]:
        """
        The blobs of its keys, and their comments.
        """

    def signData(self, blob: bytes, data: bytes, flags: int | None = None) -> Deferred[bytes]:
        """
        Have it sign.
        """


class Identity:
    """
    A key to log in with. Its private half may be in a file and encrypted, or in
    an agent, and there may be certificates of it.

    @ivar path: the file; empty for a key that is in none.
    @ivar private: the private key; L{None} while it is encrypted, and for one
        that only an agent has.
    @ivar public: the public key; L{None} if that is encrypted with it, as it is
        in other formats than OpenSSH's, and there is no file C{.pub} beside it.
    @ivar certificates: the public key with each of its certificates.
    @ivar agent: the agent that has the private half, if one has it.
    @ivar agentBlobs: what the agent lists of it: the key, certificates, or both.
    @ivar comment: what the agent calls it.
    @ivar isPublicFile: whether the file has no private half.
    """

    def __init__(self, private: Key | None, path: str = "", public: Key | None = None) -> None:
        """
        @param private: the private key, if it is at hand.
        @param path: the file that it is in, if it is in one.
        @param public: the public key, where C{private} is not given; by default
            what is known of it without a passphrase.
        """
        self.path = path
        self.private = private
        self.certificates: list[Key] = []
        self.agent: Agent | None = None
        self.agentBlobs: set[bytes] = set()
        self.comment = b""
        self.isPublicFile = False
        if private is not None:
            public = private.public()
        elif public is None:
            public = self._publicFile()
        if public is not None and public.isCertificate():
            self.certificates.append(public)
            public = public.plain()
        self.public = public

    @classmethod
    def fromFile(cls, path: str) -> Identity:
        """
        Read a file, as far as that goes without a passphrase, and the
        certificate beside it, as C{id_ed25519-cert.pub} is to C{id_ed25519}.

        @param path: the file's path; C{~} is the user's home. A public key is
            good for one whose private half an agent has.
        @raise ConchError: it cannot be read, or is no key.
        """
        path = str(Path(path).expanduser())
        key = _readKey(path)
        if key is not None and key.isPublic():
            identity = cls(None, path, key)
            identity.isPublicFile = True
        else:
            identity = cls(key, path)
        beside = path.removesuffix(".pub") + "-cert.pub"
        if os.path.exists(beside):
            identity.certificates.append(readCertificate(beside))
        return identity

    def _publicFile(self) -> Key | None:
        from conchlite.ssh.keys import Key

        try:
            return Key.fromFile(self.path + ".pub").public()
        except (OSError, BadKeyError, EncryptedKeyError):
            pass
        try:
            return Key.fromString(publicBlob(readRegularFile(self.path, MAXIMUM_FILE_SIZE)), "blob")
        except (OSError, BadKeyError):
            # It only saves a question, if the server does not want the key, or
            # the agent has it. What is signed, is signed by the private key.
            return None

    @property
    def name(self) -> str:
        """
        Its file, or the key's fingerprint and where that is from, in words.
        """
        if self.path or self.public is None:
            return self.path
        return f"{fingerprint(self.public.blob())}, from {self.source}"

    @property
    def source(self) -> str:
        """
        Where the private key is, in words.
        """
        if self.agent is not None:
            said = f"agent ({safe(self.comment)})" if self.comment else "agent"
            return f"{said} and file {self.path}" if self.path else said
        return f"file {self.path}" if self.path else "program"

    @property
    def canSign(self) -> bool:
        """
        Whether there is a private half, though it may be encrypted.
        """
        return self.agent is not None or self.private is not None or bool(self.path and not self.isPublicFile)

    def offers(self) -> list[Key]:
        """
        What of it is offered to a server: certificates first, which may be all
        that the server looks at.
        """
        if self.public is None:
            return []
        plain = self.public.blob()
        fitting = [key for key in self.certificates if key.plain().blob() == plain]
        return [*fitting, self.public]

    def decrypt(self, passphrase: bytes) -> Key:
        """
        Open the private key. What it costs is for a thread.

        @raise BadPassphrase: the passphrase is wrong.
        @raise ConchError: the file cannot be read any more.
        """
        from conchlite.ssh.keys import Key

        try:
            self.private = Key.fromFile(self.path, passphrase=passphrase)
        except OSError as e:
            raise ConchError(f"identity {self.path}: {e.strerror}") from e
        self.public = self.private.public()
        return self.private

    def signWithAgent(self, publicKey: Key, data: bytes, algorithm: bytes) -> Deferred[bytes]:
        """
        Have the agent sign, by C{algorithm}.

        @param publicKey: the key as it was offered, perhaps with a certificate.
        @return: a signature blob. It fails with L{AgentError
            <conchlite.error.AgentError>}, where the agent does not want to.
        """
        if self.agent is None:
            return fail(AgentError("no agent has this key"))
        name = algorithm.removesuffix(b"-cert-v01@openssh.com")
        # A certificate from a file is none that the agent knows.
        offered, plain = publicKey.blob(), publicKey.plain().blob()
        blob = offered if offered in self.agentBlobs else plain
        return self.agent.signData(blob, data, _FLAGS.get(name, 0))


def _readKey(path: str) -> Key | None:
    from conchlite.ssh.keys import Key

    try:
        return Key.fromFile(path)
    except EncryptedKeyError:
        return None
    except OSError as e:
        raise ConchError(f"identity {path}: {e.strerror}") from e
    except BadKeyError as e:
        raise type(e)(f"identity {e}") from e


def readCertificate(path: str) -> Key:
    """
    Read a certificate's file.

    @raise ConchError: it cannot be read, or is no certificate.
    """
    key = _readKey(str(Path(path).expanduser()))
    if key is None or not key.isCertificate():
        raise BadKeyError(f"certificate {path}: this is none")
    return key.public()


def defaultIdentities(notes: list[str] | None = None) -> list[Identity]:
    """
    What the user has under the usual names; what cannot be read is left out.

    @param notes: gets a line for each key that would do, but for who may read
        its file.
    """
    found = []
    for path in DEFAULT_PATHS:
        try:
            found.append(Identity.fromFile(path))
        except ExposedKeyFile as e:
            if notes is not None:
                notes.append(str(e))
        except ConchError:
            # Nobody asked for this one by name.
            pass
    return found


async def agentIdentities(agent: Agent, clock: IReactorTime) -> list[Identity]:
    """
    What an agent has; keys of types that are not known here are left out.

    @raise AgentError: it does not say, or not within L{LIST_SECONDS}.
    """
    from conchlite.ssh.keys import Key

    found: dict[bytes, Identity] = {}
    try:
        listed = await agent.requestIdentities().addTimeout(LIST_SECONDS, clock)
    except TimeoutError:
        raise AgentError(f"the agent has not answered within {LIST_SECONDS} seconds") from None
    for blob, comment in listed:
        try:
            key = Key.fromString(blob, "blob").public()
        except (ConchError, ValueError):
            continue
        identity = Identity(None, "", key)
        identity.agent = agent
        identity.comment = comment
        # A certificate comes as a key of its own, beside the plain one.
        known = found.setdefault(key.plain().blob(), identity)
        known.agentBlobs.add(blob)
        if known is not identity:
            known.certificates += identity.certificates
    return list(found.values())


def arrange(
    named: Iterable[Identity],
    fromAgent: Sequence[Identity] = (),
    defaults: Iterable[Identity] = (),
    certificates: Iterable[Key] = (),
    identitiesOnly: bool = False,
) -> list[Identity]:
    """
    The order in which keys are offered: those that the user has named, in his
    order; then the agent's; then those in the usual files. Each comes once, and
    one that is in a file and in the agent signs with the agent, which needs no
    passphrase.

    @param certificates: further certificates; each goes with its key.
    @param identitiesOnly: whether only what was named is offered. Then the
        agent still signs with those.
    """
    agents = {identity.public.blob(): identity for identity in fromAgent if identity.public is not None}
    ordered = list(named)
    if not identitiesOnly:
        ordered += [*fromAgent, *defaults]
    found: list[Identity] = []
    seen: set[bytes] = set()
    for identity in ordered:
        blob = b"" if identity.public is None else identity.public.blob()
        if blob in seen:
            continue
        if blob:
            seen.add(blob)
        known = agents.get(blob)
        if known is not None and known is not identity:
            identity.agent, identity.comment = known.agent, known.comment
            identity.agentBlobs = known.agentBlobs
            identity.certificates += known.certificates
        identity.certificates += [key for key in certificates if key.plain().blob() == blob]
        found.append(identity)
    return found
