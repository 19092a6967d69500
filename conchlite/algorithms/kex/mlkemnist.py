"""
C{mlkem768nistp256-sha256} and C{mlkem1024nistp384-sha384}:
draft-ietf-sshm-mlkem-hybrid-kex, with NIST's curves behind ML-KEM.

Apart from L{conchlite.algorithms.kex.mlkem}, whose method everybody uses and
takes no such curve: they take time to import.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey, MLKEM1024PublicKey

from conchlite.algorithms.kex.ecdh import P256, P384
from conchlite.algorithms.kex.hybrid import Hybrid
from conchlite.algorithms.kex.mlkem import MLKEM, MLKEM768

MLKEM1024 = MLKEM(MLKEM1024PrivateKey.generate, MLKEM1024PublicKey.from_public_bytes, 1568, 1568)

MLKEM768NISTP256 = Hybrid(MLKEM768, P256, "sha256")
MLKEM1024NISTP384 = Hybrid(MLKEM1024, P384, "sha384")
