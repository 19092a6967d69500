"""
Public key types: blobs, signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # For annotations alone: to name the classes would be to import them.
    from typing import TypeAlias

    from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey, DSAPublicKey
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    from conchlite.algorithms.publickeys.certificates import Certificate
    from conchlite.algorithms.publickeys.securitykeys import SecurityKeyHandle, SecurityPublicKey

    PublicKey: TypeAlias = (
        Ed25519PublicKey
        | EllipticCurvePublicKey
        | RSAPublicKey
        | Ed448PublicKey
        | DSAPublicKey
        | SecurityPublicKey
        | Certificate
    )
    PrivateKey: TypeAlias = (
        Ed25519PrivateKey
        | EllipticCurvePrivateKey
        | RSAPrivateKey
        | Ed448PrivateKey
        | DSAPrivateKey
        | SecurityKeyHandle
    )
