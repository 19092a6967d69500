"""
What a transport layer is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

#: What judges a signature: it takes the algorithm, the host key, the signature
#: and the data, and raises if the signature is not to be believed.
VerifySignature = Callable[[bytes, bytes, bytes, bytes], None]


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Configuration(NamedTuple):
    """
    What a transport layer is told once.

    @ivar version: our identification line, without its end.
    @ivar supportedVersions: the protocol versions that a peer may speak.
    @ivar verifySignature: what judges the server's signature.
    @ivar hostKeys: on a server, signature algorithm to host key blob.
    @ivar extensions: what our EXT_INFO says; on a server.
    @ivar groups: on a server, what a group exchange chooses from: the bits of
        the prime to pairs of generator and prime.
    @ivar allowTerrapin: use what
        L{conchlite.sansio.negotiation.checkStrictness} refuses.
    """

    version: bytes
    supportedVersions: tuple[bytes, ...]
    verifySignature: VerifySignature
    hostKeys: Mapping[bytes, bytes] = _NOTHING
    extensions: Mapping[bytes, bytes] = _NOTHING
    allowTerrapin: bool = False
    groups: Mapping[int, Sequence[tuple[int, int]]] = _NOTHING
