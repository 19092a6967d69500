"""
The host key of a server, with the certificate that its authority made for it.
"""

from conchlite.ssh.keys import Key


def hostKeys(keyPath, certificatePath):
    key = Key.fromFile(keyPath).withCertificate(Key.fromFile(certificatePath))
    return {key.sshType(): key}
