"""
The names that programs written for Conch import, override, read and call: that
they are there. What they do is tested where it is written.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from conchlite.avatar import ConchUser
from conchlite.checkers import SSHProtocolChecker, UNIXPasswordDatabase
from conchlite.client.agent import SSHAgentClient
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer

#: Modules of twisted.conch, and what is imported from them.
MODULES = {
    "avatar": "ConchUser",
    "checkers": (
        "IAuthorizedKeysDB InMemorySSHKeyDB SSHProtocolChecker SSHPublicKeyChecker UNIXAuthorizedKeysFiles "
        "UNIXPasswordDatabase readAuthorizedKeyFile"
    ),
    "client.agent": "SSHAgentClient",
    "client.knownhosts": "ConsoleUI HashedEntry KnownHostsFile PlainEntry UnparsedEntry",
    "endpoints": "SSHCommandAddress SSHCommandClientEndpoint",
    "error": (
        "ConchError HostKeyChanged IgnoreAuthentication InvalidEntry NotEnoughAuthentication UserRejectedKey "
        "ValidPublicKey"
    ),
    "interfaces": "EnvironmentVariableNotPermitted IConchUser ISession ISessionSetEnv",
    "ssh.agent": "SSHAgentClient SSHAgentServer",
    "ssh.keys": (
        "BadFingerPrintFormat BadKeyError BadSignatureAlgorithmError EncryptedKeyError FingerprintFormats "
        "Key PassphraseNormalizationError"
    ),
    "ssh.userauth": (
        "MSG_USERAUTH_BANNER MSG_USERAUTH_FAILURE MSG_USERAUTH_INFO_REQUEST MSG_USERAUTH_INFO_RESPONSE "
        "MSG_USERAUTH_PASSWD_CHANGEREQ MSG_USERAUTH_PK_OK MSG_USERAUTH_REQUEST MSG_USERAUTH_SUCCESS "
        "SSHUserAuthClient SSHUserAuthServer"
    ),
}

#: What programs override, call and read, of objects as they are made.
MEMBERS = [
    (
        lambda: SSHUserAuthClient(b"user", SSHConnection()),
        "askForAuth auth_keyboard_interactive auth_password auth_publickey authenticatedWith "
        "getGenericAnswers getPassword getPrivateKey getPublicKey instance lastAuth lastPublicKey name "
        "preferredOrder protocolMessages serviceStarted serviceStopped signData ssh_USERAUTH_FAILURE "
        "ssh_USERAUTH_PK_OK ssh_USERAUTH_SUCCESS triedPublicKeys tryAuth user",
    ),
    (
        SSHUserAuthServer,
        "_cbFinishedAuth _ebBadAuth _ebMaybeBadAuth _ebPassword attemptsBeforeDisconnect auth_password "
        "auth_publickey clock interfaceToMethod loginTimeout name nextService passwordDelay serviceStarted "
        "serviceStopped ssh_USERAUTH_REQUEST supportedAuthentications tryAuth user",
    ),
    (
        lambda: Key.generate("ed25519"),
        "_keyObject application blob data fingerprint fromFile fromString isPublic isSecurityKey "
        "privateBlob public sign size sshType supportedSignatureAlgorithms toString type verify",
    ),
    (
        SSHAgentClient,
        "addIdentity blobs getPublicKey getPublicKeys removeAllIdentities removeIdentity requestIdentities "
        "signData",
    ),
    (
        lambda: KnownHostsFile,
        "addHostKey fromPath hasHostKey iterentries save savePath verifyHostKey",
    ),
    (lambda: SSHCommandClientEndpoint, "connect existingConnection newConnection"),
    (
        SSHFactory,
        "buildProtocol getPrimes getPrivateKeys getPublicKeys getService protocol services startFactory",
    ),
    (ConchUser, "channelLookup conn lookupChannel lookupSubsystem subsystemLookup"),
    (SSHProtocolChecker, "areDone checkers credentialInterfaces registerChecker successfulCredentials"),
    (
        SSHConnection,
        "_cbChannelRequest _ebChannelRequest channelClosed channels channelsToRemoteChannel deferreds "
        "localToRemoteChannel ssh_CHANNEL_REQUEST",
    ),
    (
        SSHClientTransport,
        "_KEY_EXCHANGE_NONE _allowedKeyExchangeMessageType _keyExchangeState _unsupportedVersionReceived "
        "buf connectionSecure dataReceived "
        "dispatchMessage instance ourVersionString requestService sendDisconnect sendKexInit sendPacket "
        "verifyHostKey",
    ),
    (SSHServerTransport, "avatar logoutFunction ssh_SERVICE_REQUEST"),
]

#: Parameters that programs give by their names.
PARAMETERS = [
    (Key.fromString, "data type passphrase"),
    (Key.fromFile, "filename type passphrase"),
    (Key.toString, "type extra subtype comment passphrase"),
    (Key.sign, "data signatureType"),
    (Key.fingerprint, "format"),
    (UNIXPasswordDatabase, "getByNameFunctions"),
    (
        SSHCommandClientEndpoint.newConnection,
        "reactor command username hostname port keys password agentEndpoint knownHosts ui",
    ),
    (SSHCommandClientEndpoint.existingConnection, "connection command"),
    (KnownHostsFile.verifyHostKey, "ui hostname ip key"),
]


class ContractTests(SynchronousTestCase):
    def test_modules(self):
        """
        What is imported is where Conch has it.
        """
        for module, names in MODULES.items():
            found = import_module(f"conchlite.{module}")
            missing = [name for name in names.split() if not hasattr(found, name)]
            self.assertEqual(missing, [], module)

    def test_members(self):
        """
        What is overridden, called and read is there.
        """
        for make, names in MEMBERS:
            made = make()
            missing = [name for name in names.split() if not hasattr(made, name)]
            self.assertEqual(missing, [], made)

    def test_parameters(self):
        """
        What is given by its name, or by its place, is taken so.
        """
        for function, names in PARAMETERS:
            taken = [name for name in signature(function).parameters if name != "self"]
            self.assertEqual(taken[: len(names.split())], names.split(), function)

    def test_unsupportedVersion(self):
        """
        A program may say in its own words that it does not speak the peer's
        version; DISCONNECT is said otherwise.
        """

        class Polite(SSHClientTransport):
            def _unsupportedVersionReceived(self, remoteVersion):
                self.transport.write(b"not " + remoteVersion + b"\n")
                self.transport.loseConnection()

        said = []
        for made in (Polite, SSHClientTransport):
            client, tcp = made(), StringTransport()
            client.makeConnection(tcp)
            tcp.clear()
            client.dataReceived(b"SSH-1.5-old\r\n")
            self.assertTrue(tcp.disconnecting)
            said.append(tcp.value())
        self.assertTrue(said[0].startswith(b"not 1.5\n"))
        self.assertTrue(said[1].startswith(b"bad version\r\n"))

    def test_allowedDuringKeyExchange(self):
        """
        What a program may send while keys are exchanged, RFC 4253 section 7.1.
        """
        allowed = SSHClientTransport()._allowedKeyExchangeMessageType
        sent = [number for number in range(256) if allowed(number)]
        self.assertEqual(sent, [1, 2, 3, 4, 21, *range(30, 50)])
