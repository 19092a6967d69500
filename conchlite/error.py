"""
Every exception that conchlite raises or fails a Deferred with, in one tree.

L{PeerError} is for what the other side did wrong: the class carries the reason
that its DISCONNECT gets. L{UsageError} is for what our caller did wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from conchlite.client.commandresult import CommandExit
    from conchlite.ssh.authreport import AuthenticationReport


class ConchError(Exception):
    """
    The root of the tree.

    @ivar value: what went wrong; C{bytes} where the text is the peer's own.
    @ivar data: what belongs to it, such as a reason code, or L{None}.
    """

    def __init__(self, value: object = "", data: object = None) -> None:
        super().__init__(value, data)
        self.value = value
        self.data = data

    def __str__(self) -> str:
        return safe(self.value) if isinstance(self.value, bytes) else str(self.value)


def safe(text: bytes | str, limit: int = 256) -> str:
    """
    A peer's text made harmless for a terminal, a log or an exception.

    Control characters, bytes that are no UTF-8 and the characters that turn
    the direction of writing appear as escapes.

    @param limit: the number of characters after which the rest is left out.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit].decode("utf-8", "backslashreplace")
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    shown = "".join(
        c if c.isprintable() and c not in _DIRECTION else c.encode("unicode_escape").decode("ascii")
        for c in text[:limit]
    )
    return shown if len(text) <= limit else shown + "..."


# U+202A to U+202E, U+2066 to U+2069: they make text appear in another order.
_DIRECTION = frozenset(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))


class UsageError(ConchError):
    """
    The program asked for what cannot be done: a defect of the caller.
    """


class PeerError(ConchError):
    """
    The other side broke the protocol.

    @cvar reason: the reason code of the DISCONNECT that answers it, RFC 4253
        section 11.1.
    @cvar answer: the text of that DISCONNECT: one per cause, never the
        exception's own text.
    """

    reason: ClassVar[int] = 2
    answer: ClassVar[str] = "protocol error"


class MalformedMessage(PeerError):
    """
    A message that is truncated, has trailing bytes, or a field out of bounds.
    """

    answer = "malformed message"


class UnexpectedMessage(PeerError):
    """
    A message that the state it came in does not allow.
    """

    answer = "unexpected message"


class StrictKexViolation(UnexpectedMessage):
    """
    A message that strict key exchange forbids (OpenSSH PROTOCOL 1.10).
    """

    answer = "strict key exchange violation"


class BadPacketLength(PeerError):
    """
    A packet_length or padding_length outside the bounds of RFC 4253 section 6.
    """

    answer = "bad packet length"


class BadMAC(PeerError):
    """
    A packet whose authentication code or tag is wrong.
    """

    reason = 5
    answer = "bad MAC"


class BadCompression(PeerError):
    """
    A compressed packet that cannot be inflated, or inflates to too much.
    """

    reason = 6
    answer = "compression error"


class BadVersion(PeerError):
    """
    An identification line that is no SSH 2, too long, or missing. C{data} is the
    version of a line that names another.
    """

    reason = 8
    answer = "bad version"


class KeyExchangeFailed(PeerError):
    """
    A key exchange that cannot be completed: a bad public value, a weak group.
    """

    reason = 3
    answer = "key exchange failed"


class BadSignature(KeyExchangeFailed):
    """
    A signature that does not verify, or is not of the algorithm agreed on.
    """

    answer = "bad signature"


class HostKeyReplaced(PeerError):
    """
    A re-exchange of keys came with another host key than the one accepted.
    """

    reason = 9
    answer = "host key changed"


class StrictKexRequired(KeyExchangeFailed):
    """
    A cipher that is only safe with strict key exchange, and a peer that does
    none (CVE-2023-48795).
    """

    answer = "this cipher needs strict key exchange"


class NoCommonAlgorithm(KeyExchangeFailed):
    """
    The two offers of one kind of algorithm have no member in common.

    @ivar kind: what was negotiated, such as C{"key exchange"}.
    @ivar ours: our offer, most preferred first.
    @ivar theirs: the peer's offer, most preferred first.
    @ivar advice: what would make the two meet, in words; empty if nothing
        that is known here would.
    """

    answer = "no common algorithm"

    def __init__(self, kind: str, ours: Sequence[bytes], theirs: Sequence[bytes], advice: str = "") -> None:
        text = f"no common {kind} algorithm: we offer {_names(ours)}; the peer offers {_names(theirs)}"
        super().__init__(f"{text}. {advice}" if advice else text)
        self.advice = advice
        self.kind = kind
        self.ours = tuple(ours)
        self.theirs = tuple(theirs)


def _names(names: Sequence[bytes]) -> str:
    return safe(b", ".join(names), 1024) or "none"


class KeysWornOut(PeerError):
    """
    Keys that have protected all that they may, and a peer that exchanges no
    new ones (RFC 4344 section 3.1).
    """

    answer = "keys are worn out"


class TooManyRenewals(PeerError):
    """
    A peer that begins one key re-exchange after the other.
    """

    answer = "too many key exchanges"


class FlowControlViolation(PeerError):
    """
    Channel data beyond the window or the packet size, or a window beyond 2^32 - 1.
    """

    answer = "flow control violation"


class UnknownService(PeerError):
    """
    A request for a service that is not here, or not yet.
    """

    reason = 7
    answer = "service not available"


class TooManyAuthenticationFailures(PeerError):
    """
    A client that has failed to authenticate as often as a server allows.
    """

    reason = 14
    answer = "too many authentication failures"


class HostKeyRejected(ConchError):
    """
    C{verifyHostKey} did not accept the server's host key, or a re-exchange
    came with another one.

    @ivar hostKey: the key's blob; empty where nobody looked at it.
    @ivar fingerprint: its fingerprint, C{SHA256:} and base64, likewise.
    @ivar picture: the fingerprint as a picture of several lines, likewise.
    """

    hostKey = b""
    fingerprint = ""
    picture = ""


class Disconnected(ConchError):
    """
    The connection ended by a DISCONNECT, the peer's or our own.

    @ivar reason: the code, RFC 4253 section 11.1.
    @ivar description: the text that came with it, made safe to print.
    @ivar byPeer: whether it was the peer's.
    """

    def __init__(self, reason: int, description: bytes | str, byPeer: bool = False) -> None:
        self.reason = reason
        self.byPeer = byPeer
        self.description = safe(description)
        from conchlite.wire.numbers import disconnectName

        super().__init__(f"disconnected ({disconnectName(reason)}): {self.description}", reason)


class CannotConnect(ConchError):
    """
    A connection did not come to be: no such host, nobody there, no answer in time.
    """


class ConnectionEnded(ConchError):
    """
    The connection ended without a DISCONNECT: TCP closed or broke.
    """


class HandshakeTimedOut(ConchError):
    """
    The first key exchange was not finished in time.
    """


class LoginTimedOut(ConchError):
    """
    The login was not over in time.
    """


class ExchangeTimedOut(ConchError):
    """
    A key re-exchange was not finished in time.
    """


class PeerSilent(ConchError):
    """
    The peer has answered nothing, not even whether it is there.
    """


class AuthenticationFailed(ConchError):
    """
    The login came to nothing: the server accepted none of what was tried, or
    the connection ended meanwhile; then C{data} is the error that it ended with.

    @ivar report: all that is known about it; L{None} if the login had not begun.
    @ivar tried: what was tried, in order, in words: method, and for a key its
        type and fingerprint.
    @ivar methods: the methods that the server would still accept.
    """

    def __init__(
        self,
        value: object,
        tried: Sequence[str] = (),
        methods: Sequence[bytes] = (),
        report: AuthenticationReport | None = None,
        data: object = None,
    ) -> None:
        super().__init__(value, data)
        self.tried = tuple(tried)
        self.methods = tuple(methods)
        self.report = report


class ChannelRequestFailed(ConchError):
    """
    The peer answered a channel request with CHANNEL_FAILURE.
    """


class ChannelClosed(ConchError):
    """
    The channel closed before the answer came.
    """


class LineTooLong(ConchError):
    """
    What is read has no end of a line for too long.
    """


class InputEnded(ConchError):
    """
    What is read has ended before there was enough of it.
    """


class GlobalRequestFailed(ConchError):
    """
    The peer answered a global request with REQUEST_FAILURE.
    """


class ChannelOpenFailed(ConchError):
    """
    The peer refused to open a channel.

    C{value} is the peer's text (C{bytes}) and C{data} the reason code.
    """

    def __str__(self) -> str:
        return f"{super().__str__()} (open failure {self.data})"


class ClientClosed(ConchError):
    """
    A client's connection is closed. C{data} is the error that ended it, if any.
    """


class CommandError(ConchError):
    """
    A command on another host did not do what was wanted of it.

    @ivar result: what is known about it, and what it wrote so far; L{None}
        where that is to be read elsewhere.
    """

    def __init__(self, value: object, result: CommandExit | None = None) -> None:
        super().__init__(value, result)
        self.result = result


class CommandFailed(CommandError):
    """
    The command ended without success: its exit status is not 0, a signal ended
    it, or nobody knows.
    """


class CommandTimedOut(CommandError):
    """
    The command ran for longer than it might.
    """


class OutputTooLarge(CommandError):
    """
    The command wrote more than is kept.
    """


class BadKeyError(ConchError):
    """
    What was given as a key cannot be read as one.
    """


class UnknownKeyFormat(BadKeyError):
    """
    What was given as a key is in no format that is known.
    """


class DamagedKey(BadKeyError):
    """
    A key in a format that is known, which is truncated or damaged.
    """


class ExposedKeyFile(BadKeyError):
    """
    The file of a private key that others than its owner may read.
    """


class EncryptedKeyError(ConchError):
    """
    A private key that is encrypted, and no passphrase was given. It is no
    L{BadKeyError}: there is nothing wrong with the key.
    """


class BadPassphrase(BadKeyError):
    """
    The passphrase does not open the key.
    """


class PassphraseNormalizationError(BadPassphrase):
    """
    The passphrase has a character that Unicode does not define, so that
    nobody can say which bytes it stands for.
    """


class WeakKey(BadKeyError):
    """
    A key smaller than the floor that is in force.
    """


class SignerRejected(ConchError):
    """
    A signature of a file that is good, by a key that may not make it.
    """


class BadSignatureAlgorithmError(ConchError):
    """
    A key was asked for a signature of an algorithm that is not its own.
    """


class BadFingerPrintFormat(ConchError):
    """
    A fingerprint was asked for in a form that does not exist.
    """


class GSSAPIError(ConchError):
    """
    A mechanism of GSS-API failed: no ticket, an expired one, a code that does
    not verify.

    @ivar token: what the mechanism has to say to its other end, or nothing.
    """

    def __init__(self, value: object, token: bytes = b"") -> None:
        super().__init__(value)
        self.token = token


class CommandsConflict(ConchError):
    """
    What a user has logged in with is bound to two commands that differ.
    """


class AccountRefused(ConchError):
    """
    A user is who he says, but there is no account of this machine that the
    server can run anything for.
    """


class NotEnoughAuthentication(ConchError):
    """
    Raised by a checker: the credentials are good, and more are required.
    """


class ValidPublicKey(ConchError):
    """
    Raised by a checker: the public key would do, if it came with a signature.
    """


class IgnoreAuthentication(ConchError):
    """
    Raised by a checker: let the request stay without an answer.
    """


class UserRejectedKey(HostKeyRejected):
    """
    The user, asked about a host key, said no.
    """


class HostKeyUnknown(HostKeyRejected):
    """
    Nothing says that this host has this key: no entry of the known hosts, and
    nobody who was asked.
    """


class HostKeyChanged(HostKeyRejected):
    """
    The known hosts have another key for this host.

    @ivar offendingEntry: the entry that disagrees.
    @ivar path: the file that it is in.
    @ivar lineno: its line, from 1.
    """

    def __init__(self, offendingEntry: object, path: object, lineno: int, value: object = "") -> None:
        super().__init__(value or f"host key changed: {path}, line {lineno}")
        self.offendingEntry = offendingEntry
        self.path = path
        self.lineno = lineno


class CertificateRejected(ConchError):
    """
    A certificate that does not prove what it should: not signed, not valid
    now, not for this user or host, or with a condition that is not met.
    """


class InvalidEntry(ConchError):
    """
    A line of a known hosts file that cannot be read.
    """


class NoAnswer(ConchError):
    """
    Somebody was to be asked: there is no terminal, or no answer came from it.
    """


class ConversationOver(ConchError):
    """
    The user cannot be asked (any more): his client wants something else, or has
    gone, or the request is decided.
    """


class PasswordExpired(ConchError):
    """
    Raised by a checker: the password is right, and has to be changed. With a
    portal that has a checker for L{conchlite.interfaces.IPasswordChange} the
    client is asked for a new one; without, this is a refusal.

    @ivar prompt: what the user is told.
    """

    def __init__(self, prompt: bytes | str = b"Your password has expired. New password: ") -> None:
        super().__init__("the password has expired")
        self.prompt = prompt


class AgentError(ConchError):
    """
    An agent refused, cannot be reached, or broke its protocol.
    """
