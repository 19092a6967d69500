"""
What can be fuzzed: a function of bytes for each parser and each reader.

Whatever the bytes are, nothing but L{conchlite.error} may come of them; that is
taken for an answer here, and anything else is not caught. Where something is
parsed, packing it and parsing it again has to give the same.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from binascii import b2a_base64
from collections.abc import Callable, Sequence

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from conchlite.algorithms import catalogue
from conchlite.algorithms.base import Opener, Sealer
from conchlite.algorithms.blobs import plainBlob
from conchlite.algorithms.ciphers.plain import PlainOpener
from conchlite.algorithms.publickeys.signatures import readPublicKey, verifySignature
from conchlite.client.hostentries import parseLine
from conchlite.client.knownhosts import without
from conchlite.error import (
    AgentError,
    CertificateRejected,
    ConchError,
    EncryptedKeyError,
    MalformedMessage,
    PeerError,
    SignerRejected,
)
from conchlite.sansio.packets import PacketReader
from conchlite.sansio.role import Role
from conchlite.sansio.version import VersionReader
from conchlite.ssh import sshsig
from conchlite.ssh.agent import Constraints, KeyRing, SSHAgentClient, SSHAgentServer
from conchlite.ssh.allowedsigners import AllowedSigners
from conchlite.ssh.certificates import judgeHostCertificate, judgeUserCertificate
from conchlite.ssh.keys import Key
from conchlite.ssh.moduli import readModuli
from conchlite.ssh.session import parseRequest_pty_req, parseRequest_window_change
from conchlite.wire import agent, connection, gssapi, kex, transport, userauth
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import Reader, packString, packUInt32
from tests.algorithms.keyvectors import keyText
from tests.fuzz.logins import loginClient, loginServer, watched
from tests.sansio.pairs import End, clearPacket
from tests.ssh.channels import Recorder, joined, openPair

_MAC = b"\x33" * 64

# The keys of an agent.
_KEY = Key.fromString(keyText("ed25519.openssh"))
_OTHER_KEY = Key.fromString(keyText("ecdsa256.openssh"))

_CIPHERS = {
    "aesgcm": (b"aes128-gcm@openssh.com", None),
    "chacha20poly1305": (b"chacha20-poly1305@openssh.com", None),
    "aesctr": (b"aes128-ctr", b"hmac-sha2-256"),
    "aesctretm": (b"aes128-ctr", b"hmac-sha2-256-etm@openssh.com"),
    "aescbc": (b"aes128-cbc", b"hmac-sha2-256"),
    "aescbcetm": (b"aes128-cbc", b"hmac-sha2-256-etm@openssh.com"),
}


def _pieces(data: bytes) -> list[bytes]:
    """
    Cut where the data itself says: its first byte is the size of the pieces.
    """
    size = (data[0] if data else 0) or 1
    return [data[n : n + size] for n in range(1, len(data), size)]


def _read(opener: Opener, pieces: Sequence[bytes]) -> None:
    reader = PacketReader(opener)
    try:
        for piece in pieces:
            reader.feed(piece)
            while reader.next() is not None:
                pass
    except PeerError:
        pass


def readPlain(data: bytes) -> None:
    """
    The reader before NEWKEYS.
    """
    _read(PlainOpener(), _pieces(data))


def _ends(name: str) -> tuple[Sealer, Opener]:
    cipherName, macName = _CIPHERS[name]
    cipher = catalogue.cipher(cipherName)
    mac = None if macName is None else catalogue.mac(macName)
    macKey = b"" if mac is None else _MAC[: mac.keySize]
    key, iv = b"\x11" * cipher.keySize, b"\x22" * cipher.ivSize
    return cipher.sealer(key, iv, mac, macKey), cipher.opener(key, iv, mac, macKey)


def readSealed(name: str, data: bytes) -> None:
    """
    The reader under a cipher: bytes as they come, or, with an even first byte,
    as an authentic packet that says of itself what it likes.
    """
    sealer, opener = _ends(name)
    pieces = _pieces(data)
    if data and not data[0] % 2:
        body = data[1:]
        body += bytes(-(4 - sealer.clearSize + len(body)) % sealer.alignment)
        sealed = sealer.seal(0, packUInt32(len(body)) + body)
        pieces = _pieces(data[:1] + sealed)
    _read(opener, pieces)


def readVersion(data: bytes) -> None:
    """
    The identification line, for a server and for a client.
    """
    for linesBefore in (False, True):
        reader = VersionReader((b"2.0", b"1.99"), linesBefore)
        try:
            for piece in _pieces(data):
                if reader.feed(piece) is not None:
                    break
        except PeerError:
            pass


def _declared(module: object, kind: type[Structure]) -> list[type[Structure]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, kind) and value not in (Message, Structure)
    ]


def parse(declarations: Sequence[type[Structure]], data: bytes) -> None:
    """
    All of the declarations, each by its number.
    """
    if not data:
        return
    declared = declarations[data[0] % len(declarations)]
    try:
        parsed = declared.unpack(data[1:])
    except MalformedMessage:
        return
    assert declared.unpack(parsed.pack()) == parsed
    repr(parsed)


def parseByHand(data: bytes) -> None:
    """
    The parsers of the data path, beside the declarations.
    """
    for byHand, declared in (
        (connection.unpackData, connection.ChannelData),
        (connection.unpackExtendedData, connection.ChannelExtendedData),
        (connection.unpackWindowAdjust, connection.ChannelWindowAdjust),
    ):
        outcomes: list[object] = []
        for unpack in (byHand, lambda body, declared=declared: tuple(vars(declared.unpack(body)).values())):
            try:
                outcomes.append(unpack(data))
            except MalformedMessage:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1], outcomes


def parseTerminal(data: bytes) -> None:
    """
    A terminal's modes and sizes.
    """
    for parser in (parseRequest_pty_req, parseRequest_window_change):
        try:
            parser(data)
        except MalformedMessage:
            pass


def exchange(role: Role, data: bytes) -> None:
    """
    The peer's version and KEXINIT, and the messages behind it, in clear: each
    a byte of length and the payload.
    """
    end = End(role)
    end.start()
    if not data:
        return
    kexInit, _, rest = data[1:].partition(b"\xff\xff")
    payloads = [b"\x14" + kexInit]
    while rest:
        payloads.append(rest[1 : 1 + rest[0]])
        rest = rest[1 + rest[0] :]
    try:
        end.deliver(b"SSH-2.0-x\r\n" + b"".join(map(clearPacket, payloads)))
    except ConchError as error:
        assert isinstance(error, PeerError), error


def converse(data: bytes) -> None:
    """
    The connection service of a server, with a channel that the client has
    opened and one that the server is opening: messages, each with its number,
    a byte of length and what follows the number.
    """
    link = joined()
    openPair(link)
    target = link.server
    target.service.openChannel(Recorder())

    def deliver() -> None:
        rest = data
        while len(rest) > 1:
            size = rest[1]
            target.receive(rest[0], rest[2 : 2 + size])
            rest = rest[2 + size :]
        link.lose()

    watched(deliver)
    assert target.closeReason is not None
    assert isinstance(target.closeReason.value, ConchError), target.closeReason
    assert link.clock.getDelayedCalls() == []


def parsePublicKey(data: bytes) -> None:
    """
    A public key blob.
    """
    try:
        keyType, key = readPublicKey(data)
    except PeerError:
        return
    keyType.size(key)
    keyType.numbers(key)


def parseCertificate(data: bytes) -> None:
    """
    A certificate: who looks for the key in it finds the same as who parses it,
    and it is judged. It begins with a byte for its type.
    """
    types = catalogue.certificateTypes()
    blob = packString(types[(data[0] if data else 0) % len(types)]) + data[1:]
    try:
        certificate = Key.fromString(blob, "blob").certificate
    except ConchError:
        with contextlib.suppress(MalformedMessage):
            plainBlob(blob)
        return
    assert certificate is not None
    assert readPublicKey(certificate.blob)[1] == certificate
    assert plainBlob(certificate.blob) == certificate.plainBlob()
    repr(certificate)
    for judge in (
        lambda: judgeUserCertificate(certificate, certificate.principals, 1_800_000_000, "192.0.2.1"),
        lambda: judgeHostCertificate(certificate, "host.example", 1_800_000_000),
    ):
        with contextlib.suppress(CertificateRejected):
            judge()


def checkSignature(data: bytes) -> None:
    """
    A signature blob by a key blob: a byte for the algorithm, two for the size
    of the key, the key, the signature.
    """
    algorithms = catalogue.CLIENT_DEFAULT.signatures
    if len(data) < 3:
        return
    algorithm = algorithms[data[0] % len(algorithms)]
    size = int.from_bytes(data[1:3], "big")
    try:
        verifySignature(algorithm, data[3 : 3 + size], data[3 + size :], b"data")
    except ConchError:
        pass


def loadKey(formats: Sequence[str], data: bytes) -> None:
    """
    A file with a key, public or private, with a passphrase and without.
    """
    for name in formats:
        keyFile = catalogue.keyFile(name)
        keyFile.recognises(data)
        for passphrase in (None, b"passphrase"):
            try:
                loaded = keyFile.load(data, passphrase)
            except ConchError:
                continue
            Key(loaded.key, loaded.comment).public().blob()


def loadAnyKey(data: bytes) -> None:
    """
    A key whose format nobody says.
    """
    try:
        key = Key.fromString(data)
    except (ConchError, EncryptedKeyError):
        return
    key.fingerprint()
    repr(key)


def verifyFile(data: bytes) -> None:
    """
    A signature of a file, with its armour and without.
    """
    for text in (data, b"-----BEGIN SSH SIGNATURE-----\n%b-----END SSH SIGNATURE-----\n" % b2a_base64(data)):
        try:
            sshsig.verify(text, b"signed by OpenSSH", "conchlite")
        except ConchError:
            pass


def searchSigners(data: bytes) -> None:
    """
    A file of allowed signers.
    """
    signers, key = AllowedSigners(data), _signer()
    for search in (lambda: signers.check(key, "me", "file", 0), lambda: signers.findPrincipals(key, 0)):
        try:
            search()
        except SignerRejected as error:
            assert str(error).isprintable()


@functools.cache
def _signer() -> Key:
    return Key.fromString(keyText("ed25519.pub"))


def parseHosts(data: bytes) -> None:
    """
    A line of known hosts, and a file of them, of which nothing is lost.
    """
    assert without(data, lambda entry: False) == data
    shorter = without(data, lambda entry: entry.matchesHost(b"example.org"))
    assert without(shorter, lambda entry: entry.matchesHost(b"example.org")) == shorter
    try:
        entry = parseLine(data)
    except ConchError:
        return
    for host in (b"example.org", b"[192.0.2.1]:22", b""):
        entry.matchesHost(host)
    assert parseLine(entry.toString()).toString() == entry.toString()


def readGroups(data: bytes) -> None:
    """
    A moduli file.
    """
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        try:
            groups = readModuli(stream.name)
        except ConchError:
            return
    assert all(prime.bit_length() == bits for bits, found in groups.items() for _, prime in found)


def inflate(data: bytes) -> None:
    """
    A stream of compressed payloads, each with its size in two bytes.
    """
    method = catalogue.compression(b"zlib")
    assert method is not None
    inflater = method.inflater()
    try:
        while data:
            size = int.from_bytes(data[:2], "big")
            payload = inflater.inflate(data[2 : 2 + size], 10_000)
            assert len(payload) <= 10_000
            data = data[2 + size :]
    except PeerError:
        pass


def parseExtensions(data: bytes) -> None:
    """
    The body of an EXT_INFO.
    """
    try:
        transport.ExtInfo.unpack(data)
    except MalformedMessage:
        return
    Reader(data).extensions()


def askAgent(data: bytes) -> None:
    """
    An agent that holds keys, with and without constraints: what a client
    sends, with lengths as it likes.
    """
    ring = KeyRing(Clock(), confirm=lambda use: False)
    ring.add(_KEY, "plain")
    ring.add(_OTHER_KEY, "restrained", Constraints(60, confirm=True))
    server = SSHAgentServer(ring)
    server.makeConnection(StringTransport())
    for piece in _pieces(data):
        server.dataReceived(piece)
    server.connectionLost()


def answerForAgent(data: bytes) -> None:
    """
    A client that has asked for all that there is: what an agent answers. Each
    Deferred fires once.
    """
    client = SSHAgentClient()
    client.makeConnection(StringTransport())
    waiting = [
        client.requestIdentities(),
        client.signData(_KEY.blob(), b"data"),
        client.removeAllIdentities(),
        client.queryExtensions(),
        client.requestIdentities(),
    ]
    outcomes: list[object] = []
    for deferred in waiting:
        deferred.addBoth(outcomes.append)
    for piece in _pieces(data):
        client.dataReceived(piece)
    client.connectionLost()
    assert len(outcomes) == len(waiting), outcomes
    for outcome in outcomes:
        assert not isinstance(outcome, Failure) or outcome.check(AgentError), outcome


#: The name on the command line and what is run.
TARGETS: dict[str, Callable[[bytes], None]] = {
    "reader": readPlain,
    **{f"reader-{name}": functools.partial(readSealed, name) for name in _CIPHERS},
    "version": readVersion,
    "exchange-client": functools.partial(exchange, Role.CLIENT),
    "exchange-server": functools.partial(exchange, Role.SERVER),
    "transport": functools.partial(parse, _declared(transport, Structure)),
    "extinfo": parseExtensions,
    "kex": functools.partial(parse, _declared(kex, Structure)),
    "userauth": functools.partial(parse, _declared(userauth, Structure)),
    "gssapi": functools.partial(parse, _declared(gssapi, Structure)),
    "login-client": loginClient,
    "login-server": loginServer,
    "connection": functools.partial(parse, _declared(connection, Structure)),
    "data": parseByHand,
    "channels": converse,
    "agent": functools.partial(parse, _declared(agent, Structure)),
    "agent-client": answerForAgent,
    "agent-server": askAgent,
    "terminal": parseTerminal,
    "compression": inflate,
    "publickey": parsePublicKey,
    "certificate": parseCertificate,
    "signature": checkSignature,
    "keyfile": loadAnyKey,
    "keyfile-openssh": functools.partial(loadKey, ("public_openssh", "private_openssh")),
    "keyfile-pem": functools.partial(loadKey, ("private_pem", "private_pkcs8")),
    "keyfile-lsh": functools.partial(loadKey, ("public_lsh", "private_lsh")),
    "keyfile-putty": functools.partial(loadKey, ("private_putty",)),
    "keyfile-public": functools.partial(loadKey, ("public_rfc4716", "public_pem", "public_pkcs8")),
    "keyfile-blob": functools.partial(loadKey, ("blob", "agentv3", "private_blob")),
    "sshsig": verifyFile,
    "allowedsigners": searchSigners,
    "knownhosts": parseHosts,
    "moduli": readGroups,
}
