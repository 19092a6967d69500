"""
What stands in certificates, OpenSSH's PROTOCOL.certkeys, and what security keys
send, OpenSSH's PROTOCOL.u2f.
"""

from __future__ import annotations

from conchlite.wire.codec import Structure
from conchlite.wire.types import Byte, Secret, String, Strings, UInt32, UInt64

#: What a certificate is for: to log in, or to be a host.
USER = 1
HOST = 2


class CertificateFields(Structure):
    """
    What follows the nonce and the public key in a certificate. All that is in
    front of the signature is signed.
    """

    serial: UInt64
    kind: UInt32
    keyID: String
    principals: String
    validAfter: UInt64
    validBefore: UInt64
    criticalOptions: String
    extensions: String
    reserved: String
    signatureKey: String
    signature: String


class Principals(Structure):
    """
    Whom a certificate is for: as many strings as there are.
    """

    names: Strings


class CertificateOption(Structure):
    """
    One critical option, or one extension: its data is nothing, or a string
    once more.
    """

    name: String
    data: String


class OptionValue(Structure):
    """
    The data of an option that has a value.
    """

    value: String


class SecurityKeySignature(Structure):
    """
    What follows the algorithm's name in a signature that a security key made.
    """

    signature: String
    flags: Byte
    counter: UInt32


class SecurityKeySigned(Structure):
    """
    What a security key puts between the hashes that it signs.
    """

    flags: Byte
    counter: UInt32


class SecurityKeyFields(Structure):
    """
    What follows the public key where the private key of another type would
    stand: the handle by which the device knows the key.
    """

    flags: Byte
    handle: Secret
    reserved: String


class SignedFile(Structure):
    """
    What a signature of a file covers, behind its magic: OpenSSH's
    PROTOCOL.sshsig, "Signed Data".
    """

    namespace: String
    reserved: String
    hashAlgorithm: String
    digest: String


class FileSignature(Structure):
    """
    A signature of a file, behind its magic: PROTOCOL.sshsig, "Blob format".
    """

    version: UInt32
    publicKey: String
    namespace: String
    reserved: String
    hashAlgorithm: String
    signature: String
