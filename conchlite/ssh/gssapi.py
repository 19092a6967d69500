"""
GSS-API as the method C{gssapi-with-mic} sees it, RFC 2743: mechanisms, and the
security contexts that two ends make with one.

The library that does the work is the package C{gssapi}, which the extra of
that name installs, on the system's Kerberos. It reads files and asks servers,
and waits for both, so that its calls run in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from conchlite.error import GSSAPIError, UsageError

#: Kerberos 5, RFC 4121 section 1.1.
KERBEROS = "1.2.840.113554.1.2.2"

# RFC 4462 section 3.2: what negotiates about mechanisms is none, as the method
# does that itself.
_SPNEGO = "1.3.6.1.5.5.2"


class SecurityContext(Protocol):
    """
    One end's view of what the two have agreed on. Every method may block.
    """

    @property
    def isComplete(self) -> bool:
        """
        Whether this end needs no more tokens.
        """

    @property
    def protectsIntegrity(self) -> bool:
        """
        Whether L{sign} and L{verify} can be used; known when it is complete.
        """

    @property
    def principal(self) -> str:
        """
        Who the initiator is, in the mechanism's way of writing; known to the
        acceptor when it is complete.
        """

    @property
    def delegated(self) -> object:
        """
        The credentials that the initiator has delegated to the acceptor, or
        L{None}.
        """

    def step(self, token: bytes | None) -> bytes | None:
        """
        Go on with the other end's token, or begin.

        @return: a token for the other end, if there is one.
        @raise GSSAPIError: it has failed.
        """

    def sign(self, data: bytes) -> bytes:
        """
        @return: a message integrity code.
        @raise GSSAPIError: there is none.
        """

    def verify(self, data: bytes, mic: bytes) -> None:
        """
        @raise GSSAPIError: the code is not the other end's over C{data}.
        """


class Library(Protocol):
    """
    What makes security contexts. Every method may block.
    """

    def initiate(self, mechanism: str, service: str, delegate: bool) -> SecurityContext:
        """
        Begin a context as the initiator, a client.

        @param mechanism: its object identifier, with dots.
        @param service: whom to prove oneself to: C{host@} and a name.
        @param delegate: whether the acceptor gets the initiator's credentials.
        @raise GSSAPIError: it cannot be.
        """

    def accept(self, mechanism: str, service: str | None) -> SecurityContext:
        """
        Begin a context as the acceptor, a server.

        @param service: which one it is; L{None} for any that it has a key of.
        @raise GSSAPIError: it cannot be.
        """


def encodeMechanism(mechanism: str) -> bytes:
    """
    An object identifier as DER has it, RFC 4462 section 3.2.

    @param mechanism: with dots, as L{KERBEROS}.
    @raise UsageError: it is none, or SPNEGO's.
    """
    from pyasn1.codec.der.encoder import encode
    from pyasn1.error import PyAsn1Error
    from pyasn1.type.univ import ObjectIdentifier

    if mechanism == _SPNEGO:
        raise UsageError("SPNEGO is no mechanism for gssapi-with-mic")
    try:
        encoded: bytes = encode(ObjectIdentifier(mechanism))
    except PyAsn1Error:
        raise UsageError(f"'{mechanism}' is no object identifier") from None
    return encoded


def installedLibrary() -> Library | None:
    """
    The library of the extra C{gssapi}, or L{None} where it is not installed.
    """
    try:
        import gssapi  # noqa: F401 - whether it is there
    except (ImportError, OSError):
        # The package is there and the system's library is not: OSError.
        return None
    return InstalledLibrary()


class InstalledLibrary:
    """
    The package C{gssapi} as a L{Library}.
    """

    def initiate(self, mechanism: str, service: str, delegate: bool) -> SecurityContext:
        import gssapi

        flags = [
            gssapi.RequirementFlag.mutual_authentication,
            gssapi.RequirementFlag.integrity,
        ]
        if delegate:
            flags.append(gssapi.RequirementFlag.delegate_to_peer)

        def make() -> Any:
            name = gssapi.Name(service, gssapi.NameType.hostbased_service)
            return gssapi.SecurityContext(name=name, mech=_oid(mechanism), flags=flags, usage="initiate")

        return _InstalledContext(make)

    def accept(self, mechanism: str, service: str | None) -> SecurityContext:
        import gssapi

        def make() -> Any:
            name = None
            if service is not None:
                name = gssapi.Name(service, gssapi.NameType.hostbased_service)
            credentials = gssapi.Credentials(name=name, mechs=[_oid(mechanism)], usage="accept")
            return gssapi.SecurityContext(creds=credentials, usage="accept")

        return _InstalledContext(make)


def _oid(mechanism: str) -> Any:
    import gssapi

    return gssapi.OID.from_int_seq(mechanism)


class _InstalledContext:
    """
    A security context of the package C{gssapi}.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._context = _call(make)
        # A failure comes with its token, and not with the next call.
        self._context.__DEFER_STEP_ERRORS__ = False

    @property
    def isComplete(self) -> bool:
        return bool(self._context.complete)

    @property
    def protectsIntegrity(self) -> bool:
        import gssapi

        return gssapi.RequirementFlag.integrity in self._context.actual_flags

    @property
    def principal(self) -> str:
        return bytes(self._context.initiator_name).decode("utf-8", "backslashreplace")

    @property
    def delegated(self) -> object:
        return self._context.delegated_creds

    def step(self, token: bytes | None) -> bytes | None:
        made: bytes | None = _call(self._context.step, token)
        return made or None

    def sign(self, data: bytes) -> bytes:
        mic: bytes = _call(self._context.get_signature, data)
        return mic

    def verify(self, data: bytes, mic: bytes) -> None:
        _call(self._context.verify_signature, data, mic)


def _call(function: Callable[..., Any], *arguments: object) -> Any:
    """
    Call the package.

    @raise GSSAPIError: for what it raises.
    """
    from gssapi.exceptions import GSSError

    try:
        return function(*arguments)
    except GSSError as error:
        raise GSSAPIError(_reason(error), error.token or b"") from None


def _reason(error: Any) -> str:
    """
    What a mechanism says went wrong, or if it says nothing what GSS-API says.
    """
    said: Sequence[str] = error.get_all_statuses(error.min_code, False) if error.min_code else ()
    return "; ".join(said or error.get_all_statuses(error.maj_code, True))
