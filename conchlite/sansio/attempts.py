"""
What a client tried in order to log in, and what became of it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from conchlite.error import safe

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate


class Answer(Enum):
    """
    What the server said to an attempt.
    """

    NONE = "no answer"
    REFUSED = "refused"
    PARTIAL = "accepted as a part"
    ACCEPTED = "accepted"
    MORE = "the server asked for more"
    DECLINED = "the server asked for more, which there was not"


class Attempt(NamedTuple):
    """
    One attempt to log in.

    @ivar method: the method.
    @ivar what: what was tried, in words, where the method's name does not say
        it.
    @ivar keyType: a key's type, as it is on the wire; empty for what is no key.
    @ivar fingerprint: its SHA-256 fingerprint; of a certificate, the key's.
    @ivar algorithm: what it was to sign with.
    @ivar source: where it came from: C{"file ..."}, C{"agent ..."}, C{"program"}.
    @ivar certificate: the certificate, if it was one.
    @ivar continued: whether the server asked for more, and got it: for a key
        this means that it was accepted and a signature sent.
    @ivar answer: what the server said in the end.
    @ivar isSigned: whether the request came with the key's signature.
    """

    method: bytes
    what: str = ""
    keyType: bytes = b""
    fingerprint: str = ""
    algorithm: bytes = b""
    source: str = ""
    certificate: Certificate | None = None
    continued: bool = False
    answer: Answer = Answer.NONE
    isSigned: bool = False

    @property
    def words(self) -> str:
        """
        What was tried, without what became of it.
        """
        said = self.what or safe(self.method)
        if self.keyType:
            said += f" {safe(self.keyType)} {self.fingerprint}"
        if self.algorithm not in (b"", self.keyType):
            said += f" ({safe(self.algorithm)})"
        return said

    def __str__(self) -> str:
        said = self.words
        if self.certificate is not None:
            said += f", certificate '{safe(self.certificate.keyID)}'"
        if self.source:
            said += f", from {self.source}"
        return f"{said} [{self.outcome}]"

    @property
    def outcome(self) -> str:
        """
        What became of it, in words.
        """
        if self.keyType and self.continued and self.answer is Answer.REFUSED:
            return "the key was accepted, its signature refused"
        if self.keyType and self.answer is Answer.DECLINED:
            return "the key was accepted, and there was no signature"
        return self.answer.value
