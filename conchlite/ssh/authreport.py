"""
Why a login came to nothing, for a person to read.

A server says little: that it refuses, which methods it still accepts, or
nothing at all. What that means in most cases can be told from what was tried,
and how; L{AuthenticationReport.cause} says it. It is a guess, and so the facts
stand behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conchlite.error import CertificateRejected, ConchError, Disconnected, LoginTimedOut, safe
from conchlite.sansio.attempts import Answer, Attempt

#: What OpenSSH's sshd, and others after it, say when they have had enough. The
#: code is 2 there, and not the 14 of RFC 4253.
_TOO_MANY = "too many authentication failures"


_ROOT = "many servers forbid root to log in, whatever is tried (PermitRootLogin)"


@dataclass(frozen=True)
class AuthenticationReport:
    """
    What is known about a login that came to nothing. C{str} is one paragraph.

    @ivar host: the server, by its name where the program has told that.
    @ivar user: who wanted to log in.
    @ivar attempts: what was tried, and what became of it.
    @ivar obstacles: what was not tried, and why.
    @ivar unoffered: the keys among that, where enough others were refused.
    @ivar authenticatedWith: the methods that were accepted as a part.
    @ivar methods: what the server would still accept.
    @ivar answerable: those of them that the program has.
    @ivar signatureAlgorithms: what the server said that it takes signatures of
        (C{server-sig-algs}, RFC 8308); empty if it said nothing.
    @ivar banners: what it had to say to the user; safe to print.
    @ivar ended: what the connection ended with, if that ended the login.
    @ivar unproven: whether the server let the user in, and was left because it
        had asked for no proof.
    @ivar seconds: when that was, in seconds since 1970.
    """

    host: str
    user: str
    attempts: tuple[Attempt, ...] = ()
    obstacles: tuple[str, ...] = ()
    authenticatedWith: tuple[bytes, ...] = ()
    methods: tuple[bytes, ...] = ()
    answerable: frozenset[bytes] = frozenset()
    signatureAlgorithms: tuple[bytes, ...] = ()
    banners: tuple[str, ...] = ()
    ended: ConchError | None = None
    unproven: bool = False
    seconds: float = 0
    unoffered: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"{self.host} did not authenticate '{self.user}': {self.cause}"]
        said.append("tried: " + (", ".join(map(str, self.attempts)) or "nothing"))
        if self.obstacles:
            said.append("not tried: " + ", ".join(self.obstacles))
        if self.authenticatedWith:
            said.append("accepted as a part: " + names(self.authenticatedWith))
        if self.ended is None or self.methods:
            said.append("the server would accept: " + (names(self.methods) or "no method at all"))
        return "; ".join(said)

    @property
    def cause(self) -> str:
        """
        The likely cause, in words.
        """
        rules = (
            self._letIn,
            self._connectionEnded,
            self._noMethod,
            self._signatureRefused,
            self._signatureMissing,
            self._certificateRefused,
            self._algorithmRefused,
            self._passwordExpired,
            self._nothingElse,
            self._allRefused,
        )
        return next(filter(None, (rule() for rule in rules)), "the server accepted nothing that was tried")

    def _keys(self, *answers: Answer) -> list[Attempt]:
        return [
            attempt
            for attempt in self.attempts
            if attempt.keyType and (not answers or attempt.answer in answers)
        ]

    def _letIn(self) -> str:
        if not self.unproven:
            return ""
        return "it let the user in without asking for a proof, and one is required (requireAuthentication)"

    def _connectionEnded(self) -> str:
        error = self.ended
        if error is None:
            return ""
        count = len(self.attempts)
        if isinstance(error, LoginTimedOut):
            return str(error)
        if isinstance(error, Disconnected):
            if _TOO_MANY in error.description.lower() or error.reason == 14:
                said = f"{self._offered()} and the server closed: too many (MaxAuthTries)"
                return f"{said}{self._advice()} ({error})"
            return f"the server ended the login: {error}"
        if count:
            return (
                f"{self._offered()} and the connection ended without a word: the server may take fewer "
                f"attempts, or want nobody from here{self._advice()} ({error})"
            )
        return (
            f"the connection ended before anything was tried: the server may want nobody from here ({error})"
        )

    def _offered(self) -> str:
        keys = len(self._keys())
        if keys == len(self.attempts) and keys:
            return "1 key was offered" if keys == 1 else f"{keys} keys were offered"
        count = len(self.attempts)
        return "1 attempt was made" if count == 1 else f"{count} attempts were made"

    def _advice(self) -> str:
        return "; name one with --identity" if len(self._keys()) > 1 else ""

    def _noMethod(self) -> str:
        if self.methods:
            return ""
        if self.authenticatedWith:
            return "the server accepted a part, and has no method for the rest"
        return "the server lets nobody in who is called so, or nobody at all: it accepts no method"

    def _signatureRefused(self) -> str:
        for key in self._keys(Answer.REFUSED):
            if not key.continued:
                continue
            said = f"the key {key.fingerprint} was accepted and its signature refused"
            return f"{said}: {self._algorithmFault(key) or self._refusedKeyFault(key)}"
        return ""

    def _algorithmFault(self, key: Attempt) -> str:
        """
        What is wrong with the algorithm that a key was offered with, if anything.
        """
        known = self.signatureAlgorithms
        if known and key.algorithm not in known:
            return f"the server takes no {safe(key.algorithm)}; its server-sig-algs are {names(known)}"
        if key.algorithm.startswith(b"ssh-rsa"):
            return f"{safe(key.algorithm)} is RSA with SHA-1, which most servers take no more"
        return ""

    def _refusedKeyFault(self, key: Attempt) -> str:
        judged = self._certificateFault(key)
        if judged:
            return judged
        if key.keyType.startswith(b"sk-"):
            return "the server may want a touch or a PIN with it"
        if self.user == "root":
            # OpenSSH's sshd looks at PermitRootLogin last of all.
            return _ROOT
        return "the private key may not be that of the public one, or what the server allows it excludes this"

    def _signatureMissing(self) -> str:
        keys = self._keys(Answer.DECLINED)
        if not keys:
            return ""
        return f"the key {keys[0].fingerprint} would do, but there was no signature by it"

    def _certificateRefused(self) -> str:
        for key in self._keys(Answer.REFUSED):
            fault = self._certificateFault(key)
            if fault:
                return fault
        return ""

    def _certificateFault(self, key: Attempt) -> str:
        if key.certificate is None:
            return ""
        from conchlite.ssh.certificates import judgeUserCertificate

        name = f"the certificate '{safe(key.certificate.keyID)}'"
        try:
            judgeUserCertificate(key.certificate, [self.user.encode()], self.seconds)
        except CertificateRejected as error:
            return f"{name} was refused, and is wrong: {error}"
        return ""

    def _algorithmRefused(self) -> str:
        for key in self._keys(Answer.REFUSED):
            fault = self._algorithmFault(key)
            if fault:
                return f"the key {key.fingerprint} was refused: {fault}"
        return ""

    def _passwordExpired(self) -> str:
        for attempt in self.attempts:
            if attempt.method == b"password" and attempt.answer in (Answer.DECLINED, Answer.MORE):
                return "the password is right, but the server wants a new one"
        return ""

    def _nothingElse(self) -> str:
        """
        Whatever the server wants now was not tried at all.
        """
        tried = {attempt.method for attempt in self.attempts if attempt.answer is Answer.REFUSED}
        if tried & set(self.methods):
            return ""
        wanted = names(self.methods)
        only = "accepts only" if len(self.methods) == 1 else "accepts"
        if self.authenticatedWith:
            only = "accepted a part and wants more:"
        if not self.answerable:
            return f"the server {only} {wanted}, which this program does not answer"
        declined = {attempt.method for attempt in self.attempts if attempt.answer is Answer.DECLINED}
        if set(self.methods) <= declined:
            return f"the server {only} {wanted}, and its questions were not answered"
        missing = [_MISSING[name] for name in self.methods if name in self.answerable and name in _MISSING]
        reason = ", which was not tried"
        if missing:
            reason = f"; but {', '.join(missing)}" if len(missing) > 1 else f", and {missing[0]}"
        return f"the server {only} {wanted}{reason}"

    def _allRefused(self) -> str:
        said = self._refusedKeys()
        passwords = [a for a in self.attempts if a.method == b"password" and a.answer is Answer.REFUSED]
        if passwords:
            which = "the password was" if len(passwords) == 1 else f"{len(passwords)} passwords were"
            said.append(f"{which} {_WRONG}")
        others = {
            attempt.method
            for attempt in self.attempts
            if attempt.answer is Answer.REFUSED and attempt.method not in (b"publickey", b"password")
        }
        for name in sorted(others):
            if name == b"keyboard-interactive":
                said.append(f"what was answered by keyboard-interactive was {_WRONG}")
            else:
                said.append(f"{safe(name)} was refused")
        if said and self.user == "root" and not self.authenticatedWith and not self.unoffered:
            said.append(_ROOT)
        return "; ".join(said)

    def _refusedKeys(self) -> list[str]:
        count = len(self._keys(Answer.REFUSED))
        if not count:
            return ["no key was offered"] if b"publickey" in self.methods else []
        if self.unoffered:
            refused = "1 key was refused" if count == 1 else f"{count} keys were refused"
            left = f"{len(self.unoffered)} more were"
            if len(self.unoffered) == 1:
                left = f"{self.unoffered[0]} was"
            why = "since a server closes after some (maximumAttempts); name one with --identity"
            return [f"{refused}, and {left} not offered, {why}"]
        which = "the key is not one" if count == 1 else f"none of the {count} keys is one"
        nobody = "" if self.user == "root" or self.authenticatedWith else ", or there is no such user"
        return [f"{which} that the server has for '{self.user}' (authorized_keys){nobody}"]


_WRONG = "refused, as wrong, or because there is no such user"

_MISSING = {
    b"publickey": "no key was offered",
    b"password": "no password was given",
    b"keyboard-interactive": "its questions were not answered",
}


def names(methods: Sequence[bytes]) -> str:
    """
    Names that the server sent, to print.
    """
    return safe(b", ".join(methods), 1024)
