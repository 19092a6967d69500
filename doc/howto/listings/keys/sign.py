"""
Sign a file as ssh-keygen -Y sign does, or verify who has signed it.

    sign.py KEY FILE | sign.py SIGNERS PRINCIPAL FILE
"""

import sys
import time

from conchlite.error import BadSignature, SignerRejected
from conchlite.ssh import sshsig
from conchlite.ssh.allowedsigners import AllowedSigners
from conchlite.ssh.keys import Key

NAMESPACE = "file"


def sign(keyPath, path):
    """
    Put a signature beside a file.
    """
    key = Key.fromFile(keyPath)
    with open(path, "rb") as stream, open(path + ".sig", "xb") as out:
        out.write(sshsig.sign(key, stream, NAMESPACE))


def verify(signersPath, principal, path):
    """
    Whether C{principal} may sign files and has signed this one.
    """
    with open(path + ".sig", "rb") as stream:
        signature = stream.read()
    try:
        with open(path, "rb") as stream:
            key = sshsig.verify(signature, stream, NAMESPACE)
        AllowedSigners.fromFile(signersPath).check(key, principal, NAMESPACE, time.time())
    except (BadSignature, SignerRejected) as error:
        sys.exit(f"{path}: {error}")
    print(f"{path}: signed by {principal}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.stderr.write("usage: sign.py KEY FILE | sign.py SIGNERS PRINCIPAL FILE\n")
        sys.exit(64)
    (sign if len(sys.argv) == 3 else verify)(*sys.argv[1:])
