"""
Checkers for the portal of a server: who may log in, and with what.

The parts: L{conchlite.checkers.publickeys} with
L{conchlite.checkers.authorizedkeys} and L{conchlite.checkers.revocation},
L{conchlite.checkers.passwords}, L{conchlite.checkers.hostbased},
L{conchlite.checkers.kerberos}, and L{conchlite.checkers.protocol} for more than
one of them.
"""

from conchlite.checkers.authorizedkeys import (
    AuthorizedKey,
    AuthorizedKeysFiles,
    AuthorizedPrincipal,
    AuthorizedPrincipalsFiles,
    UNIXAuthorizedKeysFiles,
    readAuthorizedKeyFile,
)
from conchlite.checkers.hostbased import HostBasedChecker, InMemoryHostBasedDB, KnownHostsDB
from conchlite.checkers.kerberos import PrincipalChecker
from conchlite.checkers.passwords import (
    InMemoryPasswordDatabase,
    PAMChecker,
    UNIXPasswordDatabase,
    hashPassword,
)
from conchlite.checkers.protocol import SSHProtocolChecker
from conchlite.checkers.publickeys import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.checkers.revocation import RevokedKeys
from conchlite.interfaces import IAuthorizedKeysDB

__all__ = [
    "AuthorizedKey",
    "AuthorizedKeysFiles",
    "AuthorizedPrincipal",
    "AuthorizedPrincipalsFiles",
    "HostBasedChecker",
    "IAuthorizedKeysDB",
    "InMemoryHostBasedDB",
    "InMemoryPasswordDatabase",
    "InMemorySSHKeyDB",
    "KnownHostsDB",
    "PAMChecker",
    "PrincipalChecker",
    "RevokedKeys",
    "SSHProtocolChecker",
    "SSHPublicKeyChecker",
    "UNIXAuthorizedKeysFiles",
    "UNIXPasswordDatabase",
    "hashPassword",
    "readAuthorizedKeyFile",
]
