"""
What Paramiko's server and client have in common.
"""

import paramiko
from contract import REKEY_BYTES
from paramiko.packet import Packetizer


def enableAll(transport: paramiko.Transport) -> None:
    """
    Offer whatever there is, what is offered by default first.
    """
    options = transport.get_security_options()
    for family, table in (
        ("ciphers", transport._cipher_info),
        ("digests", transport._mac_info),
        ("kex", transport._kex_info),
        ("compression", transport._compression_info),
    ):
        offered = getattr(options, family)
        others = (name for name in table if name not in offered and not name.startswith("gss-"))
        setattr(options, family, (*offered, *others))


if REKEY_BYTES is not None:
    Packetizer.REKEY_BYTES = REKEY_BYTES
