"""
A key encapsulation mechanism and an elliptic curve at once, so that the secret
holds as long as one of them does.

draft-ietf-sshm-mlkem-hybrid-kex and RFC 9941 do the same with different parts.
The client sends its encapsulation key and its public value on the curve, one
behind the other; the server answers with a ciphertext and its own public value
on the curve. The secret is the hash of both secrets, the mechanism's first, and
goes into the exchange hash and the key derivation as a C{string}.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal, Protocol

from conchlite.algorithms.kex.curves import Curve
from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import packString


class KEM(Protocol):
    """
    A key encapsulation mechanism.

    @ivar publicSize: the bytes of an encapsulation key.
    @ivar ciphertextSize: the bytes of a ciphertext.
    """

    @property
    def publicSize(self) -> int: ...

    @property
    def ciphertextSize(self) -> int: ...

    def keypair(self) -> tuple[bytes, Any]:
        """
        A new encapsulation key, and the decapsulation key.
        """

    def read(self, public: bytes) -> Any:
        """
        The peer's encapsulation key.

        @param public: C{publicSize} bytes.
        @raise KeyExchangeFailed: they are none.
        """

    def encapsulate(self, peer: Any) -> tuple[bytes, bytes]:
        """
        A ciphertext and its secret.

        @param peer: what L{read} gave.
        """

    def decapsulate(self, private: Any, ciphertext: bytes) -> bytes:
        """
        The secret. Any ciphertext gives one: a wrong one gives one that nobody
        else has, and the server's signature over the exchange hash does not
        verify.

        @param ciphertext: C{ciphertextSize} bytes.
        """


class Hybrid:
    """
    The method. Its private half is a pair, the mechanism's and the curve's.

    Both halves of a public value are judged before the mechanism's is used.
    """

    choosesGroup: Literal[False] = False

    def __init__(self, kem: KEM, curve: Curve, hashName: str) -> None:
        self.hashName = hashName
        self._kem = kem
        self._curve = curve

    def keypair(self) -> tuple[bytes, tuple[Any, Any]]:
        kemPublic, kemPrivate = self._kem.keypair()
        curvePublic, curvePrivate = self._curve.keypair()
        return kemPublic + curvePublic, (kemPrivate, curvePrivate)

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        head, tail = self._split(clientPublic, self._kem.publicSize)
        curvePeer = self._curve.read(tail)
        kemPeer = self._kem.read(head)
        # The curve's secret comes first: whether a value is one of small order
        # shows here alone.
        curvePublic, curvePrivate = self._curve.keypair()
        classical = self._curve.agree(curvePrivate, curvePeer)
        ciphertext, postQuantum = self._kem.encapsulate(kemPeer)
        return ciphertext + curvePublic, self._combine(postQuantum, classical)

    def decapsulate(self, private: tuple[Any, Any], serverPublic: bytes) -> bytes:
        kemPrivate, curvePrivate = private
        ciphertext, tail = self._split(serverPublic, self._kem.ciphertextSize)
        classical = self._curve.agree(curvePrivate, self._curve.read(tail))
        return self._combine(self._kem.decapsulate(kemPrivate, ciphertext), classical)

    def _split(self, public: bytes, headSize: int) -> tuple[bytes, bytes]:
        if len(public) != headSize + self._curve.publicSize:
            raise KeyExchangeFailed(f"a hybrid public value of {len(public)} bytes")
        return public[:headSize], public[headSize:]

    def _combine(self, postQuantum: bytes, classical: bytes) -> bytes:
        return packString(hashlib.new(self.hashName, postQuantum + classical).digest())
