"""
Whom a client trusts: L{Strict}, L{AcceptNew}, L{Ask}, L{Pin}, L{Lookup}, and
what L{FirstOf} and L{AllOf} make of several.

All of them start from the judgement of L{conchlite.client.hostkeys}, and none
can be told not to: a revoked key and a changed one are refused before a policy
is asked. What a policy says is whether a key is good that nothing speaks
against. There is none that says so of every key.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hmac import compare_digest
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from conchlite.algorithms import catalogue
from conchlite.client.hostentries import REVOKED, hostPattern
from conchlite.client.hostkeys import (
    Known,
    KnownHosts,
    Records,
    ServerKey,
    described,
    knownHostsFiles,
    serverKey,
)
from conchlite.client.knownhosts import KnownHostsFile, UserInterface, question
from conchlite.client.rotation import Rotation, rotationFor
from conchlite.error import (
    CertificateRejected,
    HostKeyUnknown,
    UsageError,
    UserRejectedKey,
    safe,
)
from conchlite.ssh.fingerprints import fingerprint

__all__ = ["AcceptNew", "AllOf", "Ask", "FirstOf", "Lookup", "Pin", "Policy", "Strict"]

# 43 digits of base64 are 32 bytes.
_FINGERPRINT = re.compile("SHA256:[A-Za-z0-9+/]{43}=?")


class Policy:
    """
    What all policies have in common; a program's own is a subclass that
    overrides L{decide}.

    @cvar knownTypesFirst: let L{order} put the types of known keys first.
    @ivar records: what the known hosts files say.
    @ivar alias: under which name the server is known, if not its own.
    @ivar updateHostKeys: whether to learn the other keys of a server that is
        known, as C{UpdateHostKeys} of ssh_config(5): L{conchlite.client.rotation}.
    """

    knownTypesFirst = True

    def __init__(
        self,
        knownHosts: KnownHosts = None,
        *,
        alias: str | None = None,
        updateHostKeys: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param knownHosts: the files, or their paths; by default those of the
            user and of the machine. What is learned goes to the first.
        @param now: the time in seconds since 1970, for certificates.
        """
        self.alias = alias
        self.updateHostKeys = updateHostKeys
        self._now = now
        self.records = Records(knownHostsFiles(knownHosts), now)

    def verify(self, host: str, port: int, hostKey: bytes, address: str | None = None) -> object:
        """
        The verdict on a server's key.

        @param host: the server, as the user names it.
        @param hostKey: the key's blob, or its certificate's.
        @param address: where the connection goes to, if that is known.
        @return: L{None} or True where the server is the one that is meant, or
            a Deferred that fires with True; cancelling it takes a question back.
        @raise HostKeyUnknown: nothing says that the server has this key.
        @raise HostKeyChanged: it is known with other keys of this type.
        @raise HostKeyRejected: the key is revoked.
        @raise ConchError: a file cannot be read.
        """
        key = serverKey(host, port, hostKey, address, self.alias)
        return self.decide(key, self.records.judge(key))

    def decide(self, key: ServerKey, known: Known) -> object:
        """
        Whether to trust a key that is neither revoked nor changed. To be
        overridden; as it stands, a known key is trusted and no other.

        @return: as L{verify}.
        @raise HostKeyUnknown: it is not to be trusted.
        """
        if known.line is None:
            return self.decideUnknown(key, known)
        return None

    def decideUnknown(self, key: ServerKey, known: Known) -> object:
        """
        Whether to trust a server that nothing is known of, or only other types
        of key. To be overridden; as it stands it is not trusted.

        @return: as L{verify}.
        @raise HostKeyUnknown: it is not to be trusted.
        """
        raise self.records.unknown(key, known)

    def learn(self, key: ServerKey) -> None:
        """
        Add a key to the first file, for good: for the name, and for the
        address if nothing is known of that. A name that somebody makes up for
        the address of another server gives that no key.

        @raise UsageError: there is no file.
        @raise ConchError: it cannot be read.
        @raise OSError: it cannot be written.
        """
        if not self.records.files:
            raise UsageError("there is no known hosts file to add a host key to")
        file = self.records.files[0]
        names = [key.name]
        if key.address is not None and not self._knows(key.address, key.port):
            names.append(hostPattern(key.address, key.port))
        for name in dict.fromkeys(names):
            file.addHostKey(name, key.blob)
        file.save()

    def _knows(self, address: str, port: int) -> bool:
        return any(
            line.entry.marker != REVOKED
            for name in {hostPattern(address, port), hostPattern(address)}
            for line in self.records.lines(name)
        )

    def order(self, host: str, port: int, algorithms: Sequence[bytes]) -> list[bytes]:
        """
        The signature algorithms to offer for the host's key, most preferred
        first: those of certificates where an authority speaks for the host,
        then those of known keys, so that a server with several keys shows one
        that can be verified.

        The order is left alone when the type that it begins with is known
        anyway: it would only tell an eavesdropper who has been here before
        (CVE-2020-14145). A subclass whose C{knownTypesFirst} is false never
        tells it, and may meet a key that it does not know although the server
        has one that it does.

        @raise ConchError: a file cannot be read.
        """
        names = [hostPattern(host, port) if self.alias is None else hostPattern(self.alias)]
        types, authority = self.records.knownTypes(names)
        if self.alias is None and port != 22:
            bare, bareAuthority = self.records.knownTypes([hostPattern(host)])
            types, authority = types or bare, authority or bareAuthority
        ordered = list(algorithms)
        if ordered and self.knownTypesFirst and catalogue.keyTypeOfSignature(ordered[0]) not in types:
            # Sorting is stable: within the known and the unknown the order remains.
            ordered.sort(key=lambda algorithm: catalogue.keyTypeOfSignature(algorithm) not in types)
        if authority or self.hasAuthorities():
            plain = [name for name in ordered if catalogue.plainName(name) == name]
            ordered = list(dict.fromkeys([*map(catalogue.certificateName, plain), *ordered]))
        return ordered

    def hasAuthorities(self) -> bool:
        """
        Whether there are authorities besides those of the files.
        """
        return False

    def rotation(self, host: str, port: int, hostKey: bytes) -> Rotation | None:
        """
        What learns the other keys of a server that was verified, if any are to
        be learned.
        """
        if not self.updateHostKeys or not self.records.files:
            return None
        return rotationFor(self.records, serverKey(host, port, hostKey, alias=self.alias))


class Strict(Policy):
    """
    Trusts the servers that the known hosts have, and nobody else: nobody is
    asked, and nothing is learned. What to use where nobody says otherwise.
    """


class AcceptNew(Policy):
    """
    Trusts a server that was never seen before, and remembers its key: who
    stands between us and the server on the first day, stays there. It is for
    machines that live for an hour, in a network that can be trusted.

    A host that is known with keys of other types, or under an authority, is
    not new.
    """

    def decideUnknown(self, key: ServerKey, known: Known) -> object:
        """
        Remember a new server.

        @raise HostKeyUnknown: it is not new.
        """
        if known.others or known.why:
            raise self.records.unknown(key, known)
        if key.address is not None and not key.alias:
            self.records.refuseRevoked(serverKey(key.address, key.port, key.blob))
        self.learn(key)
        return None


class Ask(Policy):
    """
    Asks about a server that is not known, and remembers what is accepted.
    """

    def __init__(self, ui: UserInterface, knownHosts: KnownHosts = None, **options: Any) -> None:
        """
        @param ui: whom to ask: L{conchlite.client.knownhosts.ConsoleUI} or
            what has its methods. True is yes, and nothing else is.
        @param options: as L{Policy} has them.
        """
        super().__init__(knownHosts, **options)
        self._ui = ui

    def decideUnknown(self, key: ServerKey, known: Known) -> Deferred[bool]:
        """
        Ask about it.

        @return: fires with True; fails with L{UserRejectedKey}, and with what
            the user interface fails with. Cancelling it cancels the question.
        """
        if key.address is not None and not key.alias:
            # The address may be known with another key, or the key be revoked
            # there: that is no question for a person.
            self.records.judge(serverKey(key.address, key.port, key.blob))
        for line in known.others:
            # Of the same type it would have been refused.
            self._ui.warn(
                f"The host {safe(key.name)} is known with a {safe(line.entry.keyType)} key "
                f"({line}), and shows one of another type.\n".encode()
            )
        if known.why:
            self._ui.warn(
                f"The host {safe(key.name)} has a certificate, which is not good: {known.why}.\n".encode()
            )
        address = None if key.address is None else hostPattern(key.address, key.port)
        asked = maybeDeferred(self._ui.prompt, question(key.name, address, key.blob))
        return asked.addCallback(self._cbAnswered, key)

    def _cbAnswered(self, accepted: object, key: ServerKey) -> bool:
        if accepted is not True:
            text = f"the host key {key.described()} of {safe(key.name)} was not accepted"
            raise described(UserRejectedKey(text), key)
        # Somebody may have revoked it while the person looked at it.
        self.records.judge(key)
        self.learn(key)
        return True


class Pin(Policy):
    """
    Trusts the keys that have one of these fingerprints, and no other: what
    known hosts files know is not enough, and what they revoke, or know
    otherwise, is refused.

    @ivar verified: whether a server has shown one of them.
    """

    def __init__(
        self, *fingerprints: str, authorities: Sequence[str] = (), knownHosts: KnownHosts = (), **options: Any
    ) -> None:
        """
        @param fingerprints: as ssh(1) shows them: C{SHA256:} and base64.
        @param authorities: fingerprints of the keys of authorities, whose
            certificates for the host are good as well.
        @param knownHosts: files that may revoke a key, or know another for the
            host; by default none.
        @param options: as L{Policy} has them.
        @raise UsageError: there is no fingerprint, or one is none.
        """
        super().__init__(knownHosts, **options)
        for given in (*fingerprints, *authorities):
            if not isinstance(given, str) or not _FINGERPRINT.fullmatch(given):
                raise UsageError(
                    f"{safe(str(given))} is no fingerprint: it begins with SHA256: and has 43 characters more"
                )
        if not fingerprints and not authorities:
            raise UsageError("no fingerprint is given, and no key has none")
        self._fingerprints = tuple(given.rstrip("=") for given in fingerprints)
        self._authorities = tuple(given.rstrip("=") for given in authorities)
        self.verified = False

    def decide(self, key: ServerKey, known: Known) -> object:
        """
        Compare the fingerprints.

        @raise HostKeyUnknown: the key has another one.
        """
        why = self._whyNot(key)
        if why:
            text = f"the host key of {safe(key.name)} has the fingerprint {key.fingerprint}, and not {why}"
            raise described(HostKeyUnknown(text), key)
        self.verified = True
        return None

    def _whyNot(self, key: ServerKey) -> str:
        why = " or ".join(self._fingerprints)
        if _isOneOf(key.fingerprint, self._fingerprints):
            return ""
        if key.certificate is not None and _isOneOf(
            fingerprint(key.certificate.signatureKey), self._authorities
        ):
            from conchlite.ssh.certificates import judgeHostCertificate

            try:
                judgeHostCertificate(key.certificate, key.host, self._now())
            except CertificateRejected as e:
                return " or ".join(filter(None, [why, f"a good certificate: {e}"]))
            return ""
        if self._authorities:
            why = " or ".join(filter(None, [why, f"a certificate of {' or '.join(self._authorities)}"]))
        return why

    def hasAuthorities(self) -> bool:
        """
        Certificates are of use where their authorities are known.
        """
        return bool(self._authorities)


def _isOneOf(offered: str, expected: Sequence[str]) -> bool:
    return any(compare_digest(offered, one) for one in expected)


class Lookup(Policy):
    """
    Asks a function about a server that is not known: one that looks into a
    database, an inventory, the DNS. Nothing is remembered.
    """

    def __init__(
        self, function: Callable[[ServerKey], object], knownHosts: KnownHosts = None, **options: Any
    ) -> None:
        """
        @param function: answers True, or a Deferred that fires with True,
            where the server has this key; any other answer is no. It may raise
            L{HostKeyRejected} to have the last word.
        @param options: as L{Policy} has them.
        """
        super().__init__(knownHosts, **options)
        self._function = function

    def decideUnknown(self, key: ServerKey, known: Known) -> Deferred[bool]:
        """
        Ask the function.

        @return: fires with True; fails with L{HostKeyUnknown} where the answer
            is no, and with what the function fails with. Cancelling it cancels
            what the function waits for.
        """
        answer: Deferred[object] = maybeDeferred(self._function, key)
        return answer.addCallback(self._cbLookedUp, key, known)

    def _cbLookedUp(self, answer: object, key: ServerKey, known: Known) -> bool:
        if answer is not True:
            known = replace(known, why=known.why or "and what was looked up does not have it")
            raise self.records.unknown(key, known)
        return True


class _Several(Policy):
    def __init__(self, *policies: Policy) -> None:
        """
        @param policies: the policies, in the order in which they are asked.
            What any of their files revokes, or knows otherwise, is refused.
        @raise UsageError: there are none, or they know the server by different
            names.
        """
        if not policies:
            raise UsageError("several policies are wanted, and there is none")
        if len({policy.alias for policy in policies}) != 1:
            raise UsageError("the policies know the server by different names")
        files: list[KnownHostsFile] = []
        for policy in policies:
            files += policy.records.files
        super().__init__(files, alias=policies[0].alias, now=policies[0]._now)
        self._policies = policies

    def hasAuthorities(self) -> bool:
        """
        Whether any of them has.
        """
        return any(policy.hasAuthorities() for policy in self._policies)

    def rotation(self, host: str, port: int, hostKey: bytes) -> Rotation | None:
        """
        That of the first policy that has one.
        """
        for policy in self._policies:
            if (rotation := policy.rotation(host, port, hostKey)) is not None:
                return rotation
        return None

    def _ask(self, policy: Policy, key: ServerKey) -> Deferred[object]:
        # Each with what its own files know: a pinned key need not be in them.
        return maybeDeferred(lambda: policy.decide(key, policy.records.judge(key))).addCallback(_isYes, key)


def _isYes(answer: object, key: ServerKey) -> bool:
    if answer is not None and answer is not True:
        raise HostKeyUnknown(f"the host key {key.described()} of {safe(key.name)} was not accepted")
    return True


class FirstOf(_Several):
    """
    Trusts whom the first policy trusts that knows the server. One that says
    no, and not only that it does not know, has the last word.
    """

    def decide(self, key: ServerKey, known: Known) -> Deferred[object]:
        """
        Ask one after the other.

        @return: fires with True; fails with the last one's refusal.
        """
        asked = self._ask(self._policies[0], key)
        for policy in self._policies[1:]:
            asked.addErrback(self._ebUnknown, policy, key)
        return asked

    def _ebUnknown(self, failure: Failure, policy: Policy, key: ServerKey) -> Deferred[object]:
        failure.trap(HostKeyUnknown)
        return self._ask(policy, key)


class AllOf(_Several):
    """
    Trusts whom all of the policies trust.
    """

    def decide(self, key: ServerKey, known: Known) -> Deferred[object]:
        """
        Ask one after the other, as long as they say yes.

        @return: fires with True; fails with the first refusal.
        """
        asked = self._ask(self._policies[0], key)
        for policy in self._policies[1:]:
            asked.addCallback(self._cbTrusted, policy, key)
        return asked

    def _cbTrusted(self, answer: object, policy: Policy, key: ServerKey) -> Deferred[object]:
        return self._ask(policy, key)
