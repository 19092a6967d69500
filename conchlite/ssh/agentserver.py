"""
Being an agent: draft-ietf-sshm-ssh-agent, and OpenSSH's PROTOCOL.agent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from conchlite.error import AgentError, MalformedMessage
from conchlite.ssh.agentbindings import Bindings
from conchlite.ssh.agentconstraints import Constraints
from conchlite.ssh.agentframes import AgentAnswers
from conchlite.ssh.agentidentities import readIdentity
from conchlite.ssh.agentkeyring import KeyRing
from conchlite.wire import agent
from conchlite.wire.codec import Message

_EXTENSIONS = (agent.QUERY, agent.SESSION_BIND)

# What a host may ask that the agent is forwarded to, besides extensions.
_FROM_AFAR = (agent.REQUEST_IDENTITIES, agent.SIGN_REQUEST, agent.EXTENSION)


class SSHAgentServer(AgentAnswers):
    """
    An agent's end of a connection.

    The factory has a L{KeyRing} as C{ring}; or only C{keys}, which may be
    changed at any time: public key blobs to private keys and their comments.

    Whoever asks for a library to be loaded is told FAILURE always.
    """

    def __init__(self, ring: KeyRing | None = None) -> None:
        """
        @param ring: the keys; L{None} for the factory's.
        """
        super().__init__()
        self._given = ring
        self._bindings = Bindings()

    @property
    def ring(self) -> KeyRing:
        """
        The keys.
        """
        if self._given is None:
            factory = cast(Any, self.factory)
            found = getattr(factory, "ring", None)
            if found is None:
                found = factory.ring = KeyRing(keys=factory.keys)
            self._given = found
        return self._given

    async def answer(self, frame: bytes) -> Message:
        """
        See L{AgentAnswers}.
        """
        number = frame[0]
        # What a connection is bound to is noted in any case: it may outlive
        # the lock.
        if self.ring.locked and number not in (agent.UNLOCK, agent.EXTENSION):
            if number == agent.REQUEST_IDENTITIES:
                return agent.IdentitiesAnswer(())
            raise AgentError("the agent is locked")
        method = _METHODS.get(number)
        if method is None:
            raise AgentError(f"request {number} is not for this agent")
        if self._bindings.forwarded and not self.ring.changesFromAfar and number not in _FROM_AFAR:
            raise AgentError(f"request {number} is not for those whom the agent is forwarded to")
        return await method(self, frame)

    async def _list(self, frame: bytes) -> Message:
        agent.RequestIdentities.unpackPayload(frame)
        found = []
        for blob, (_, comment) in self.ring.keys.items():
            try:
                self._bindings.checkListing(self.ring.constraints(blob), self.now())
            except AgentError:
                continue
            found.append((blob, comment))
        return agent.IdentitiesAnswer(tuple(found))

    async def _sign(self, frame: bytes) -> Message:
        request = agent.SignRequest.unpackPayload(frame)
        constraints = self.ring.constraints(request.publicKey)
        self._bindings.checkSigning(constraints, request.publicKey, request.data, self.now())
        signature = await self.ring.sign(
            request.publicKey, request.data, request.flags, self._bindings.forwarded
        )
        return agent.SignResponse(signature)

    async def _add(self, frame: bytes) -> Message:
        key, rest = readIdentity(agent.AddIdentity.unpackPayload(frame).identity)
        rest.end()
        self.ring.add(key)
        return agent.Success()

    async def _addConstrained(self, frame: bytes) -> Message:
        key, rest = readIdentity(agent.AddIDConstrained.unpackPayload(frame).identity)
        self.ring.add(key, constraints=Constraints.read(rest))
        return agent.Success()

    async def _remove(self, frame: bytes) -> Message:
        blob = agent.RemoveIdentity.unpackPayload(frame).publicKey
        self._bindings.checkListing(self.ring.constraints(blob), self.now())
        self.ring.remove(blob)
        return agent.Success()

    async def _removeAll(self, frame: bytes) -> Message:
        agent.RemoveAllIdentities.unpackPayload(frame)
        self.ring.removeAll()
        return agent.Success()

    async def _lock(self, frame: bytes) -> Message:
        self.ring.lock(agent.Lock.unpackPayload(frame).passphrase)
        return agent.Success()

    async def _unlock(self, frame: bytes) -> Message:
        await self.ring.unlock(agent.Unlock.unpackPayload(frame).passphrase)
        return agent.Success()

    async def _extension(self, frame: bytes) -> Message:
        request = agent.Extension.unpackPayload(frame)
        if request.name == agent.QUERY:
            if request.contents:
                raise MalformedMessage("a query with contents")
            return agent.ExtensionResponse(agent.QUERY, agent.QueryAnswer(_EXTENSIONS).pack())
        if request.name == agent.SESSION_BIND:
            try:
                binding = agent.SessionBind.unpack(request.contents)
            except MalformedMessage:
                self._bindings.failed()
                raise
            self._bindings.bind(binding)
            return agent.Success()
        raise AgentError("an extension that is not known")

    def now(self) -> float:
        """
        The time, in seconds since 1970: hosts' certificates are judged by it.
        """
        return time.time()


# The requests to load a library have no place here: PKCS#11 by whoever may
# write to the socket is CVE-2016-10009 and CVE-2023-38408.
_METHODS: dict[int, Callable[[SSHAgentServer, bytes], Coroutine[Deferred[Any], Any, Message]]] = {
    agent.REQUEST_IDENTITIES: SSHAgentServer._list,
    agent.SIGN_REQUEST: SSHAgentServer._sign,
    agent.ADD_IDENTITY: SSHAgentServer._add,
    agent.ADD_ID_CONSTRAINED: SSHAgentServer._addConstrained,
    agent.REMOVE_IDENTITY: SSHAgentServer._remove,
    agent.REMOVE_ALL_IDENTITIES: SSHAgentServer._removeAll,
    agent.LOCK: SSHAgentServer._lock,
    agent.UNLOCK: SSHAgentServer._unlock,
    agent.EXTENSION: SSHAgentServer._extension,
}


class AgentFactory(Factory):
    """
    Makes an agent of a L{KeyRing}, for as many connections as there are.

    @ivar ring: the keys.
    """

    protocol = SSHAgentServer
    noisy = False

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
