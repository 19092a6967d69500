"""
The SSH transport as Twisted protocols, the client's and the server's: RFC 4253.

The two differ in what they answer; what they share is
L{conchlite.ssh.transportbase}. The numbers of messages and of reasons to
disconnect stand here too, as in Conch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from conchlite.algorithms import catalogue
from conchlite.error import (
    ConchError,
    ConnectionEnded,
    HostKeyRejected,
    PeerError,
    UnexpectedMessage,
    UnknownService,
    safe,
)
from conchlite.limits import LOGIN_SECONDS, MAXIMUM_SERVICE_REQUESTS
from conchlite.sansio import events
from conchlite.sansio.configuration import Configuration
from conchlite.sansio.role import Role
from conchlite.ssh.common import NS, asBytes
from conchlite.ssh.hostkeyproof import ANNOUNCEMENT, PROOF, Learner, Owner, sign
from conchlite.ssh.requests import Requests
from conchlite.ssh.serverkeys import plainKeys, signers
from conchlite.ssh.service import SSHService
from conchlite.ssh.transportbase import SSHTransportBase as SSHTransportBase
from conchlite.wire import numbers
from conchlite.wire.connection import GlobalRequest
from conchlite.wire.numbers import *  # noqa: F403
from conchlite.wire.transport import KexInit
from conchlite.wire.types import packNameList

if TYPE_CHECKING:
    from conchlite.ssh.admission import Admission
    from conchlite.ssh.keys import Fingerprint, Key

# What a client gets that is one too many: OpenSSH's words. There are no keys yet
# that a DISCONNECT could be sent under.
_TOO_MANY = b"Not allowed at this time\r\n"


class SSHClientTransport(SSHTransportBase):
    """
    The client's end. A program says in L{verifyHostKey} whom it trusts, and
    begins its work in L{connectionSecure}.
    """

    role = Role.CLIENT
    isClient = True
    # Whether an announcement of host keys has been read.
    _announcementRead = False
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

    def hostKeysReceived(self, keys: Sequence[Key]) -> object:
        """
        The server has announced its host keys, and has proved that it owns
        them (OpenSSH PROTOCOL section 2.5). To be overridden; as it stands it
        does nothing, and then the server is not asked for proofs at all.

        A program may remember these keys for the next time, where
        L{verifyHostKey} accepted the server because of a key that it knew for
        just this host: not where a pattern or a certificate stood for it.
        Keys that it knows and that are not among these are out of use.

        It is called at most once. In a later re-exchange the server may come
        with any of these keys.

        @param keys: the public keys, as announced. Those of types that are not
            in C{supportedPublicKeys}, or too small, are not among them.
        """
        return None

    def globalRequestMethod(self, requestName: bytes) -> Callable[[bytes], object] | None:
        """
        The answer to the announcement of host keys.
        """
        return self._hostKeysAnnounced if requestName == ANNOUNCEMENT else None

    def _hostKeysAnnounced(self, data: bytes) -> bool:
        overridden = getattr(self.hostKeysReceived, "__func__", None) is not _HOST_KEYS_RECEIVED
        if self._announcementRead or not overridden or not isinstance(self.service, Requests):
            return False
        self._announcementRead = True
        learner = Learner(self.sessionID, self._layer.acceptedHostKeys, self.supportedPublicKeys)
        learner.announced(data, self.minimumRSABits)
        if not learner.keys:
            return False
        if learner.unknown:
            asked = self.service.sendGlobalRequest(PROOF, learner.question(), wantReply=True)
            proved = cast("Deferred[bytes]", asked).addCallback(learner.verify, self._verifySignature)
        else:
            proved = succeed(None)
        proved.addCallback(lambda _: self._hostKeysProved(learner))
        proved.addErrback(self._ebProofs)
        return True

    def _hostKeysProved(self, learner: Learner) -> Deferred[object]:
        self._layer.addAcceptedHostKeys([key.blob() for key in learner.unknown])
        return maybeDeferred(self.hostKeysReceived, learner.keys)

    def _ebProofs(self, failure: Failure) -> None:
        if not failure.check(ConchError):
            self._log.failure("hostKeysReceived failed", failure)
        elif not self._closing:
            self._log.warn(
                "{peer} announced host keys and did not prove that it owns them: {error}",
                peer=self._peerText(),
                error=failure.value,
            )

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
        # 1.0, or an object that is equal to everything, is none.
        if type(verdict) not in (bool, int) or verdict != 1:
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


# What a program's own hostKeysReceived takes the place of.
_HOST_KEYS_RECEIVED = SSHClientTransport.hostKeysReceived


# Who answers a global request that wants no reply, which breaks the protocol:
# lsh 2.1 refuses our host keys.
_ANSWERS_UNASKED = re.compile(rb"SSH-2\.0-lsh-")


class SSHServerTransport(SSHTransportBase):
    """
    The server's end. Its factory has the host keys and the services.

    @cvar announceHostKeys: tell clients that have logged in all the host keys,
        and prove on request that they are ours (OpenSSH PROTOCOL section 2.5).
    """

    role = Role.SERVER
    supportedVersions: Sequence[bytes] = (b"2.0",)
    algorithms = catalogue.SERVER_DEFAULT
    loginTimeout = LOGIN_SECONDS
    announceHostKeys = True
    _owner: Owner | None = None
    _hostKeys: dict[bytes, tuple[bytes, Key]]

    # The factory's, from the connection to its end.
    _admission: Admission | None = None
    # One that was too many is counted there, and told together with others.
    _turnedAway = False
    _serviceRequests = 0

    def _start(self) -> None:
        # A factory that is written from scratch may have none.
        self._admission = getattr(self.factory, "admission", None)
        if self._admission is None:
            super()._start()
            return
        if not self._admission.arrived(self):
            self._turnedAway = True
            self.closeReason = Failure(ConnectionEnded("too many clients have not logged in"))
            self._tcp().write(_TOO_MANY)
            self._close()
            return
        self._timers.connected()
        itsTurn = self._admission.turn(self)
        if itsTurn is None:
            self._begin()
        else:
            # Nothing is read, and so nothing held, until then.
            self._tcpPaused = True
            self._tcp().pauseProducing()
            self.pauseWhile(itsTurn.addCallback(self._cbTurn))

    def _cbTurn(self, ignored: None) -> None:
        if not self._closing:
            self._begin()

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """
        The client begins a key exchange, or answers ours. Before the login
        another one takes its turn as the first did: it costs us as much.
        """
        itsTurn = None
        begun = bool(self.sessionID) and not self._layer.kexInitSent
        if self._admission is not None and begun and not self._authenticated:
            itsTurn = self._admission.turn(self)
        if itsTurn is None:
            super().ssh_KEXINIT(packet)
        else:
            self.pauseWhile(itsTurn.addCallback(self._cbTurnAgain, packet))

    def _cbTurnAgain(self, ignored: None, packet: bytes) -> None:
        if not self._closing:
            try:
                super().ssh_KEXINIT(packet)
            except PeerError as error:
                self.failProtocol(error)

    def _loggedIn(self) -> None:
        if self._admission is not None:
            self._admission.loggedIn(self)

    def _maySay(self) -> bool:
        if self._admission is None or self._authenticated:
            return True
        return self._admission.maySay(self)

    def _tellEnd(self, closing: bool, reason: Failure) -> None:
        if not self._turnedAway:
            super()._tellEnd(closing, reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection ended: make room for another one, stop the service, log
        the user out.
        """
        try:
            super().connectionLost(reason)
        finally:
            if self._admission is not None:
                self._admission.left(self)

    def _configuration(self) -> Configuration:
        publicKeys, privateKeys = self.factory.publicKeys, self.factory.privateKeys
        # As they are now: keys that the factory gets later are for connections
        # that come later. In this one a re-exchange is signed with the same.
        self._hostKeys = signers(self.supportedPublicKeys, publicKeys, privateKeys)
        self.supportedPublicKeys = list(self._hostKeys)
        return Configuration(
            self.ourVersionString,
            tuple(self.supportedVersions),
            self._verifySignature,
            {algorithm: blob for algorithm, (blob, _) in self._hostKeys.items()},
            {
                # RFC 8308 section 3.1: a name-list without a length of its own.
                b"server-sig-algs": packNameList(self.acceptedSignatures)[4:],
                b"ping@openssh.com": b"0",
                b"publickey-hostbound@openssh.com": b"0",
            },
            self.allowTerrapin,
            getattr(self.factory, "primes", None) or {},
        )

    def setService(self, service: SSHService) -> None:
        """
        Make C{service} the one that gets the messages from 50 on; the first
        connection of a client that has logged in begins with our host keys.
        """
        super().setService(service)
        if self._owner is None and self.isAuthenticated and asBytes(service.name) == b"ssh-connection":
            keys = self.announcedHostKeys()
            self._owner = Owner(keys, self.sessionID, self._acceptedAlgorithms())
            if keys and not _ANSWERS_UNASKED.match(self.otherVersionString):
                announcement = GlobalRequest(ANNOUNCEMENT, False, self._owner.announcement())
                self.sendPacket(numbers.MSG_GLOBAL_REQUEST, announcement.pack())

    def announcedHostKeys(self) -> Mapping[bytes, Key]:
        """
        The host keys that clients are told after the login. To be overridden
        by a server that has others in store: clients that take note of them
        will know them when they take the place of those in use.

        @return: host key blob to the private key, which signs; empty for no
            announcement.
        """
        if not self.announceHostKeys:
            return {}
        publicKeys, privateKeys = plainKeys(self.factory.publicKeys), plainKeys(self.factory.privateKeys)
        return {publicKeys[name].blob(): key for name, key in privateKeys.items() if name in publicKeys}

    def _acceptedAlgorithms(self) -> Sequence[bytes]:
        negotiated = self.negotiated
        if negotiated is None:
            return ()
        # As OpenSSH does: RSA keys sign as they did in the exchange, if it was
        # by one of them.
        offer = KexInit.unpackPayload(self.otherKexInitPayload)
        names = (negotiated.hostKey, *offer.serverHostKeyAlgorithms)
        return [name for name in names if name in self.supportedPublicKeys]

    def globalRequestMethod(self, requestName: bytes) -> Callable[[bytes], object] | None:
        """
        The answer to a request for proof of host keys.
        """
        return self._owner.prove if self._owner is not None and requestName == PROOF else None

    def _signatureWanted(self, event: events.SignatureWanted) -> None:
        blob, key = self._hostKeys[event.algorithm]
        signature = sign(key, blob, event.algorithm, event.data)
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
            if self._admission is not None:
                self._admission.exchanged(self)

    def _ebSigned(self, failure: Failure) -> None:
        self._log.failure("signing with the host key failed", failure)
        error = ConchError(f"signing with the host key failed: {failure.getErrorMessage()}", failure)
        self.end(error, numbers.DISCONNECT_KEY_EXCHANGE_FAILED, b"key exchange failed")

    def _serviceRequested(self, event: events.ServiceRequested) -> None:
        self._serviceRequests += 1
        if self.service is not None:
            # A new authentication would have a new count of failures, and
            # behind a login it would forget to log out who is there. But
            # Paramiko asks again before each method that it tries, and is told
            # that what runs is there.
            again = not self.isAuthenticated and asBytes(self.service.name) == event.name
            if again and self._serviceRequests <= MAXIMUM_SERVICE_REQUESTS:
                self.sendPacket(numbers.MSG_SERVICE_ACCEPT, NS(event.name))
                return
            raise UnexpectedMessage(f"a service named {safe(event.name)!r} was requested while one runs")
        service = self.factory.getService(self, event.name)
        if service is None:
            raise UnknownService(f"a service named {safe(event.name)!r} was requested")
        self.sendPacket(numbers.MSG_SERVICE_ACCEPT, NS(event.name))
        self.setService(service())
