"""
What a cipher, a key exchange method, a key type and a key file are.

The floors above know algorithms by these protocols alone. A new algorithm
implements one of them in a file of its own and gets one line in
L{conchlite.algorithms.catalogue}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.wire.types import Buffer, Reader


class Sealer(Protocol):
    """
    One direction of a connection, outgoing: encryption and authentication.

    @ivar alignment: what is padded is padded to a multiple of this.
    @ivar clearSize: how many bytes at the packet's start the padding does not
        count: 4 where packet_length is not encrypted with the rest, else 0.
    @ivar tagSize: how many bytes a sealed packet is longer than a clear one.
    """

    @property
    def alignment(self) -> int: ...

    @property
    def clearSize(self) -> int: ...

    @property
    def tagSize(self) -> int: ...

    def seal(self, sequence: int, packet: bytes) -> bytes:
        """
        Seal one packet.

        @param sequence: the packet's sequence number, RFC 4253 section 6.4.
        @param packet: the whole packet in clear: packet_length,
            padding_length, payload, padding.
        @return: what goes on the wire.
        """

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        """
        As L{seal}, into a buffer of C{len(packet) + tagSize} bytes.
        """


class Opener(Protocol):
    """
    One direction of a connection, incoming: authentication and decryption.

    @ivar headSize: how many bytes L{packetLength} wants to see.
    @ivar alignment: as in L{Sealer}.
    @ivar clearSize: as in L{Sealer}.
    @ivar tagSize: as in L{Sealer}.
    @ivar discard: L{None} where an error may show at once. Otherwise it must
        look the same wherever in the packet it is (CVE-2008-5161): this takes
        the sequence number and what came behind the bytes that
        L{packetLength} or L{open} has seen, up to the size of the largest
        packet, and spends on it what it would have cost to read it.
    """

    @property
    def discard(self) -> Callable[[int, memoryview], None] | None: ...

    @property
    def headSize(self) -> int: ...

    @property
    def alignment(self) -> int: ...

    @property
    def clearSize(self) -> int: ...

    @property
    def tagSize(self) -> int: ...

    def packetLength(self, sequence: int, head: memoryview) -> int:
        """
        The packet_length field of the packet that begins with C{head}.

        It is called once for each packet, before L{open}, and what it returns
        is not authenticated yet: the caller checks its bounds.

        @param head: C{headSize} bytes.
        """

    def open(self, sequence: int, packet: memoryview) -> bytes:
        """
        Authenticate and decrypt one packet.

        @param packet: the whole packet off the wire, from packet_length to
            the end of the tag: C{4 + packet_length + tagSize} bytes.
        @return: padding_length, payload and padding, in clear.
        @raise BadMAC: the packet is not authentic.
        """


class Cipher(Protocol):
    """
    A cipher, and the keys it wants.

    @ivar keySize: bytes of key, per direction.
    @ivar ivSize: bytes of initial vector, per direction; 0 for none.
    @ivar hasOwnMAC: whether it authenticates by itself, so that the
        negotiated MAC is not used (OpenSSH PROTOCOL 1.6, RFC 5647).
    """

    @property
    def keySize(self) -> int: ...

    @property
    def ivSize(self) -> int: ...

    @property
    def hasOwnMAC(self) -> bool: ...

    def sealer(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Sealer:
        """
        @param mac: the negotiated MAC; L{None} where C{hasOwnMAC}.
        """

    def opener(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Opener:
        """
        @param mac: the negotiated MAC; L{None} where C{hasOwnMAC}.
        """


class MAC(NamedTuple):
    """
    A message authentication code.

    @ivar hashName: the hash of the HMAC, as L{hashlib} names it.
    @ivar keySize: bytes of key.
    @ivar tagSize: bytes of tag.
    @ivar encryptThenMAC: whether the tag covers the encrypted packet, with
        packet_length in clear (OpenSSH PROTOCOL 1.5).
    """

    hashName: str
    keySize: int
    tagSize: int
    encryptThenMAC: bool


class Deflater(Protocol):
    """
    One direction of a connection, outgoing: compression.
    """

    def deflate(self, parts: Sequence[Buffer]) -> bytes:
        """
        Compress one payload, so that it can be inflated without the next.

        @param parts: the payload, in pieces.
        """


class Inflater(Protocol):
    """
    One direction of a connection, incoming: compression undone.
    """

    def inflate(self, data: Buffer, limit: int) -> bytes:
        """
        The payload of one packet.

        @param data: the payload as it came.
        @param limit: the most bytes that it may inflate to.
        @raise BadCompression: it inflates to more, or not at all.
        """


class Compression(Protocol):
    """
    A compression method; every set of keys has a new stream.

    @ivar delayed: whether it begins with the end of the login, and not with
        the first keys.
    """

    @property
    def delayed(self) -> bool: ...

    def deflater(self) -> Deflater:
        """
        A new stream, outgoing.
        """

    def inflater(self) -> Inflater:
        """
        A new stream, incoming.
        """


class KeyExchangeMethod(Protocol):
    """
    A way to agree on a secret: the client's C{keypair}, the server's
    C{encapsulate}, the client's C{decapsulate}.

    A public value is what INIT and REPLY carry as a string; for finite field
    Diffie-Hellman these are the bytes of the mpint. The shared secret comes
    back as the exchange hash and the key derivation take it: packed, an
    C{mpint} for RFC 4253 and RFC 5656, a C{string} for the hybrids.

    @ivar hashName: the method's hash, as L{hashlib} names it.
    @ivar choosesGroup: False.
    """

    @property
    def hashName(self) -> str: ...

    @property
    def choosesGroup(self) -> Literal[False]: ...

    def keypair(self) -> tuple[bytes, Any]:
        """
        The client's public value, and the private half for L{decapsulate}.
        """

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        """
        The server's public value, and the packed shared secret.

        @raise KeyExchangeFailed: the client's public value is no good.
        """

    def decapsulate(self, private: Any, serverPublic: bytes) -> bytes:
        """
        The packed shared secret.

        @raise KeyExchangeFailed: the server's public value is no good.
        """


class GroupExchange(Protocol):
    """
    Diffie-Hellman in a group that the server chooses, RFC 4419.

    @ivar hashName: the hash, as L{hashlib} names it.
    @ivar minimumBits: the smallest group that a client asks for.
    @ivar preferredBits: the group that a client asks for.
    @ivar maximumBits: the largest group that a client asks for.
    @ivar choosesGroup: True.
    """

    @property
    def choosesGroup(self) -> Literal[True]: ...

    @property
    def hashName(self) -> str: ...

    @property
    def minimumBits(self) -> int: ...

    @property
    def preferredBits(self) -> int: ...

    @property
    def maximumBits(self) -> int: ...

    def choosingFrom(self, groups: Mapping[int, Sequence[tuple[int, int]]]) -> GroupExchange:
        """
        The same for a server that has groups of its own.

        @param groups: the bits of the prime to pairs of generator and prime.
        """

    def choose(self, minimumBits: int, preferredBits: int, maximumBits: int) -> tuple[int, int]:
        """
        The server's choice: prime and generator.

        @raise KeyExchangeFailed: no group fits.
        """

    def method(self, prime: int, generator: int) -> KeyExchangeMethod:
        """
        The exchange in this group.

        @raise KeyExchangeFailed: the group is none, or too small or too
            large (RFC 8270).
        """


class KeyType(Protocol):
    """
    A type of public key: its blob and its signatures.

    Keys are C{cryptography}'s own key objects.

    @ivar name: the type's name, the first string of the blob.
    @ivar family: what C{Key.type} calls it: types with the same mathematics
        share a family.
    @ivar signatureAlgorithms: the names of the signature algorithms that the
        type can do, most preferred first.
    """

    @property
    def name(self) -> bytes: ...

    @property
    def family(self) -> str: ...

    @property
    def signatureAlgorithms(self) -> tuple[bytes, ...]: ...

    def owns(self, key: object) -> bool:
        """
        Whether C{key} is a public or private key of this type.
        """

    def publicHalf(self, key: Any) -> Any:
        """
        The public key of a private one; a public key is its own.
        """

    def size(self, key: Any) -> int:
        """
        The size that people know the key by, in bits.
        """

    def numbers(self, key: Any) -> dict[str, int | bytes]:
        """
        What the key consists of, under the names that C{Key.data} has for it.
        """

    def generate(self, bits: int | None) -> Any:
        """
        A new private key.

        @param bits: its size, or L{None} for what is good today.
        @raise UsageError: there are no keys of that size.
        """

    def read(self, reader: Reader) -> Any:
        """
        Read a public key: what follows the name in a blob.

        @raise MalformedMessage: it is truncated or no such key.
        """

    def pack(self, key: Any) -> bytes:
        """
        What follows the name in the blob of a public key.
        """

    def readPrivate(self, reader: Reader) -> Any:
        """
        Read a private key: what follows the name in an OpenSSH private key
        and in the agent's protocol.

        @raise MalformedMessage: it is truncated or no such key.
        """

    def packPrivate(self, key: Any) -> bytes:
        """
        What follows the name in an OpenSSH private key.
        """

    def sign(self, key: Any, algorithm: bytes, data: bytes) -> bytes:
        """
        @return: the signature, without the algorithm's name.
        @raise BadSignatureAlgorithmError: the type has no such algorithm.
        @raise WeakKey: the key is too small for the algorithm.
        @raise BadSignature: what was computed does not verify: a fault of
            this machine, which must not be sent.
        """

    def verify(self, key: Any, algorithm: bytes, signature: bytes, data: bytes) -> None:
        """
        @param signature: without the algorithm's name.
        @raise BadSignature: it is not the key's signature of C{data}.
        """


class KeyFile(Protocol):
    """
    A format that keys are kept in.

    @ivar holdsPrivate: whether it is for private keys.
    """

    @property
    def holdsPrivate(self) -> bool: ...

    def recognises(self, data: bytes) -> bool:
        """
        Whether C{data} looks like this format: cheap, and by its beginning.
        """

    def load(
        self,
        data: bytes,
        passphrase: bytes | None,
        effort: Effort = USUAL_EFFORT,
    ) -> LoadedKey:
        """
        Read a key.

        @param effort: what it may cost to make a key of the passphrase.
        @raise DamagedKey: C{data} is truncated or damaged.
        @raise BadKeyError: it is nothing that can be read, asks for more work
            than C{effort}, or is not encrypted and yet a passphrase is given.
        @raise EncryptedKeyError: there is a passphrase on the key, and none
            is given.
        @raise BadPassphrase: the passphrase is not the key's.
        """

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        """
        Write a key.

        @param comment: left out where the format has no place for it.
        @raise UsageError: the format cannot hold the key, or cannot encrypt.
        """


RandomBytes = Callable[[int], bytes]
