"""
The keys that an agent holds, and what it may do with them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import AgentError, BadPassphrase, ConchError
from conchlite.limits import MAXIMUM_AGENT_IDENTITIES
from conchlite.ssh.agentconstraints import Constraints
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import agent

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.securitykeys import SecurityKeyHandle
    from conchlite.ssh.keys import Key

# What ssh-add says of a device that ssh-agent reaches without a library.
_INTERNAL = b"internal"

# A wrong passphrase costs so many seconds more each time, and so many at most.
_DELAY_STEP = 0.1
_DELAY_MOST = 10.0


@dataclass(frozen=True)
class KeyUse:
    """
    A key is to be used.

    @ivar key: the public key.
    @ivar comment: what it is called.
    @ivar forwarded: whether another host asks, not this one.
    @ivar data: what it will sign.
    """

    key: Key
    comment: bytes
    forwarded: bool
    data: bytes = field(repr=False)


#: Asks a person whether a key may be used; a Deferred of false is no.
Confirm = Callable[[KeyUse], "Deferred[bool] | bool"]

#: Has a device sign: the handle and the data; a Deferred of a signature blob.
SignByDevice = Callable[["SecurityKeyHandle", bytes], "Deferred[bytes] | bytes"]


class KeyRing:
    """
    What an agent's connections have in common.

    It holds no key with a constraint that it cannot hold to: a lifetime
    without a C{clock}, a confirmation without C{confirm}, a security key
    without C{signByDevice}. It loads no libraries, whatever it is told.

    @cvar maximumKeys: the most keys.
    @cvar legacySignatures: whether RSA keys make signatures with SHA-1 for
        those who ask for nothing better, as ssh-add's C{-T} does; never for
        other hosts.
    @cvar changesFromAfar: whether a host that the agent is forwarded to may
        do more than list keys and have them sign.
    @ivar keys: public key blob to the private key and its comment.
    @ivar locked: whether nothing is to be had until it is unlocked.
    """

    _log = Logger()
    maximumKeys = MAXIMUM_AGENT_IDENTITIES
    legacySignatures = True
    changesFromAfar = False

    def __init__(
        self,
        clock: IReactorTime | None = None,
        confirm: Confirm | None = None,
        signByDevice: SignByDevice | None = None,
        keys: MutableMapping[bytes, tuple[Key, bytes]] | None = None,
        randomBytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        @param clock: the reactor, for lifetimes and the delay after a wrong
            passphrase.
        @param confirm: asks a person about a key that was added with the
            constraint.
        @param signByDevice: has a security key sign.
        @param keys: keys to begin with, which are held without constraints.
        @param randomBytes: where the salt of a passphrase comes from.
        """
        self._clock = clock
        self._confirm = confirm
        self._signByDevice = signByDevice
        self._randomBytes = randomBytes
        self.keys: MutableMapping[bytes, tuple[Key, bytes]] = {} if keys is None else keys
        self._constraints: dict[bytes, Constraints] = {}
        self._expiries: dict[bytes, IDelayedCall] = {}
        self._lock: tuple[bytes, bytes] | None = None
        self._unlocking = DeferredLock()
        self._wrongPassphrases = 0

    @property
    def locked(self) -> bool:
        return self._lock is not None

    def constraints(self, blob: bytes) -> Constraints:
        """
        How a key is restrained.
        """
        return self._constraints.get(blob, Constraints())

    def add(self, key: Key, comment: Text | None = None, constraints: Constraints | None = None) -> None:
        """
        Hold a key; one that is held is held as it is added last.

        @param comment: what to call it; L{None} for its own comment.
        @raise AgentError: a constraint cannot be held to, or there are too
            many keys, or it is a public one, or one of DSA.
        """
        constraints = constraints or Constraints()
        blob = key.blob()
        if key.isPublic():
            raise AgentError("a public key, where a private one belongs")
        if key.type() == "DSA":
            raise AgentError("a DSA key, which signs nothing here")
        self._checkConstraints(key, constraints)
        if blob not in self.keys and len(self.keys) >= self.maximumKeys:
            raise AgentError(f"there are {len(self.keys)} keys: no more are held")
        self._forget(blob)
        self.keys[blob] = (key, key.comment if comment is None else asBytes(comment))
        self._constraints[blob] = constraints
        if constraints.lifetime and self._clock is not None:
            self._expiries[blob] = self._clock.callLater(constraints.lifetime, self._expired, blob)

    def _checkConstraints(self, key: Key, constraints: Constraints) -> None:
        if constraints.lifetime and self._clock is None:
            raise AgentError("a key with a lifetime, and no clock")
        if constraints.confirm and self._confirm is None:
            raise AgentError("a key to be confirmed, and nobody to ask")
        if constraints.certificates or constraints.certificatesOnly:
            raise AgentError("certificates for the keys of a token, which are not held here")
        if isSecurityKey(key):
            if self._signByDevice is None:
                raise AgentError("a security key, and no way to its device")
            if constraints.securityKeyProvider not in (b"", _INTERNAL):
                raise AgentError("a security key that wants a library loaded")
        elif constraints.securityKeyProvider:
            raise AgentError("a library for a key that is no security key")

    def _expired(self, blob: bytes) -> None:
        del self._expiries[blob]
        self.remove(blob)

    def _forget(self, blob: bytes) -> None:
        self._constraints.pop(blob, None)
        expiry = self._expiries.pop(blob, None)
        if expiry is not None:
            expiry.cancel()

    def remove(self, blob: bytes) -> None:
        """
        Forget a key.

        @raise AgentError: it is not held.
        """
        if blob not in self.keys:
            raise AgentError("there is no such key")
        del self.keys[blob]
        self._forget(blob)

    def removeAll(self) -> None:
        """
        Forget all keys.
        """
        for blob in list(self.keys):
            self.remove(blob)

    def lock(self, passphrase: bytes) -> None:
        """
        Give nothing away until L{unlock}.

        @raise AgentError: it is locked, the passphrase is empty, or there is
            no clock to delay those who guess.
        """
        if self.locked or not passphrase or self._clock is None:
            raise AgentError("the agent cannot be locked")
        salt = self._randomBytes(16)
        self._lock = (salt, _digest(salt, passphrase))

    def unlock(self, passphrase: bytes) -> Deferred[None]:
        """
        Give everything away again.

        @return: a Deferred that fails with L{AgentError} if it is not locked,
            and with L{BadPassphrase}, after a while that grows each time, if
            the passphrase is wrong. One is tried at a time. Cancelling it
            takes back what was not tried yet; the wait for another guess is
            not cut short by it.
        """
        tried = False

        def attempt() -> Deferred[None]:
            nonlocal tried
            tried = True
            return self._unlock(passphrase)

        def cancel(_: Deferred[None]) -> None:
            if not tried:
                unlocking.cancel()

        def told(result: Failure | None) -> None:
            # Whoever has cancelled it has got his answer.
            if not answer.called:
                answer.callback(result)

        answer: Deferred[None] = Deferred(cancel)
        unlocking = self._unlocking.run(attempt)
        unlocking.addBoth(told)
        return answer

    def _unlock(self, passphrase: bytes) -> Deferred[None]:
        if self._lock is None or self._clock is None:
            raise AgentError("the agent is not locked")
        salt, digest = self._lock
        if compare_digest(_digest(salt, passphrase), digest):
            self._lock = None
            self._wrongPassphrases = 0
            return succeed(None)
        self._wrongPassphrases += 1
        delay = min(_DELAY_STEP * self._wrongPassphrases, _DELAY_MOST)
        return deferLater(self._clock, delay, _refuse)

    async def sign(self, blob: bytes, data: bytes, flags: int, forwarded: bool = False) -> bytes:
        """
        Sign, once the person was asked who has to be.

        @param flags: as in L{conchlite.ssh.agentclient.SSHAgentClient.signData}.
        @param forwarded: whether another host asks.
        @return: the signature blob.
        @raise AgentError: there is no such key, or it may not sign.
        @raise ConchError: it cannot sign.
        """
        key, comment = self._find(blob)
        if self.constraints(blob).confirm:
            if self._confirm is None:
                raise AgentError("a key to be confirmed, and nobody to ask")
            use = KeyUse(key.public(), comment, forwarded, data)
            if await maybeDeferred(self._confirm, use) is not True:
                raise AgentError("the use of the key was not confirmed")
            # It took a while: the key may be gone.
            key, _ = self._find(blob)
        if isSecurityKey(key):
            if self._signByDevice is None:
                raise AgentError("a security key, and no way to its device")
            signing: Deferred[bytes] = maybeDeferred(cast(Any, self._signByDevice), deviceHandle(key), data)
            return await signing
        return key.plain().sign(data, self._algorithm(key, flags, forwarded))

    def _find(self, blob: bytes) -> tuple[Key, bytes]:
        if self.locked or blob not in self.keys:
            raise AgentError("there is no such key")
        return self.keys[blob]

    def _algorithm(self, key: Key, flags: int, forwarded: bool) -> bytes | None:
        if key.plain().sshType() != b"ssh-rsa":
            return None
        if flags & agent.RSA_SHA2_256:
            return b"rsa-sha2-256"
        if flags & agent.RSA_SHA2_512:
            return b"rsa-sha2-512"
        if forwarded or not self.legacySignatures:
            raise AgentError("a signature with SHA-1")
        return b"ssh-rsa"


def _digest(salt: bytes, passphrase: bytes) -> bytes:
    # Who can read this can read the keys as well: it need not be slow.
    return hashlib.sha256(salt + passphrase).digest()


def _refuse() -> None:
    raise BadPassphrase("the passphrase is wrong")


def isSecurityKey(key: Key) -> bool:
    """
    Whether only a device can sign with the key.
    """
    return key.plain().sshType().startswith(b"sk-")


def deviceHandle(key: Key) -> SecurityKeyHandle:
    """
    What a device knows a key by.

    @raise ConchError: it is no security key's private half.
    """
    from conchlite.algorithms.publickeys.securitykeys import SecurityKeyHandle
    from conchlite.algorithms.publickeys.signatures import readPrivateKey
    from conchlite.wire.types import Reader

    _, handle = readPrivateKey(Reader(key.plain().privateBlob(), "security key"))
    if not isinstance(handle, SecurityKeyHandle):
        raise ConchError("this is no security key")
    return handle
