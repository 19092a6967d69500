"""
What private keys are encrypted with in their files. These are the ciphers of
the transport, used without packets and without sequence numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from conchlite.error import BadPassphrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext


class FileCipher(NamedTuple):
    """
    @ivar keySize: bytes of key.
    @ivar ivSize: bytes of initial vector.
    @ivar blockSize: what is encrypted is padded to a multiple of this.
    @ivar tagSize: bytes of tag behind it.
    """

    keySize: int
    ivSize: int
    blockSize: int = 16
    tagSize: int = 0


#: By OpenSSH's names: all that C{ssh-keygen -Z} knows.
FILE_CIPHERS = {
    b"aes256-ctr": FileCipher(32, 16),
    b"aes192-ctr": FileCipher(24, 16),
    b"aes128-ctr": FileCipher(16, 16),
    b"aes256-gcm@openssh.com": FileCipher(32, 12, tagSize=16),
    b"aes128-gcm@openssh.com": FileCipher(16, 12, tagSize=16),
    b"chacha20-poly1305@openssh.com": FileCipher(64, 0, 8, 16),
    b"aes256-cbc": FileCipher(32, 16),
    b"aes192-cbc": FileCipher(24, 16),
    b"aes128-cbc": FileCipher(16, 16),
    b"3des-cbc": FileCipher(24, 8, 8),
}

_CHACHA20 = b"chacha20-poly1305@openssh.com"


def encrypt(name: bytes, material: bytes, data: bytes) -> tuple[bytes, bytes]:
    """
    @param name: one of L{FILE_CIPHERS}.
    @param material: key and initial vector, one behind the other.
    @param data: a multiple of the cipher's block.
    @return: the same encrypted, and the tag.
    """
    if name == _CHACHA20:
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        context, polyKey = _chacha20(material)
        encrypted = context.update(data)
        return encrypted, Poly1305.generate_tag(polyKey, encrypted)
    encryptor = _cipher(name, material, b"").encryptor()
    encrypted = encryptor.update(data) + encryptor.finalize()
    tag: bytes = encryptor.tag if FILE_CIPHERS[name].tagSize else b""
    return encrypted, tag


def decrypt(name: bytes, material: bytes, data: bytes, tag: bytes = b"") -> bytes:
    """
    The reverse of L{encrypt}.

    @raise BadPassphrase: the tag is of another key.
    """
    from cryptography.exceptions import InvalidSignature, InvalidTag

    try:
        if name == _CHACHA20:
            from cryptography.hazmat.primitives.poly1305 import Poly1305

            context, polyKey = _chacha20(material)
            Poly1305.verify_tag(polyKey, data, tag)
            return context.update(data)
        decryptor = _cipher(name, material, tag).decryptor()
        return decryptor.update(data) + decryptor.finalize()
    except (InvalidSignature, InvalidTag):
        raise BadPassphrase("wrong passphrase") from None


def _chacha20(material: bytes) -> tuple[CipherContext, bytes]:
    """
    The context that encrypts, and the key of Poly1305: as for a packet
    (OpenSSH PROTOCOL.chacha20poly1305), with the sequence number 0 and without
    packet_length, so that the second half of the key is not used.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    context = Cipher(ChaCha20(material[:32], bytes(16)), None).encryptor()
    return context, context.update(bytes(64))[:32]


def _cipher(name: bytes, material: bytes, tag: bytes) -> Cipher[Any]:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, GCM

    keySize = FILE_CIPHERS[name].keySize
    key, iv = material[:keySize], material[keySize:]
    algorithm, _, mode = name.partition(b"-")
    if algorithm == b"3des":
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

        return Cipher(TripleDES(key), CBC(iv))
    if mode == b"ctr":
        return Cipher(AES(key), CTR(iv))
    if mode == b"cbc":
        return Cipher(AES(key), CBC(iv))
    return Cipher(AES(key), GCM(iv, tag or None))
