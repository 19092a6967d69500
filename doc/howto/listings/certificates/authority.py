"""
Certifies users' keys for a day, and says whether a certificate is good.
"""

import sys
import time

from conchlite.error import CertificateRejected
from conchlite.ssh.certificates import USER, judgeUserCertificate
from conchlite.ssh.keys import Key

DAY = 24 * 60 * 60


def certify(authorityPath, publicPath, user):
    authority = Key.fromFile(authorityPath)
    certified = authority.signCertificate(
        Key.fromFile(publicPath),
        kind=USER,
        keyID=f"{user}'s laptop",
        principals=[user],
        validAfter=int(time.time()) - 60,
        validBefore=int(time.time()) + DAY,
        criticalOptions={b"source-address": b"192.0.2.0/24,127.0.0.1"},
    )
    return certified.toString("openssh", comment=user)


def check(authorityPath, certificatePath, user, address):
    authority = Key.fromFile(authorityPath).public()
    certificate = Key.fromFile(certificatePath).certificate
    if certificate is None or certificate.signatureKey != authority.blob():
        return "not signed by this authority"
    try:
        judgeUserCertificate(certificate, [user.encode()], time.time(), address)
    except CertificateRejected as rejected:
        return str(rejected)
    return "good"


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "certify":
        print(certify(*arguments).decode())
    else:
        print(check(*arguments))
