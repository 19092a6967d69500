"""
What no client on Twisted and cryptography can do without: a reactor, a
protocol, a cipher, an exchange of keys and signatures; and the program itself.
"""

from __future__ import annotations

import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.internet import protocol, reactor

from tests.benchmarks.programs import job, twistedclient

NEEDED = (AESGCM, Ed25519PrivateKey, X25519PrivateKey, protocol.Protocol, reactor, twistedclient)

if __name__ == "__main__":
    sys.exit(job.main({"imports": lambda job: {}}))
