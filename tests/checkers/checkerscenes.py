"""
What a checker is asked about.
"""

from __future__ import annotations

from twisted.cred.credentials import SSHPrivateKey


def credentials(key, algorithm=None, signature=None, username=b"user", signed=b"signed data"):
    algorithm = algorithm or key.supportedSignatureAlgorithms()[0]
    if signature is None:
        signature = key.sign(b"signed data", algorithm)
    return SSHPrivateKey(username, algorithm, key.blob(), signed, signature)


def lineFor(key, options=b""):
    return options + b" " + key.public().plain().toString("openssh")
