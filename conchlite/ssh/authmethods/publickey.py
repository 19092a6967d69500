"""
The method C{publickey}: RFC 4252 section 7, with the signature algorithms of
RFC 8332 for RSA keys.

A certificate takes the place of its key, and the signature is the key's. Where
the server announces C{publickey-hostbound-v00@openssh.com} (OpenSSH PROTOCOL
3.1), the signature covers its host key as well, so that an agent can tell
where it is used; but for that the method is C{publickey}.

The client first asks whether a key would do, and signs only if it would: a
signature may need a person or a passphrase. With a private key at hand it signs
at once: that takes less time than the question, and a server learns no more than
it would by the answer that the key will do. What is signed holds the session
identifier, the user and the service, so that a signature is good for nothing
else; the server verifies it over what it parsed itself.
"""

from __future__ import annotations

import hmac
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
from conchlite.ssh.fingerprints import fingerprint
from conchlite.wire import numbers
from conchlite.wire.types import Reader, packString
from conchlite.wire.userauth import HostBoundData, PublicKeyData, SignedData, UserauthPKOK

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys import PrivateKey, PublicKey
    from conchlite.ssh.keys import Key
    from conchlite.ssh.userauthclient import GivenPrivateKey, SSHUserAuthClient
    from conchlite.ssh.userauthserver import SSHUserAuthServer


#: The method's name where signatures cover the server's host key, and the
#: extension by which servers announce it.
HOST_BOUND = b"publickey-hostbound-v00@openssh.com"
HOST_BOUND_EXTENSION = b"publickey-hostbound@openssh.com"


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"
    OFFERED = "a key that was offered"
    VOLUNTEERED = "a signature that was sent unasked"
    SIGNED = "a signature that was sent"


class PublicKeyClient(ClientMethod):
    """
    Offers the keys that C{getPublicKey} has, each once, and signs with
    C{signData} by the first that the server would take; or at once, by a key
    that it gave with its private half.
    """

    name = b"publickey"
    repeatable = True
    messages = {
        (Step.OFFERED, numbers.MSG_USERAUTH_PK_OK): "_accepted",
        # A server that knows nothing but its question gets its answer.
        (Step.VOLUNTEERED, numbers.MSG_USERAUTH_PK_OK): "_accepted",
    }

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
        isAtHand = False
        while not self._others:
            key = await self._nextKey()
            if key is None:
                return False
            self._others = usableAlgorithms(self.client, self.record, key.public())
            isAtHand = self._isAtHand(key)
        self._algorithm = self._others.pop(0)
        self.client.signatureAlgorithm = self._algorithm
        if not (isAtHand and await self._volunteer()):
            self._offer()
        return True

    def _isAtHand(self, key: Key) -> bool:
        """
        Whether to sign at once.
        """
        # Not by an algorithm that the server may not know, where there is
        # another: a refusal would not say which it was of the two. And a
        # signature by RSA takes up to some milliseconds, which is too much to
        # do in vain for one key after the other.
        return (
            not (key.isPublic() or key.isSecurityKey())
            and len(self._others) == 1
            and (len(self._seen) == 1 or key.type() != "RSA")
        )

    async def _nextKey(self) -> Key | None:
        """
        The next key that was not seen yet, as the program gave it.

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
                given = asKey(answer)
            except ConchError as error:
                self.record.obstacles.append(f"what getPublicKey answered, as it is no key: {error}")
                return None
            key = given.public()
            blob = key.blob()
            if blob not in self._seen:
                self._seen.add(blob)
                self._blob = blob
                self.client.lastPublicKey = key
                self.client.triedPublicKeys.append(key)
                return given
            known += 1
        return None

    def _offer(self) -> None:
        self.step = Step.OFFERED
        self.client.askForAuth(self.name, PublicKeyData(False, self._algorithm, self._blob, b"").pack())
        self._describeLast(isSigned=False)

    async def _volunteer(self) -> bool:
        """
        Sign without a question.

        @return: whether there was a signature.
        """
        signature, _ = await self._signature()
        if signature is None:
            return False
        self.step = Step.VOLUNTEERED
        self._sendSigned(signature)
        self._describeLast(isSigned=True)
        return True

    def _describeLast(self, isSigned: bool) -> None:
        key = self.client.lastPublicKey
        if key is not None:
            describeOffer(self.record, key, self._algorithm, self.client.keySource(key), isSigned)

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
        signature, obstacle = await self._signature()
        if signature is None:
            self.record.obstacles.append(f"a signature by {self._described()}, as {obstacle}")
            return False
        self.step = Step.SIGNED
        self._sendSigned(signature)
        return True

    async def _signature(self) -> tuple[bytes | None, str]:
        """
        What C{signData} makes.

        @return: the signature, and what is wrong if it is L{None}.
        """
        signature: bytes | None = await self.ask("signData", self.client.lastPublicKey, self._signedData())
        if signature is None:
            return None, "there was none"
        made = algorithmOf(signature)
        # What a certified key signs is called as what it signs without.
        if made != catalogue.plainName(self._algorithm):
            return None, f"signData made a {safe(made)} signature"
        return packString(signature), ""

    def _sendSigned(self, signature: bytes) -> None:
        client = self.client
        client.transport.tellLegacy(("user's key", self._algorithm))
        if not self._isHostBound():
            data = PublicKeyData(True, self._algorithm, self._blob, signature)
            client.askForAuth(self.name, data.pack())
            return
        bound = HostBoundData(True, self._algorithm, self._blob, client.transport.hostKey, signature)
        client.askForAuth(HOST_BOUND, bound.pack())
        client.lastAuth = self.name

    def _isHostBound(self) -> bool:
        # The version, as OpenSSH compares it.
        return self.client.transport.peerExtensions.get(HOST_BOUND_EXTENSION) == b"0"

    def _signedData(self) -> bytes:
        return signedData(
            self.client.transport.sessionID,
            self.record.userName,
            self.record.serviceName,
            self._algorithm,
            self._blob,
            self.client.transport.hostKey if self._isHostBound() else None,
        )


def usableAlgorithms(client: SSHUserAuthClient, record: ClientAuthentication, key: Key) -> list[bytes]:
    """
    The signature algorithms to offer a key with, the best first; none if it is
    not to be used, which goes into the report.
    """
    if key.type() == "RSA" and key.size() < client.minimumRSABits:
        record.obstacles.append(
            f"{describe(key)}, as its {key.size()} bits are less than "
            f"{type(client).__name__}.minimumRSABits = {client.minimumRSABits}"
        )
        return []
    allowed = client.signatureAlgorithms
    if allowed is None:
        allowed = client.transport.acceptedSignatures
    ours = [name for name in key.supportedSignatureAlgorithms() if catalogue.accepts(allowed, name)]
    if not ours:
        record.obstacles.append(f"{describe(key)}, as no algorithm is allowed that it signs with")
        return []
    known = client.transport.peerExtensions.get(b"server-sig-algs", b"").split(b",")
    # Only a choice is made by the server's list. A key is not left out
    # because of it: npm's ssh2 1.17 forgets a comma, so that names are
    # missing in its list.
    return [name for name in ours if catalogue.accepts(known, name)][:1] or ours


def describeOffer(
    record: ClientAuthentication, key: Key, algorithm: bytes, source: str, isSigned: bool
) -> None:
    """
    Note down for the report what key the last request was with, and whether it
    came with its signature.
    """
    record.attempt(
        keyType=key.sshType(),
        fingerprint=fingerprint(key.blob()),
        algorithm=algorithm,
        source=source,
        certificate=key.certificate,
        isSigned=isSigned,
    )


def algorithmOf(signature: bytes) -> bytes:
    """
    What a signature says it is; C{b"malformed"} if it says nothing.
    """
    try:
        return Reader(signature, "signature").string()
    except MalformedMessage:
        return b"malformed"


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
    if key.plain().blob() != publicKey.plain().blob():
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
    return f"{safe(key.sshType())} {fingerprint(key.blob())}"


def signedData(
    sessionID: bytes,
    userName: bytes,
    serviceName: bytes,
    algorithm: bytes,
    publicKey: bytes,
    serverHostKey: bytes | None = None,
) -> bytes:
    """
    What a user's signature covers.

    @param serverHostKey: the host key that it is bound to, if it is.
    """
    covered = SignedData(
        sessionID,
        numbers.MSG_USERAUTH_REQUEST,
        userName,
        serviceName,
        b"publickey" if serverHostKey is None else HOST_BOUND,
        True,
        algorithm,
        publicKey,
    ).pack()
    return covered if serverHostKey is None else covered + packString(serverHostKey)


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
        server = self.server
        user = server.user
        key = readUserKey(server, data.algorithm, data.publicKey)
        if signature is None:
            await self._ask(SSHPrivateKey(user, data.algorithm, data.publicKey, None, None))
            reply = UserauthPKOK(data.algorithm, data.publicKey)
            raise MethodReply(reply.number, reply.pack())
        covered = signedData(
            server.transport.sessionID,
            user,
            server.nextService,
            data.algorithm,
            data.publicKey,
            server.boundHostKey,
        )
        # Whether somebody has to touch a security key is known when the
        # checker has accepted it (conchlite.ssh.doorman).
        verifyUserSignature(key, data.algorithm, signature, covered, touch=False)
        server.transport.tellLegacy(("user's key", data.algorithm))
        return await self.login(SSHPrivateKey(user, data.algorithm, data.publicKey, covered, signature))

    async def _ask(self, credentials: SSHPrivateKey) -> None:
        try:
            _, _, logout = await self.login(credentials)
        except (ValidPublicKey, NotEnoughAuthentication):
            return
        # A checker that accepts keys without a signature. Whoever shows such
        # a key has to sign all the same.
        logout()


def unbind(methodData: bytes, hostKey: bytes) -> bytes:
    """
    What C{publickey} makes of a request that is bound to a host key.

    @param hostKey: the host key of the connection.
    @raise MalformedMessage: it is no such request, or bound to another key: by
        a client that takes us for somebody else.
    """
    data = HostBoundData.unpack(methodData)
    if not hmac.compare_digest(data.serverHostKey, hostKey):
        raise MalformedMessage("a request that is bound to another host key")
    return PublicKeyData(data.hasSignature, data.algorithm, data.publicKey, data.signature).pack()


def readUserKey(server: SSHUserAuthServer, algorithm: bytes, blob: bytes) -> PublicKey:
    """
    The key that a request shows.

    @raise UnauthorizedLogin: nobody may log in with it, or with what is to
        be signed with it.
    """
    from conchlite.algorithms.publickeys import signatures

    accepted = server.acceptedSignatures or server.transport.acceptedSignatures
    if not catalogue.accepts(accepted, algorithm):
        raise UnauthorizedLogin(f"the signature algorithm {safe(algorithm)} is not accepted")
    try:
        keyType, key = signatures.readPublicKey(blob)
        signatures.checkKeySize(key, server.minimumRSABits)
    except (MalformedMessage, WeakKey) as error:
        raise UnauthorizedLogin(str(error)) from None
    if keyType.name != catalogue.keyTypeOfSignature(algorithm):
        raise UnauthorizedLogin(f"a {safe(keyType.name)} key signs no {safe(algorithm)}")
    if keyType.family == "RSA" and keyType.size(key) > signatures.MAXIMUM_USER_RSA_BITS:
        raise UnauthorizedLogin(
            f"an RSA key of {keyType.size(key)} bits: at most {signatures.MAXIMUM_USER_RSA_BITS}"
        )
    return key


def verifyUserSignature(
    key: PublicKey, algorithm: bytes, signature: bytes, covered: bytes, touch: bool = True
) -> None:
    """
    Return if the signature is good.

    @param touch: whether a security key has to say that it was touched.
    @raise UnauthorizedLogin: it is not.
    """
    from conchlite.algorithms.publickeys.signatures import Presence, verifyByKey

    try:
        verifyByKey(key, algorithm, signature, covered, Presence(touch))
    except (BadSignature, MalformedMessage) as error:
        raise UnauthorizedLogin(str(error)) from None
