"""
ssh2-python, which is libssh2 (C): a session that blocks.
"""

from __future__ import annotations

import socket
import sys

from ssh2 import session as ssh2
from ssh2.channel import Channel
from ssh2.exceptions import SSH2Error

from tests.benchmarks.programs import blockingclient
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, Cannot, main

_CIPHERS = (ssh2.LIBSSH2_METHOD_CRYPT_CS, ssh2.LIBSSH2_METHOD_CRYPT_SC)
_MACS = (ssh2.LIBSSH2_METHOD_MAC_CS, ssh2.LIBSSH2_METHOD_MAC_SC)


class Client(blockingclient.Client):
    def connect(self) -> ssh2.Session:
        connection = socket.create_connection((LOCALHOST, self.job.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = ssh2.Session()
        if self.job.cipher != DEFAULT:
            try:
                for method in _CIPHERS:
                    session.method_pref(method, self.job.cipher)
                for method in _MACS:
                    session.method_pref(method, "hmac-sha2-256-etm@openssh.com")
            except SSH2Error:
                raise Cannot(f"no {self.job.cipher}") from None
        session.handshake(connection)
        session.userauth_publickey_fromfile(self.job.user, self.job.identity)
        return session

    def execute(self, connection: ssh2.Session, command: str) -> Channel:
        channel = connection.open_session()
        channel.execute(command)
        return channel

    def read(self, channel: Channel, most: int) -> int:
        size, _ = channel.read(most)
        return max(size, 0)

    def write(self, channel: Channel, data: bytes) -> None:
        channel.write(data)

    def end(self, channel: Channel) -> None:
        channel.send_eof()

    def succeeded(self, channel: Channel) -> None:
        channel.wait_eof()
        channel.close()
        channel.wait_closed()
        status = channel.get_exit_status()
        if status != 0:
            raise RuntimeError(f"ended with {status}")

    def leave(self, connection: ssh2.Session) -> None:
        connection.disconnect()


if __name__ == "__main__":
    sys.exit(main(blockingclient.actions(Client)))
