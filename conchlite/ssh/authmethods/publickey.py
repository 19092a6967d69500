"""
The method C{publickey}: RFC 4252 section 7, with the signature algorithms of
RFC 8332 for RSA keys.

A certificate takes the place of its key, and the signature is the key's. Where
the server announces C{publickey-hostbound-v00@openssh.com} (OpenSSH PROTOCOL
3.1), the signature covers its host key as well, so that an agent can tell
where it is used; but for that the method is C{publickey}.

The client first asks whether a key would do, and signs only if it would: a
signature may need a person or a passphrase. What is signed holds the session
identifier, the user and the service, so that a signature is good for nothing
else; the server verifies it over what it parsed itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import ISSHPrivateKey, SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred

from conchlite.algorithms import catalogue
from conchlite.error import (
    BadKeyError,
    BadSignature,
    ConchError,
    MalformedMessage,
    NotEnoughAuthentication,
    UnexpectedMessage,
    ValidPublicKey,
    WeakKey,
    safe,
)
from conchlite.sansio.authentication import ClientAuthentication
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, MethodReply, ServerMethod
from conchlite.wire import numbers
from conchlite.wire.types import Reader, packString
from conchlite.wire.userauth import PublicKeyData, SignedData, UserauthPKOK

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys import PrivateKey, PublicKey
    from conchlite.ssh.keys import Key
    from conchlite.ssh.userauthclient import GivenPrivateKey, SSHUserAuthClient


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"
    OFFERED = "a key that was offered"
    SIGNED = "a signature that was sent"


class PublicKeyClient(ClientMethod):
    """
    Offers the keys that C{getPublicKey} has, each once, and signs with
    C{signData} by the first that the server would take.
    """

    name = b"publickey"
    repeatable = True
    messages = {(Step.OFFERED, numbers.MSG_USERAUTH_PK_OK): "_accepted"}

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        super().__init__(client, record)
        self.step = Step.IDLE
        self._seen: set[bytes] = set()
        self._blob = b""
        self._algorithm = b""
        # What else the key could sign with, if the server does not know the
        # algorithm that it was offered with.
        self._others: list[bytes] = []

    async def attempt(self) -> bool:
        while not self._others:
            key = await self._nextKey()
            if key is None:
                return False
            self._others = self._algorithmsFor(key)
        self._offer()
        return True

    async def _nextKey(self) -> Key | None:
        """
        The next key that was not seen yet.

        A program may answer with one key again and again, as the howto's does,
        or have the same key from its agent and from a file. So the end is
        when there are more known keys in a row than keys altogether.
        """
        known = 0
        while known <= len(self._seen):
            answer = await self.ask("getPublicKey")
            if answer is None:
                return None
            try:
                key = asKey(answer).public()
            except ConchError as error:
                self.record.obstacles.append(f"what getPublicKey answered, as it is no key: {error}")
                return None
            blob = key.blob()
            if blob not in self._seen:
                self._seen.add(blob)
                self._blob = blob
                self.client.lastPublicKey = key
                self.client.triedPublicKeys.append(key)
                return key
            known += 1
        return None

    def _algorithmsFor(self, key: Key) -> list[bytes]:
        """
        The signature algorithms to offer the key with.
        """
        client = self.client
        if key.type() == "RSA" and key.size() < client.minimumRSABits:
            self.record.obstacles.append(
                f"{describe(key)}, as its {key.size()} bits are less than "
                f"{type(client).__name__}.minimumRSABits = {client.minimumRSABits}"
            )
            return []
        allowed = client.signatureAlgorithms
        if allowed is None:
            allowed = client.transport.acceptedSignatures
        ours = [name for name in key.supportedSignatureAlgorithms() if catalogue.accepts(allowed, name)]
        if not ours:
            self.record.obstacles.append(f"{describe(key)}, as no algorithm is allowed that it signs with")
            return []
        known = client.transport.peerExtensions.get(b"server-sig-algs", b"").split(b",")
        # Only a choice is made by the server's list. A key is not left out
        # because of it: npm's ssh2 1.17 forgets a comma, so that names are
        # missing in its list.
        return [name for name in ours if catalogue.accepts(known, name)][:1] or ours

    def _offer(self) -> None:
        self._algorithm = self._others.pop(0)
        self.client.signatureAlgorithm = self._algorithm
        self.step = Step.OFFERED
        self.client.askForAuth(self.name, PublicKeyData(False, self._algorithm, self._blob, b"").pack())
        key = self.client.lastPublicKey
        if key is not None:
            self.record.attempt(
                keyType=key.sshType(),
                fingerprint=fingerprint(key),
                algorithm=self._algorithm,
                source=self.client.keySource(key),
                certificate=getattr(key, "certificate", None),
            )

    def _described(self) -> str:
        key = self.client.lastPublicKey
        said = describe(key) if key is not None else ""
        if catalogue.keyTypeOfSignature(self._algorithm) != self._algorithm:
            said += f" ({safe(self._algorithm)})"
        return said

    def _accepted(self, packet: bytes) -> Deferred[bool]:
        message = UserauthPKOK.unpack(packet)
        # The key's type in the place of the signature's is let pass, since we
        # sign with what we offered in any case.
        names = (self._algorithm, catalogue.keyTypeOfSignature(self._algorithm))
        if message.publicKey != self._blob or message.algorithm not in names:
            raise UnexpectedMessage("USERAUTH_PK_OK for a key that was not offered")
        # If this fails, it is not for want of another algorithm.
        self._others = []
        return Deferred.fromCoroutine(self._prove())

    async def _prove(self) -> bool:
        client = self.client
        signature = await self.ask("signData", client.lastPublicKey, self._signedData())
        if signature is None:
            self.record.obstacles.append(f"a signature by {self._described()}, as there was none")
            return False
        try:
            made = Reader(signature, "signature").string()
        except MalformedMessage:
            made = b"malformed"
        # What a certified key signs is called as what it signs without.
        if made != catalogue.plainName(self._algorithm):
            self.record.obstacles.append(
                f"a signature by {self._described()}, as signData made a {safe(made)} signature"
            )
            return False
        self.step = Step.SIGNED
        client.transport.tellLegacy(("user's key", self._algorithm))
        data = PublicKeyData(True, self._algorithm, self._blob, packString(signature))
        client.askForAuth(self.name, data.pack())
        return True

    def _signedData(self) -> bytes:
        return signedData(
            self.client.transport.sessionID,
            self.record.userName,
            self.record.serviceName,
            self._algorithm,
            self._blob,
        )


async def sign(client: SSHUserAuthClient, publicKey: Key, data: bytes) -> bytes | None:
    """
    Sign by the program's private key: what C{signData} does unless it is
    overridden.

    @raise BadKeyError: the private key is not the one of C{publicKey}.
    """
    getPrivateKey: Callable[[], Any] = client.getPrivateKey
    answer: GivenPrivateKey = await maybeDeferred(getPrivateKey)
    if answer is None:
        return None
    key = asKey(answer)
    if key.isPublic():
        raise BadKeyError("getPrivateKey answered with a public key")
    if key.blob() != publicKey.blob():
        raise BadKeyError(f"getPrivateKey answered with {describe(key)}, not with {describe(publicKey)}")
    return key.sign(data, client.signatureAlgorithm)


def asKey(answer: Key | PublicKey | PrivateKey | bytes | str) -> Key:
    """
    A key in one of the forms that a program may have it in: a L{Key}, a
    blob or a file's content, or one of C{cryptography}'s keys.

    @raise BadKeyError: it is none of these.
    """
    from conchlite.ssh.keys import Key

    if isinstance(answer, Key):
        return answer
    if isinstance(answer, bytes | str):
        return Key.fromString(answer)
    return Key(answer)


def describe(key: Key) -> str:
    """
    A key in words: its type and its fingerprint.
    """
    return f"{safe(key.sshType())} {fingerprint(key)}"


def fingerprint(key: Key) -> str:
    """
    A key's SHA-256 fingerprint; a certificate has its key's.
    """
    from conchlite.ssh.keys import hostKeyFingerprint

    plain = key.plain() if getattr(key, "certificate", None) is not None else key
    return hostKeyFingerprint(plain.blob()).sha256


def signedData(
    sessionID: bytes, userName: bytes, serviceName: bytes, algorithm: bytes, publicKey: bytes
) -> bytes:
    """
    What a user's signature covers.
    """
    return SignedData(
        sessionID,
        numbers.MSG_USERAUTH_REQUEST,
        userName,
        serviceName,
        b"publickey",
        True,
        algorithm,
        publicKey,
    ).pack()


class PublicKeyServer(ServerMethod):
    """
    Verifies the signature, then asks the portal with L{SSHPrivateKey}.

    A request without a signature asks whether the key would do. Nothing that
    the portal says to that is a login, not even a part of one.
    """

    name = b"publickey"
    credentials = ISSHPrivateKey

    async def decide(self, methodData: bytes) -> LoginResult:
        data = PublicKeyData.unpack(methodData)
        rest = Reader(data.signature, "PublicKeyData")
        signature = rest.string() if data.hasSignature else None
        rest.end()
        user = self.server.user
        key = self._readKey(data)
        if signature is None:
            await self._ask(SSHPrivateKey(user, data.algorithm, data.publicKey, None, None))
            reply = UserauthPKOK(data.algorithm, data.publicKey)
            raise MethodReply(reply.number, reply.pack())
        covered = signedData(
            self.server.transport.sessionID,
            user,
            self.server.nextService,
            data.algorithm,
            data.publicKey,
        )
        _verify(key, data.algorithm, signature, covered)
        self.server.transport.tellLegacy(("user's key", data.algorithm))
        return await self.login(SSHPrivateKey(user, data.algorithm, data.publicKey, covered, signature))

    def _readKey(self, data: PublicKeyData) -> PublicKey:
        """
        The key that a request shows.

        @raise UnauthorizedLogin: nobody may log in with it, or with what is to
            be signed with it.
        """
        from conchlite.algorithms.publickeys import signatures

        server = self.server
        accepted = server.acceptedSignatures or server.transport.acceptedSignatures
        if not catalogue.accepts(accepted, data.algorithm):
            raise UnauthorizedLogin(f"the signature algorithm {safe(data.algorithm)} is not accepted")
        try:
            keyType, key = signatures.readPublicKey(data.publicKey)
            signatures.checkKeySize(key, server.minimumRSABits)
        except (MalformedMessage, WeakKey) as error:
            raise UnauthorizedLogin(str(error)) from None
        if keyType.name != catalogue.keyTypeOfSignature(data.algorithm):
            raise UnauthorizedLogin(f"a {safe(keyType.name)} key signs no {safe(data.algorithm)}")
        if keyType.family == "RSA" and keyType.size(key) > signatures.MAXIMUM_USER_RSA_BITS:
            raise UnauthorizedLogin(f"an RSA key of {keyType.size(key)} bits")
        return key

    async def _ask(self, credentials: SSHPrivateKey) -> None:
        try:
            _, _, logout = await self.login(credentials)
        except (ValidPublicKey, NotEnoughAuthentication):
            return
        # A checker that accepts keys without a signature. Whoever shows such
        # a key has to sign all the same.
        logout()


def _verify(key: PublicKey, algorithm: bytes, signature: bytes, covered: bytes) -> None:
    from conchlite.algorithms.publickeys.signatures import Presence, verifyByKey

    try:
        # Whether somebody has to touch a security key is known when the
        # checker has found it: the Doorman looks then.
        verifyByKey(key, algorithm, signature, covered, Presence(touch=False))
    except (BadSignature, MalformedMessage) as error:
        raise UnauthorizedLogin(str(error)) from None
