"""
The host keys that a server has besides the one it came with: OpenSSH's
PROTOCOL, section 2.5.

After the login a server announces all its keys (C{hostkeys-00@openssh.com}).
A client that wants to know them asks for proof that the server owns them
(C{hostkeys-prove-00@openssh.com}): a signature of each over this session's
identifier. Before that an announcement is worth nothing: a server could name
keys of others, and so have clients believe them of it. With it a key can be
replaced by a better one without anybody being asked to believe something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import BadSignature, ConchError, MalformedMessage, PeerError, safe
from conchlite.limits import MAXIMUM_HOST_KEYS, MAXIMUM_PROOF_REQUESTS
from conchlite.sansio.configuration import VerifySignature
from conchlite.wire.connection import HostKeyProof, HostKeyProofs, HostKeys
from conchlite.wire.kex import SignatureBlob

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

#: The names of the two global requests.
ANNOUNCEMENT = b"hostkeys-00@openssh.com"
PROOF = b"hostkeys-prove-00@openssh.com"

_log = Logger()


def signedData(sessionID: bytes, hostKey: bytes) -> bytes:
    """
    What the owner of a host key signs to prove it.
    """
    return HostKeyProof(PROOF, sessionID, hostKey).pack()


def sign(key: Key, hostKey: bytes, algorithm: bytes, data: bytes) -> Deferred[bytes]:
    """
    Sign with a host key. What comes out is verified before anybody sees it: a
    signature that a faulty machine got wrong may give the key away.

    @param key: a L{Key}, or what signs as one does; its C{sign} may answer by
        a Deferred.
    @param hostKey: the blob of its public half.
    @return: a Deferred of the signature; it fails with
        L{conchlite.error.BadSignature} if that is wrong, and with whatever
        C{key.sign} fails with.
    """
    from conchlite.ssh.keys import Key

    signing: Deferred[bytes] = maybeDeferred(key.sign, data, algorithm)
    # A Key does that itself where it is of importance, which is with RSA.
    return signing if isinstance(key, Key) else signing.addCallback(_checked, hostKey, algorithm, data)


def _checked(signature: bytes, hostKey: bytes, algorithm: bytes, data: bytes) -> bytes:
    from conchlite.algorithms.publickeys.signatures import verifySignature

    try:
        verifySignature(algorithm, hostKey, signature, data, minimumRSABits=0)
    except PeerError as error:
        _log.critical("a signature by a host key came out wrong and was kept back: {error}", error=error)
        raise
    return signature


class Owner:
    """
    The server's half, for one connection.
    """

    _log = Logger()

    def __init__(self, keys: Mapping[bytes, Key], sessionID: bytes, accepted: Sequence[bytes]) -> None:
        """
        @param keys: host key blob to the private key.
        @param accepted: the signature algorithms that both sides accept, the
            one of the connection's own exchange first.
        """
        self._keys = keys
        self._sessionID = sessionID
        self._accepted = accepted
        self._requests = 0

    def announcement(self) -> bytes:
        """
        What the announcement says.
        """
        return HostKeys(tuple(self._keys)).pack()

    def prove(self, data: bytes) -> object:
        """
        Answer a request for proof. It is refused as a whole when it names a
        key that was not announced, or one twice; and so is one that comes when
        there were many: each makes the server work.

        @return: a Deferred of true and the signatures, or false.
        @raise MalformedMessage: C{data} is no list of keys.
        """
        self._requests += 1
        wanted = HostKeys.unpack(data).hostKeys
        if self._requests > MAXIMUM_PROOF_REQUESTS or len(set(wanted)) != len(wanted):
            return False
        if not wanted or not self._keys.keys() >= set(wanted):
            return False
        signing = [
            sign(self._keys[blob], blob, self._algorithm(blob), signedData(self._sessionID, blob))
            for blob in wanted
        ]
        return gatherResults(signing, consumeErrors=True).addCallbacks(_packProofs, self._ebProve)

    def _algorithm(self, blob: bytes) -> bytes:
        known: Sequence[bytes] = self._keys[blob].supportedSignatureAlgorithms()
        for name in self._accepted:
            if name in known:
                return name
        return known[0]

    def _ebProve(self, failure: Failure) -> bool:
        first = cast(FirstError, failure.value)
        self._log.failure("proving a host key failed", first.subFailure)
        return False


def _packProofs(signatures: list[bytes]) -> tuple[bool, bytes]:
    return True, HostKeyProofs(tuple(signatures)).pack()


class Learner:
    """
    The client's half, for one announcement.

    @ivar keys: the announced keys that are of use here.
    @ivar unknown: those among them that need a proof.
    """

    _log = Logger()

    def __init__(self, sessionID: bytes, known: Sequence[bytes], algorithms: Sequence[bytes]) -> None:
        """
        @param known: the blobs of the keys that were proved in the exchange of
            keys.
        @param algorithms: the signature algorithms of host keys that are
            accepted.
        """
        self._sessionID = sessionID
        self._known = known
        self._algorithms = algorithms
        self.keys: list[Key] = []
        self.unknown: list[Key] = []

    def announced(self, data: bytes, minimumRSABits: int) -> None:
        """
        Read the announcement. As OpenSSH does, keys that cannot be read, that
        are of a type that is not accepted, or too small, are left out; so are
        certificates.

        An announcement of too many, or with one twice, is left out as a whole.

        @raise MalformedMessage: it is no list of keys.
        """
        from conchlite.ssh.keys import Key

        blobs = HostKeys.unpack(data).hostKeys
        if len(blobs) > MAXIMUM_HOST_KEYS or len(set(blobs)) != len(blobs):
            self._log.warn("{count} host keys were announced: too many, or one twice", count=len(blobs))
            return
        for blob in blobs:
            try:
                key = Key.fromString(blob, "blob")
                key.checkSize(minimumRSABits)
            except ConchError as error:
                self._log.debug("an announced host key is left out: {error}", error=error)
                continue
            if key.isCertificate():
                continue
            if any(name in self._algorithms for name in key.supportedSignatureAlgorithms()):
                self.keys.append(key)
                if key.blob() not in self._known:
                    self.unknown.append(key)

    def question(self) -> bytes:
        """
        What is asked of the server.
        """
        return HostKeys(tuple(key.blob() for key in self.unknown)).pack()

    def verify(self, answer: bytes, verifySignature: VerifySignature) -> None:
        """
        Check the proofs: returns if all of them are good.

        @raise PeerError: one is not.
        """
        signatures = HostKeyProofs.unpack(answer).signatures
        if len(signatures) != len(self.unknown):
            raise MalformedMessage(f"{len(signatures)} proofs for {len(self.unknown)} host keys")
        for key, signature in zip(self.unknown, signatures, strict=True):
            blob = key.blob()
            algorithm = SignatureBlob.unpack(signature).algorithm
            if algorithm not in self._algorithms or algorithm not in key.supportedSignatureAlgorithms():
                raise BadSignature(f"a {safe(algorithm)} signature to prove a host key")
            verifySignature(algorithm, blob, signature, signedData(self._sessionID, blob))
