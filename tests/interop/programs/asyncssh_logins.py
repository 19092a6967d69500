"""
AsyncSSH, logging in by what needs no key of the user's, and letting in by it.

C{asyncssh_logins.py server HOST_KEY CLIENT_HOSTS} lets C{answers} in who answers
two rounds, C{expired} who changes his password, and C{host} by his machine.
C{asyncssh_logins.py client PORT USER HOST_KEY} is the other half of it.
"""

import asyncio
import sys

import asyncssh
from contract import LOCALHOST, listening, sayVersion

ROUNDS = [
    ("First", "one", [("Password: ", False)]),
    ("Second", "two", [("A? ", True), ("B? ", False)]),
]
ANSWERS = [["Frost und Tau"], ["a", "b"]]


class Server(asyncssh.SSHServer):
    def __init__(self) -> None:
        self._round = 0
        self._password = "old"

    def begin_auth(self, username: str) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username, lang, submethods):
        self._round = 0
        return self._challenge() if username == "answers" else False

    def _challenge(self):
        title, instruction, prompts = ROUNDS[self._round]
        return title, instruction, "", prompts

    def validate_kbdint_response(self, username, responses):
        if list(responses) != ANSWERS[self._round]:
            return False
        self._round += 1
        return True if self._round == len(ROUNDS) else self._challenge()

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username, password):
        if username == "expired" and password == "old":
            raise asyncssh.PasswordChangeRequired("Another one: ")
        return False

    def change_password(self, username, old_password, new_password):
        return (username, old_password, new_password) == ("expired", "old", "Frost und Tau")

    def validate_host_based_user(self, username, client_host, client_username):
        return (username, client_host, client_username) == ("host", "client.example.org", "me")


async def serve(hostKey: str, clientHosts: str) -> None:
    listener = await asyncssh.create_server(
        Server,
        LOCALHOST,
        0,
        server_host_keys=[hostKey],
        known_client_hosts=clientHosts,
        trust_client_host=True,
        process_factory=lambda process: process.exit(7),
    )
    listening(listener.get_port())
    await listener.wait_closed()


class Client(asyncssh.SSHClient):
    def __init__(self) -> None:
        self._round = 0
        self._password = ["old"]

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        answers = ANSWERS[self._round] if prompts else []
        self._round += bool(prompts)
        return answers

    def password_auth_requested(self):
        return self._password.pop() if self._password else None

    def password_change_requested(self, prompt, lang):
        return "old", "Frost und Tau"


async def connect(port: int, user: str, hostKey: str) -> None:
    connection, _ = await asyncssh.create_connection(
        Client,
        LOCALHOST,
        port,
        config=None,
        username=user,
        known_hosts=None,
        agent_path=None,
        client_keys=None,
        client_host="client.example.org",
        client_username="me",
        client_host_keysign=False,
        client_host_keys=[hostKey] if user == "host" else None,
        gss_host=None,
    )
    async with connection:
        print("in as", user)


if __name__ == "__main__":
    sayVersion(f"AsyncSSH {asyncssh.__version__}")
    role, *rest = sys.argv[1:]
    if role == "server":
        asyncio.run(serve(*rest))
    else:
        try:
            asyncio.run(connect(int(rest[0]), *rest[1:]))
        except (OSError, asyncssh.Error) as error:
            sys.exit(repr(error))
