"""
C{3des-cbc}: RFC 4253 section 6.3. Legacy.

Apart from L{conchlite.algorithms.ciphers.cbc}, since C{cryptography} keeps
Triple DES among what it means to take out.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

from conchlite.algorithms.ciphers.cbc import CBCCipher

TRIPLE_DES_CBC = CBCCipher(TripleDES, 24, 8)
