"""
Paramiko's client, asking a session for all that it can ask for.

C{paramiko_sessions.py PORT USER_KEY} logs in as C{alice} and prints what the server's
programs say, and how they end.
"""

import os
import sys

import paramiko
from contract import LOCALHOST, sayVersion


def main(port: str, userKey: str) -> None:
    transport = paramiko.Transport((LOCALHOST, int(port)))
    transport.start_client()
    transport.auth_publickey("alice", paramiko.Ed25519Key.from_private_key_file(userKey))

    channel = transport.open_session()
    channel.get_pty("vt220", width=80, height=24, width_pixels=640, height_pixels=480)
    channel.set_environment_variable("LANG", "C.UTF-8")
    channel.exec_command("talk about it")
    lines = channel.makefile("r")
    for line in lines:
        if line == "ready\n":
            break
        print(line, end="")
    channel.resize_pty(width=132, height=50)
    print(lines.readline(), end="")
    channel.sendall(b"end 7\n")
    print("exit", channel.recv_exit_status())

    data = bytes(range(256)) * 20_000
    channel = transport.open_session()
    channel.invoke_subsystem("echo")
    channel.sendall(data[:100_000])
    channel.shutdown_write()
    echoed = channel.makefile("rb").read()
    print("echo", echoed == data[:100_000], channel.recv_exit_status())

    sys.stdout.flush()
    # Its threads do not matter.
    os._exit(0)


sayVersion(f"Paramiko {paramiko.__version__}")
main(*sys.argv[1:])
