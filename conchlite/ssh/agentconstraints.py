"""
What a key in an agent may be used for: draft-ietf-sshm-ssh-agent section 3.2.7,
and the constraints of OpenSSH's PROTOCOL.agent.

A constraint that is not known makes a key's addition fail: a key that somebody
wanted to be careful with is not held without care.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conchlite.error import AgentError, MalformedMessage, UsageError, safe
from conchlite.limits import MAXIMUM_AGENT_CONSTRAINTS
from conchlite.wire import agent
from conchlite.wire.types import Reader, packBoolean, packByte, packString, packUInt32


@dataclass(frozen=True)
class HopKey:
    """
    A host's key in a destination.

    @ivar blob: the key.
    @ivar isCA: whether it signs the certificates of hosts instead.
    """

    blob: bytes
    isCA: bool = False


@dataclass(frozen=True)
class Hop:
    """
    One end of a destination.

    @ivar user: patterns of users' names, or nothing for all; only where a key
        is used to.
    @ivar hostname: the host; empty only for where the agent itself runs.
    @ivar keys: what the host proves itself with.
    """

    user: bytes = b""
    hostname: bytes = b""
    keys: tuple[HopKey, ...] = ()

    def pack(self) -> bytes:
        """
        As it travels, OpenSSH PROTOCOL.agent section 2.
        """
        keys = b"".join(agent.KeySpecification(key.blob, int(key.isCA)).pack() for key in self.keys)
        return agent.DestinationHop(self.user, self.hostname, b"", keys).pack()

    @classmethod
    def unpack(cls, data: bytes) -> Hop:
        """
        @raise AgentError: there is more in it than is known.
        @raise MalformedMessage: it is none.
        """
        hop = agent.DestinationHop.unpack(data)
        if hop.reserved:
            raise AgentError("a destination with more in it than is known")
        keys = []
        reader = Reader(hop.keys, "keys of a destination")
        while reader.remaining():
            key = agent.KeySpecification.read(reader)
            keys.append(HopKey(key.key, key.isCA != 0))
        return cls(hop.user, hop.hostname, tuple(keys))


@dataclass(frozen=True)
class Destination:
    """
    A key may be used from one host to another.

    @ivar fromHop: from where; an empty L{Hop} is the agent's own host.
    @ivar toHop: to where, and as whom.
    """

    fromHop: Hop
    toHop: Hop

    def __post_init__(self) -> None:
        if self.fromHop.user:
            raise AgentError("a destination that begins at a user")
        if bool(self.fromHop.hostname) != bool(self.fromHop.keys):
            raise AgentError("a destination that begins at a host without a key, or a key without a host")
        if not (self.toHop.hostname and self.toHop.keys):
            raise AgentError("a destination that ends at no host")

    def pack(self) -> bytes:
        """
        As it travels, OpenSSH PROTOCOL.agent section 2.
        """
        return agent.Destination(self.fromHop.pack(), self.toHop.pack(), b"").pack()

    @classmethod
    def unpack(cls, data: bytes) -> Destination:
        """
        @raise AgentError: it restricts to nothing, or to more than is known.
        @raise MalformedMessage: it is none.
        """
        found = agent.Destination.unpack(data)
        if found.reserved:
            raise AgentError("a destination with more in it than is known")
        return cls(Hop.unpack(found.fromHop), Hop.unpack(found.toHop))


@dataclass(frozen=True)
class Constraints:
    """
    How a key in an agent is restrained.

    @ivar lifetime: seconds until the agent forgets it; 0 for never.
    @ivar confirm: whether a person is asked each time that it is used.
    @ivar destinations: from where to where it may be used; empty for
        everywhere.
    @ivar certificatesOnly: of a token's keys, take only certificates.
    @ivar certificates: the blobs of certificates for a token's keys.
    @ivar securityKeyProvider: what speaks to the key's hardware.
    """

    lifetime: int = 0
    confirm: bool = False
    destinations: tuple[Destination, ...] = ()
    certificatesOnly: bool = False
    certificates: tuple[bytes, ...] = ()
    securityKeyProvider: bytes = b""

    def __bool__(self) -> bool:
        return self != Constraints()

    def pack(self) -> bytes:
        """
        As they stand behind a key.

        @raise UsageError: a lifetime that is none.
        """
        if not 0 <= self.lifetime <= 0xFFFFFFFF:
            raise UsageError(f"a lifetime of {self.lifetime} seconds")
        parts: list[bytes] = []
        if self.lifetime:
            parts += (packByte(agent.CONSTRAIN_LIFETIME), packUInt32(self.lifetime))
        if self.confirm:
            parts.append(packByte(agent.CONSTRAIN_CONFIRM))
        for name, contents in self._extensions():
            parts += (packByte(agent.CONSTRAIN_EXTENSION), packString(name), contents)
        return b"".join(parts)

    def _extensions(self) -> Iterator[tuple[bytes, bytes]]:
        if self.destinations:
            packed = b"".join(packString(destination.pack()) for destination in self.destinations)
            yield agent.RESTRICT_DESTINATION, packString(packed)
        if self.certificates or self.certificatesOnly:
            packed = b"".join(map(packString, self.certificates))
            yield agent.ASSOCIATED_CERTIFICATES, packBoolean(self.certificatesOnly) + packString(packed)
        if self.securityKeyProvider:
            yield agent.SECURITY_KEY_PROVIDER, packString(self.securityKeyProvider)

    @classmethod
    def read(cls, reader: Reader) -> Constraints:
        """
        Read all that is left.

        @raise MalformedMessage: it is no list of constraints.
        @raise AgentError: there is one that is not known, or twice the same.
        """
        found: dict[str, object] = {}
        while reader.remaining():
            for name, value in _readOne(reader):
                if name in found:
                    raise AgentError(f"the constraint {name} twice")
                found[name] = value
        return cls(**found)  # type: ignore[arg-type]  # _readOne knows the types


def _readOne(reader: Reader) -> list[tuple[str, object]]:
    kind = reader.byte()
    if kind == agent.CONSTRAIN_LIFETIME:
        lifetime = reader.uint32()
        if not lifetime:
            raise AgentError("a lifetime of no seconds")
        return [("lifetime", lifetime)]
    if kind == agent.CONSTRAIN_CONFIRM:
        return [("confirm", True)]
    if kind != agent.CONSTRAIN_EXTENSION:
        raise AgentError(f"the constraint {kind} is not known")
    name = reader.string()
    if name == agent.RESTRICT_DESTINATION:
        destinations = tuple(Destination.unpack(data) for data in _strings(reader.string()))
        if not destinations:
            raise AgentError("a restriction to no destination")
        return [("destinations", destinations)]
    if name == agent.ASSOCIATED_CERTIFICATES:
        associated = agent.AssociatedCertificates.read(reader)
        return [
            ("certificatesOnly", associated.certificatesOnly),
            ("certificates", _strings(associated.certificates)),
        ]
    if name == agent.SECURITY_KEY_PROVIDER:
        return [("securityKeyProvider", reader.string())]
    raise AgentError(f"the constraint {safe(name)} is not known")


def _strings(data: bytes) -> tuple[bytes, ...]:
    reader = Reader(data, "constraint")
    found: list[bytes] = []
    while reader.remaining():
        if len(found) >= MAXIMUM_AGENT_CONSTRAINTS:
            raise MalformedMessage(f"a constraint of more than {MAXIMUM_AGENT_CONSTRAINTS} entries")
        found.append(reader.string())
    return tuple(found)
