"""
Make a key pair, as ssh-keygen does, and show what it is known by.

    make.py PATH [PASSPHRASE]
"""

import sys
from pathlib import Path

from conchlite.ssh.keys import Key, hostKeyFingerprint


def make(path, passphrase):
    """
    Write the private key to C{path}, the public one beside it.
    """
    key = Key.generate("ed25519")
    key.toFile(path, comment="made by make.py", passphrase=passphrase)
    public = key.public()
    public.toFile(Path(f"{path}.pub"), comment="made by make.py")
    print(hostKeyFingerprint(public.blob()).sha256)
    print(public.randomart())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.stderr.write("usage: make.py PATH [PASSPHRASE]\n")
        sys.exit(64)
    make(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
