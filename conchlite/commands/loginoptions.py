"""
The options that say how a command logs in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from twisted.python import usage

from conchlite.commands.oneshot import OneShotOptions
from conchlite.error import safe

if TYPE_CHECKING:
    from conchlite.algorithms.catalogue import AlgorithmSet


class LoginOptions(OneShotOptions):
    """
    The options of a command that logs in somewhere.

    @ivar host: where to connect to.
    @ivar port: its port.
    @ivar user: who logs in.
    """

    optFlags: ClassVar[list[list[str | None]]] = [
        [
            "password",
            None,
            "Ask on the terminal for a password, and for whatever else the server wants to know, if no key "
            "is accepted.",
        ],
        ["identities-only", None, "Offer no keys but those of --identity, whatever the agent has."],
        ["require-authentication", None, "Leave a server that lets you in without asking for a proof."],
    ]

    optParameters: ClassVar[list[list[object]]] = [
        ["agent", None, None, "The socket of the agent, or none. [default: $SSH_AUTH_SOCK]"],
        ["connect-timeout", None, "30", "Seconds until the server must have proved who it is."],
        [
            "login-timeout",
            None,
            "0",
            "Seconds until the login must be over; 0 for no limit.",
        ],
    ]

    host = ""
    port = 22
    user = ""

    def __init__(self) -> None:
        super().__init__()
        self["identity"] = []
        self["certificate"] = []
        self["legacy"] = []

    def opt_identity(self, path: str) -> None:
        """
        A file with a private key, or with the public key of one that the agent has; may be given
        again. [default: what the agent has, ~/.ssh/id_ed25519, id_ecdsa, id_rsa]
        """
        self["identity"].append(path)

    opt_i = opt_identity

    def opt_certificate(self, path: str) -> None:
        """
        A file with a certificate of one of the keys; may be given again. [default: for each key the
        file beside it, id_ed25519-cert.pub for id_ed25519]
        """
        self["certificate"].append(path)

    def opt_legacy(self, name: str) -> None:
        """
        Allow an algorithm that is not safe any more, for an old server; may be given again.
        """
        from conchlite.algorithms.catalogue import LEGACY_NAMES

        if name.encode("utf-8", "replace") not in LEGACY_NAMES:
            known = safe(b", ".join(sorted(LEGACY_NAMES)), 2048)
            raise usage.UsageError(f"--legacy: {safe(name)!r} is none of {known}")
        self["legacy"].append(name.encode())

    def postOptions(self) -> None:
        """
        Check what is said in numbers.
        """
        super().postOptions()
        self["connect-timeout"] = self._seconds("connect-timeout", least=0.001)
        self["login-timeout"] = self._seconds("login-timeout", least=0)

    def _seconds(self, name: str, least: float) -> float:
        try:
            seconds = float(self[name])
        except ValueError:
            seconds = -1
        if not least <= seconds < 2**31:
            raise usage.UsageError(f"--{name}: {safe(self[name])!r} is no number of seconds")
        return seconds

    def algorithms(self) -> AlgorithmSet | None:
        """
        What is offered to the server; L{None} for the default.
        """
        from conchlite.algorithms.catalogue import CLIENT_DEFAULT, LEGACY

        if not self["legacy"]:
            return None
        return CLIENT_DEFAULT.replacing(
            **{
                family: getattr(CLIENT_DEFAULT, family)
                + tuple(name for name in getattr(LEGACY, family) if name in self["legacy"])
                for family in ("keyExchanges", "signatures", "ciphers", "macs")
            }
        )
