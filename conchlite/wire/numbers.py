"""
The numbers of the SSH protocol, as RFC 4250 section 4 assigns them.
"""

# RFC 4250 section 4.1.2: message numbers. 30-49 belong to the running key
# exchange method and 60-79 to the running authentication method, so a number
# there is only ever read beside the method that is running.
MSG_DISCONNECT = 1
MSG_IGNORE = 2
MSG_UNIMPLEMENTED = 3
MSG_DEBUG = 4
MSG_SERVICE_REQUEST = 5
MSG_SERVICE_ACCEPT = 6
MSG_EXT_INFO = 7  # RFC 8308 section 2.3
MSG_KEXINIT = 20
MSG_NEWKEYS = 21

MSG_KEXDH_INIT = 30  # RFC 4253 section 8
MSG_KEXDH_REPLY = 31
MSG_KEX_ECDH_INIT = 30  # RFC 5656 section 4
MSG_KEX_ECDH_REPLY = 31
MSG_KEX_DH_GEX_REQUEST_OLD = 30  # RFC 4419 section 5
MSG_KEX_DH_GEX_GROUP = 31
MSG_KEX_DH_GEX_INIT = 32
MSG_KEX_DH_GEX_REPLY = 33
MSG_KEX_DH_GEX_REQUEST = 34

MSG_USERAUTH_REQUEST = 50
MSG_USERAUTH_FAILURE = 51
MSG_USERAUTH_SUCCESS = 52
MSG_USERAUTH_BANNER = 53
MSG_USERAUTH_PK_OK = 60
MSG_USERAUTH_PASSWD_CHANGEREQ = 60

MSG_GLOBAL_REQUEST = 80
MSG_REQUEST_SUCCESS = 81
MSG_REQUEST_FAILURE = 82
MSG_CHANNEL_OPEN = 90
MSG_CHANNEL_OPEN_CONFIRMATION = 91
MSG_CHANNEL_OPEN_FAILURE = 92
MSG_CHANNEL_WINDOW_ADJUST = 93
MSG_CHANNEL_DATA = 94
MSG_CHANNEL_EXTENDED_DATA = 95
MSG_CHANNEL_EOF = 96
MSG_CHANNEL_CLOSE = 97
MSG_CHANNEL_REQUEST = 98
MSG_CHANNEL_SUCCESS = 99
MSG_CHANNEL_FAILURE = 100

MSG_PING = 192  # OpenSSH PROTOCOL 1.9, in the range of local extensions
MSG_PONG = 193

# RFC 4250 section 4.2.2: reasons in a DISCONNECT.
DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT = 1
DISCONNECT_PROTOCOL_ERROR = 2
DISCONNECT_KEY_EXCHANGE_FAILED = 3
DISCONNECT_RESERVED = 4
DISCONNECT_MAC_ERROR = 5
DISCONNECT_COMPRESSION_ERROR = 6
DISCONNECT_SERVICE_NOT_AVAILABLE = 7
DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED = 8
DISCONNECT_HOST_KEY_NOT_VERIFIABLE = 9
DISCONNECT_CONNECTION_LOST = 10
DISCONNECT_BY_APPLICATION = 11
DISCONNECT_TOO_MANY_CONNECTIONS = 12
DISCONNECT_AUTH_CANCELLED_BY_USER = 13
DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE = 14
DISCONNECT_ILLEGAL_USER_NAME = 15

# RFC 4250 section 4.3.2: reasons in a CHANNEL_OPEN_FAILURE.
OPEN_ADMINISTRATIVELY_PROHIBITED = 1
OPEN_CONNECT_FAILED = 2
OPEN_UNKNOWN_CHANNEL_TYPE = 3
OPEN_RESOURCE_SHORTAGE = 4

# RFC 4250 section 4.4.2: kinds of extended data.
EXTENDED_DATA_STDERR = 1

# RFC 4253 sections 6 and 7, RFC 4251 section 9: the lowest number of each
# protocol above the transport.
FIRST_KEX_METHOD_NUMBER = 30
FIRST_USERAUTH_NUMBER = 50
FIRST_AUTH_METHOD_NUMBER = 60
FIRST_CONNECTION_NUMBER = 80
FIRST_LOCAL_EXTENSION_NUMBER = 192


def messageName(number: int) -> str:
    """
    The RFC's name of a message number, for logs and errors.

    Numbers that belong to a running method are named by their number alone.
    """
    return _NAMES.get(number, f"message {number}")


def disconnectName(reason: int) -> str:
    """
    The RFC's name of a DISCONNECT reason, without its prefix.
    """
    return _REASONS.get(reason, f"reason {reason}")


_NAMES = {
    value: name[len("MSG_") :]
    for name, value in list(globals().items())
    if name.startswith("MSG_") and not (30 <= value < 50 or 60 <= value < 80)
}
_REASONS = {
    value: name[len("DISCONNECT_") :]
    for name, value in list(globals().items())
    if name.startswith("DISCONNECT_")
}
