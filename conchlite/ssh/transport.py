"""
The SSH transport as Twisted protocols, the client's and the server's: RFC 4253.

The two differ in what they answer; what they share is
L{conchlite.ssh.transportbase}. The numbers of messages and of reasons to
disconnect stand here too, as in Conch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.python.failure import Failure

from conchlite.algorithms import catalogue
from conchlite.error import ConchError, HostKeyRejected, PeerError, UnexpectedMessage, UnknownService, safe
from conchlite.limits import LOGIN_SECONDS
from conchlite.sansio import events
from conchlite.sansio.role import Role
from conchlite.sansio.transportlayer import Configuration
from conchlite.ssh.common import NS, asBytes
from conchlite.ssh.service import SSHService
from conchlite.ssh.transportbase import SSHTransportBase as SSHTransportBase
from conchlite.wire import numbers
from conchlite.wire.numbers import *  # noqa: F403
from conchlite.wire.types import packNameList

if TYPE_CHECKING:
    from conchlite.ssh.keys import Fingerprint


class SSHClientTransport(SSHTransportBase):
    """
    The client's end. A program says in L{verifyHostKey} whom it trusts, and
    begins its work in L{connectionSecure}.
    """

    role = Role.CLIENT
    isClient = True
    # The service that the server has accepted. One that has run must not be
    # started anew: authentication would send the password again.
    _accepted: SSHService | None = None

    def verifyHostKey(self, hostKey: bytes, fingerprint: Fingerprint) -> Deferred[object]:
        """
        Decide whether the server is the one that is meant. To be overridden:
        as it stands it refuses every server.

        It is called once, in the first exchange, after the server has proved
        that it owns the key; nothing more is read until the verdict is there.

        @param hostKey: the host key's blob.
        @param fingerprint: its MD5 fingerprint in hexadecimal with colons; its
            attribute C{sha256} is the form that ssh(1) shows.
        @return: a Deferred that fires with L{True} (or 1, as old programs
            have it) to go on. Any other value, or a failure, ends the
            connection.
        """
        return fail(
            HostKeyRejected(f"nobody verified the host key {fingerprint.sha256}: override verifyHostKey")
        )

    def connectionSecure(self) -> object:
        """
        The connection is encrypted, and the server is the one that is meant:
        services can be requested. To be overridden; it is called once.
        """
        raise NotImplementedError("override connectionSecure, and request a service there")

    def requestService(self, instance: SSHService) -> None:
        """
        Ask the server to start a service.

        @param instance: the service's half here; it is started when the
            server has agreed.
        """
        self.instance = instance
        self.sendPacket(numbers.MSG_SERVICE_REQUEST, NS(instance.name))

    def _hostKeyOffered(self, event: events.HostKeyOffered) -> None:
        from conchlite.ssh.keys import hostKeyFingerprint

        self._timers.verdictAwaited()
        verdict: Deferred[object] = maybeDeferred(
            self.verifyHostKey, event.hostKey, hostKeyFingerprint(event.hostKey)
        )
        verdict.addCallback(self._cbVerified)
        verdict.addErrback(self._ebVerified)
        self.pauseWhile(verdict)

    def _cbVerified(self, verdict: object) -> None:
        if self._closing:
            return
        if verdict != 1:
            raise HostKeyRejected(f"verifyHostKey answered {verdict!r}, not True")
        self._timers.verdictGiven()
        self._layer.acceptHostKey()
        self._tellWritable()

    def _ebVerified(self, failure: Failure) -> None:
        if not isinstance(failure.value, ConchError):
            self._log.failure("verifyHostKey failed", failure)
        error = failure.value
        if not isinstance(error, HostKeyRejected):
            error = HostKeyRejected(f"the host key was not accepted: {error}", failure)
        self.end(error, numbers.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, b"bad host key")

    def _secured(self) -> None:
        maybeDeferred(self.connectionSecure).addErrback(self._ebSecured)

    def _ebSecured(self, failure: Failure) -> None:
        self._log.failure("connectionSecure failed", failure)
        error = ConchError(f"connectionSecure failed: {failure.getErrorMessage()}", failure)
        self.end(error, numbers.DISCONNECT_BY_APPLICATION, b"internal error")

    def _serviceAccepted(self, event: events.ServiceAccepted) -> None:
        instance = self.instance
        if instance is None or instance is self._accepted:
            raise UnexpectedMessage(f"SERVICE_ACCEPT of {safe(event.name)!r}, which was not requested")
        if event.name and event.name != asBytes(instance.name):
            raise UnexpectedMessage(
                f"SERVICE_ACCEPT of {safe(event.name)!r} where {safe(asBytes(instance.name))!r} was requested"
            )
        self._accepted = instance
        self.setService(instance)


class SSHServerTransport(SSHTransportBase):
    """
    The server's end. Its factory has the host keys and the services.

    @cvar acceptedSignatures: the signature algorithms that users may sign
        with, as C{server-sig-algs} announces them (RFC 8308 section 3.1).
    """

    role = Role.SERVER
    supportedVersions: Sequence[bytes] = (b"2.0",)
    supportedKeyExchanges: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.keyExchanges)
    supportedPublicKeys: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.signatures)
    supportedCiphers: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.ciphers)
    supportedMACs: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.macs)
    supportedCompressions: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.compressions)
    loginTimeout = LOGIN_SECONDS
    acceptedSignatures: Sequence[bytes] = list(catalogue.SERVER_DEFAULT.signatures)

    def _configuration(self) -> Configuration:
        publicKeys = self.factory.publicKeys
        hostKeys = {}
        for algorithm in self.supportedPublicKeys:
            key = publicKeys.get(catalogue.keyTypeOfSignature(algorithm))
            if key is not None:
                hostKeys[algorithm] = key.blob()
        return Configuration(
            self.ourVersionString,
            tuple(self.supportedVersions),
            self._verifySignature,
            hostKeys,
            {
                # RFC 8308 section 3.1: a name-list without a length of its own.
                b"server-sig-algs": packNameList(self.acceptedSignatures)[4:],
                b"ping@openssh.com": b"0",
            },
            self.allowTerrapin,
        )

    def _signatureWanted(self, event: events.SignatureWanted) -> None:
        key = self.factory.privateKeys[catalogue.keyTypeOfSignature(event.algorithm)]
        signature: Deferred[bytes] = maybeDeferred(key.sign, event.data, event.algorithm)
        signature.addCallback(self._cbSigned)
        signature.addErrback(self._ebSigned)
        self.pauseWhile(signature)

    def _cbSigned(self, signature: bytes) -> None:
        if self._closing:
            return
        self._timers.peerJudges()
        try:
            self._layer.provideSignature(signature)
        except PeerError as error:
            self.failProtocol(error)
        else:
            self._tellWritable()

    def _ebSigned(self, failure: Failure) -> None:
        self._log.failure("signing with the host key failed", failure)
        error = ConchError(f"signing with the host key failed: {failure.getErrorMessage()}", failure)
        self.end(error, numbers.DISCONNECT_KEY_EXCHANGE_FAILED, b"key exchange failed")

    def _serviceRequested(self, event: events.ServiceRequested) -> None:
        if self.service is not None:
            # A new authentication would have a new count of failures, and
            # behind a login it would forget to log out who is there.
            raise UnexpectedMessage(f"a service named {safe(event.name)!r} was requested while one runs")
        service = self.factory.getService(self, event.name)
        if service is None:
            raise UnknownService(f"a service named {safe(event.name)!r} was requested")
        self.sendPacket(numbers.MSG_SERVICE_ACCEPT, NS(event.name))
        self.setService(service())
