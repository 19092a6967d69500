"""
Diffie-Hellman on an elliptic curve as a key exchange method: RFC 5656 section
4 and RFC 8731, which do the same on different curves.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from conchlite.wire.types import packMPInt


class Curve(Protocol):
    """
    A curve, and what is done on it.

    @ivar publicSize: the bytes of a public value, of which there is one form.
    """

    @property
    def publicSize(self) -> int: ...

    def keypair(self) -> tuple[bytes, Any]:
        """
        A new public value, and the private key of it.
        """

    def read(self, public: bytes) -> Any:
        """
        The peer's key.

        @raise KeyExchangeFailed: it has the wrong length or is no key of this
            curve.
        """

    def agree(self, private: Any, peer: Any) -> bytes:
        """
        The shared secret: bytes, of the length that the curve has.

        @param peer: what L{read} gave.
        @raise KeyExchangeFailed: the peer's key gives a secret that everybody
            knows.
        """


class CurveExchange:
    """
    The method. Its secret is an mpint: the bytes of the curve's secret read as
    a number, most significant byte first, RFC 8731 section 3.1.
    """

    choosesGroup: Literal[False] = False

    def __init__(self, curve: Curve, hashName: str) -> None:
        self.hashName = hashName
        self._curve = curve

    def keypair(self) -> tuple[bytes, Any]:
        return self._curve.keypair()

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        # Read before a key is made: a bad value costs next to nothing.
        peer = self._curve.read(clientPublic)
        public, private = self._curve.keypair()
        return public, self._pack(self._curve.agree(private, peer))

    def decapsulate(self, private: Any, serverPublic: bytes) -> bytes:
        return self._pack(self._curve.agree(private, self._curve.read(serverPublic)))

    def _pack(self, secret: bytes) -> bytes:
        return packMPInt(int.from_bytes(secret, "big"))
