"""
What a transport offers: Conch's lists of names, and all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from conchlite.algorithms import catalogue
from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.error import UsageError, safe
from conchlite.ssh.common import asBytes

# The lists that take the place of each family of a set.
_OFFERED = {
    "supportedKeyExchanges": "keyExchanges",
    "supportedPublicKeys": "signatures",
    "supportedCiphers": "ciphers",
    "supportedMACs": "macs",
    "supportedCompressions": "compressions",
}
_LISTS = {**_OFFERED, "acceptedSignatures": "signatures"}


class AlgorithmOffer:
    """
    The part of a transport that knows what to offer. All of it may be replaced
    on a subclass, or on an instance before it is connected.

    A subclass whose body says C{algorithms = LEGACY}, or another
    L{AlgorithmSet}, gets all of the lists from it, but for those that the same
    body has itself.

    @cvar supportedKeyExchanges: key exchange methods, most preferred first.
    @cvar supportedPublicKeys: signature algorithms of host keys, likewise.
    @cvar supportedCiphers: ciphers, likewise.
    @cvar supportedMACs: MACs, likewise.
    @cvar supportedCompressions: compression methods, likewise.
    @cvar acceptedSignatures: signature algorithms of users' keys: on a server
        those that users may sign with, as C{server-sig-algs} announces them
        (RFC 8308 section 3.1), on a client those that it signs with.
    """

    supportedKeyExchanges: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.keyExchanges)
    supportedPublicKeys: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.signatures)
    supportedCiphers: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.ciphers)
    supportedMACs: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.macs)
    supportedCompressions: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.compressions)
    acceptedSignatures: Sequence[bytes] = list(catalogue.CLIENT_DEFAULT.signatures)

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # A mixin may have it too.
        chosen = getattr(cls, "algorithms", None)
        if isinstance(chosen, AlgorithmSet):
            for name, family in _LISTS.items():
                if name not in cls.__dict__:
                    setattr(cls, name, list(getattr(chosen, family)))
            # The property, which the set has hidden.
            cls.algorithms = AlgorithmOffer.__dict__["algorithms"]  # type: ignore[method-assign]  # no method

    @property
    def algorithms(self) -> AlgorithmSet:
        """
        What is offered, as one. Setting it replaces all of the lists.
        """
        lists = {family: tuple(map(asBytes, getattr(self, name))) for name, family in _OFFERED.items()}
        return AlgorithmSet(**lists)

    @algorithms.setter
    def algorithms(self, value: AlgorithmSet) -> None:
        for name, family in _LISTS.items():
            setattr(self, name, list(getattr(value, family)))

    def checkedAlgorithms(self) -> AlgorithmSet:
        """
        What is offered, without what the installed C{cryptography} lacks.

        @raise UsageError: one of the lists has a name that does not exist, or
            nothing of it can be offered; the text names the list.
        """
        offered = self.algorithms
        for name, family in _OFFERED.items():
            for unknown in catalogue.unknown(family, getattr(offered, family)):
                raise UsageError(f"{name}: there is no algorithm named {safe(unknown)}")
        offered = offered.replacing(
            keyExchanges=catalogue.available(offered.keyExchanges),
            signatures=catalogue.available(offered.signatures),
        )
        for name, family in _OFFERED.items():
            if not getattr(offered, family):
                raise UsageError(f"{name}: nothing is left to offer")
        return offered
