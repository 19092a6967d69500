"""
The agent's messages: draft-ietf-sshm-ssh-agent, and OpenSSH's PROTOCOL.agent.

They have numbers of their own, which have nothing to do with those of a
connection. Each travels behind its length, as a C{string} does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from conchlite.error import MalformedMessage
from conchlite.limits import MAXIMUM_AGENT_IDENTITIES
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import (
    Boolean,
    Byte,
    FieldType,
    Reader,
    Secret,
    SecretRest,
    String,
    Strings,
    UInt32,
    packString,
    packUInt32,
)

# What a client asks: section 6.1 of the draft.
REQUEST_IDENTITIES = 11
SIGN_REQUEST = 13
ADD_IDENTITY = 17
REMOVE_IDENTITY = 18
REMOVE_ALL_IDENTITIES = 19
ADD_SMARTCARD_KEY = 20
REMOVE_SMARTCARD_KEY = 21
LOCK = 22
UNLOCK = 23
ADD_ID_CONSTRAINED = 25
ADD_SMARTCARD_KEY_CONSTRAINED = 26
EXTENSION = 27

# What an agent answers.
FAILURE = 5
SUCCESS = 6
IDENTITIES_ANSWER = 12
SIGN_RESPONSE = 14
EXTENSION_FAILURE = 28
EXTENSION_RESPONSE = 29

# The constraints of a key: section 3.2.7 of the draft.
CONSTRAIN_LIFETIME = 1
CONSTRAIN_CONFIRM = 2
CONSTRAIN_EXTENSION = 255

# Which signature an RSA key makes: section 3.6.1 of the draft.
RSA_SHA2_256 = 2
RSA_SHA2_512 = 4

# Extensions: section 3.8.1 of the draft, and PROTOCOL.agent sections 1 to 3.
QUERY = b"query"
SESSION_BIND = b"session-bind@openssh.com"
RESTRICT_DESTINATION = b"restrict-destination-v00@openssh.com"
ASSOCIATED_CERTIFICATES = b"associated-certs-v00@openssh.com"
SECURITY_KEY_PROVIDER = b"sk-provider@openssh.com"

#: A key's blob and its comment.
Identity = tuple[bytes, bytes]


def _packIdentities(identities: Iterable[Identity]) -> bytes:
    found = tuple(identities)
    return packUInt32(len(found)) + b"".join(
        packString(blob) + packString(comment) for blob, comment in found
    )


def _readIdentities(reader: Reader) -> tuple[Identity, ...]:
    count = reader.uint32()
    # Each has two lengths of four bytes.
    if count > MAXIMUM_AGENT_IDENTITIES or count > reader.remaining() // 8:
        raise MalformedMessage(f"an agent's answer of {count} identities")
    return tuple((reader.string(), reader.string()) for _ in range(count))


Identities = Annotated[tuple[Identity, ...], FieldType(_packIdentities, _readIdentities)]


class RequestIdentities(Message):
    number = REQUEST_IDENTITIES


class IdentitiesAnswer(Message):
    number = IDENTITIES_ANSWER
    identities: Identities


class SignRequest(Message):
    number = SIGN_REQUEST
    publicKey: String
    data: Secret
    flags: UInt32


class SignResponse(Message):
    number = SIGN_RESPONSE
    signature: Secret


class AddIdentity(Message):
    """
    The private key, its comment; how long the first is, its type knows.
    """

    number = ADD_IDENTITY
    identity: SecretRest


class AddIDConstrained(Message):
    """
    The same with constraints behind it.
    """

    number = ADD_ID_CONSTRAINED
    identity: SecretRest


class RemoveIdentity(Message):
    number = REMOVE_IDENTITY
    publicKey: String


class RemoveAllIdentities(Message):
    number = REMOVE_ALL_IDENTITIES


class Lock(Message):
    number = LOCK
    passphrase: Secret


class Unlock(Message):
    number = UNLOCK
    passphrase: Secret


class Extension(Message):
    number = EXTENSION
    name: String
    contents: SecretRest


class Failure(Message):
    number = FAILURE


class Success(Message):
    number = SUCCESS


class ExtensionFailure(Message):
    number = EXTENSION_FAILURE


class ExtensionResponse(Message):
    """
    Section 3.8 of the draft. The older drafts had SUCCESS in its place.
    """

    number = EXTENSION_RESPONSE
    name: String
    contents: SecretRest


class QueryAnswer(Structure):
    """
    The contents of the answer to C{query}: the extensions that there are.
    """

    names: Strings


class SessionBind(Structure):
    """
    The contents of C{session-bind@openssh.com}, PROTOCOL.agent section 1.
    """

    hostKey: String
    sessionID: String
    signature: String
    forwarding: Boolean


class DestinationHop(Structure):
    """
    One end of a destination constraint, PROTOCOL.agent section 2.

    @ivar keys: L{KeySpecification}s, one behind the other.
    """

    user: String
    hostname: String
    reserved: String
    keys: SecretRest


class KeySpecification(Structure):
    key: String
    isCA: Byte


class Destination(Structure):
    """
    From where to where a key may be used.

    @ivar fromHop: a L{DestinationHop}.
    @ivar toHop: another.
    """

    fromHop: String
    toHop: String
    reserved: String


class AssociatedCertificates(Structure):
    """
    PROTOCOL.agent section 4: certificates for the keys of a token.
    """

    certificatesOnly: Boolean
    certificates: String
