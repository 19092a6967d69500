"""
A factory of server transports.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from twisted.cred.portal import Portal
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.error import ConchError, UsageError
from conchlite.limits import HANDSHAKES_PER_ADDRESS, STARTUPS
from conchlite.ssh.admission import Admission
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.serverkeys import checkSigners, offerable
from conchlite.ssh.service import SSHService
from conchlite.ssh.transport import SSHServerTransport
from conchlite.ssh.userauth import SSHUserAuthServer

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes
    from conchlite.ssh.keys import Key


class SSHFactory(Factory):
    """
    Builds a server's transports; it has what they share.

    @ivar portal: where users log in (L{twisted.cred.portal.Portal}).
    @ivar publicKeys: the host keys: the key type's name to the public key.
    @ivar privateKeys: the key type's name to the private key. One that carries
        the certificate of a host (L{conchlite.ssh.keys.Key.withCertificate})
        is offered with it first, and plain to those who know the key.
    @ivar algorithms: what the transports offer, such as
        L{conchlite.algorithms.catalogue.LEGACY}; L{None} for what their class
        says.
    @ivar moduli: a file with groups for C{diffie-hellman-group-exchange-*},
        such as C{/etc/ssh/moduli}; L{None} for the groups of RFC 3526. To have
        them chosen from, the transports have to offer such a method as well.
    @ivar primes: the groups, as L{getPrimes} gave them.
    @cvar services: the name of a service to its class.
    @ivar maxStartups: how many connections may be there that have not logged
        in, as C{MaxStartups} of sshd_config(5): from the first number on new
        ones are closed with the probability of the second, in percent, which
        grows to a certainty at the third. L{None} for no limit.
    @ivar maxHandshakesPerAddress: how many connections of one address (of an
        IPv6 network of 64 bits) may exchange keys at a time, before the
        login; those behind them wait. 0 for no limit.
    @ivar randomBytes: what decides by lot.
    @ivar clock: what the transports' timers run on; L{None} for the reactor
        that each connection has.
    """

    _log = Logger()

    protocol: Callable[..., SSHServerTransport] = SSHServerTransport
    portal: Portal
    publicKeys: Mapping[bytes, Key]
    privateKeys: Mapping[bytes, Key]
    moduli: str | os.PathLike[str] | None = None
    primes: Mapping[int, Sequence[tuple[int, int]]] | None
    clock: IReactorTime | None = None
    algorithms: AlgorithmSet | None = None
    maxStartups: tuple[int, int, int] | None = STARTUPS
    maxHandshakesPerAddress: int = HANDSHAKES_PER_ADDRESS
    randomBytes: RandomBytes = staticmethod(os.urandom)
    _admission: Admission | None = None
    services: ClassVar[Mapping[bytes, Callable[[], SSHService]]] = {
        b"ssh-userauth": SSHUserAuthServer,
        b"ssh-connection": SSHConnection,
    }

    def startFactory(self) -> None:
        """
        Collect the host keys, and the groups of a moduli file.

        @raise ConchError: there are no keys.
        @raise UsageError: the moduli file is no good, or C{maxStartups} is not
            what it should be.
        """
        self._checkStartups()
        self._collectKeys()
        self._collectPrimes()

    def stopFactory(self) -> None:
        """
        Say in the log what is left to be said about those who connected.
        """
        if self._admission is not None:
            self._admission.stop()

    @property
    def admission(self) -> Admission:
        """
        Who may come in, and when.
        """
        # Subclasses define __init__ without calling ours.
        if self._admission is None:
            self._admission = Admission(self)
        return self._admission

    def _checkStartups(self) -> None:
        try:
            begin, percent, full = self.maxStartups or STARTUPS
            good = 0 <= begin <= full and 0 <= percent <= 100
        except (TypeError, ValueError):
            good = False
        if not good:
            raise UsageError(
                f"maxStartups is {self.maxStartups!r}: it has to be three numbers, such as {STARTUPS}: "
                "from the first on the percentage in the middle is closed, and all from the last on"
            )

    def _collectKeys(self) -> None:
        if not hasattr(self, "privateKeys"):
            self.privateKeys = self.getPrivateKeys()
        if not hasattr(self, "publicKeys"):
            self.publicKeys = self.getPublicKeys()
        if not self.publicKeys or not self.privateKeys:
            raise ConchError("no host keys, failing")
        checkSigners(self.privateKeys)

    def _collectPrimes(self) -> None:
        if not hasattr(self, "primes"):
            self.primes = self.getPrimes()

    def buildProtocol(self, addr: IAddress | None) -> SSHServerTransport:
        """
        Build a transport that offers the host keys that there are.
        """
        self._collectKeys()
        self._collectPrimes()
        built = self.protocol()
        built.factory = self
        if self.clock is not None:
            built.clock = self.clock
        if self.algorithms is not None:
            built.algorithms = self.algorithms
        built.supportedPublicKeys = offerable(built.supportedPublicKeys, self.privateKeys)
        return built

    def getPublicKeys(self) -> Mapping[bytes, Key]:
        """
        The host keys' public halves: those of L{privateKeys}, unless a
        subclass knows better.
        """
        return {name: key.public() for name, key in self.privateKeys.items()}

    def getPrivateKeys(self) -> Mapping[bytes, Key]:
        """
        The host keys: key type name to private key. To be overridden, unless
        C{privateKeys} is set.
        """
        raise NotImplementedError("set privateKeys, or override getPrivateKeys")

    def getPrimes(self) -> Mapping[int, Sequence[tuple[int, int]]] | None:
        """
        The groups for C{diffie-hellman-group-exchange-*}: those of C{moduli},
        unless a subclass knows better.

        @return: the bits of the prime to pairs of generator and prime;
            L{None} for the groups of RFC 3526.
        @raise UsageError: the moduli file is no good.
        """
        if self.moduli is None:
            return None
        from conchlite.ssh.moduli import readModuli

        return readModuli(self.moduli)

    def getService(self, transport: SSHServerTransport, service: bytes) -> Callable[[], SSHService] | None:
        """
        What makes the service that a client asks for; L{None} if there is no
        such service, or not before the user has logged in.
        """
        if service == b"ssh-userauth" or transport.avatar is not None:
            return self.services.get(service)
        return None
