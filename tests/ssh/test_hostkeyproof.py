"""
Host keys that are announced after the login, and proved.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite import limits
from conchlite.algorithms.catalogue import SERVER_DEFAULT
from conchlite.algorithms.publickeys.signatures import verifySignature
from conchlite.error import Disconnected, GlobalRequestFailed, HostKeyReplaced, MalformedMessage, PeerError
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.hostkeyproof import ANNOUNCEMENT, PROOF, Learner, Owner, signedData
from conchlite.ssh.keys import Key
from conchlite.wire.connection import HostKeyProofs, HostKeys
from conchlite.wire.kex import SignatureBlob
from conchlite.wire.types import packString
from tests.ssh.hostkeyscenes import (
    BY_TYPE,
    KEYS,
    SPARE,
    Factory,
    HostKeyTestCase,
    Learning,
    RecordingConnection,
    Signer,
)
from tests.ssh.links import Client, Link


class NegotiatedKeyTests(HostKeyTestCase):
    def test_eachOfTheKeys(self) -> None:
        """
        A server with a key of each type comes with the one that is asked for.
        """
        for key in KEYS:
            for algorithm in set(SERVER_DEFAULT.signatures).intersection(key.supportedSignatureAlgorithms()):
                link = self.link(supportedPublicKeys=[algorithm])
                self.assertEqual([(key.blob(), ANY)], link.client.asked)
                self.assertEqual(algorithm, link.server.negotiated.hostKey)

    def test_keysChange(self) -> None:
        """
        A server may get other keys while clients are there: these stay with
        the one that they have accepted, those who come later get the new one.
        """
        factory = Factory({b"ssh-ed25519": KEYS[0]})
        link = self.link(factory=factory)
        factory.privateKeys = {b"ssh-ed25519": SPARE}
        factory.publicKeys = {b"ssh-ed25519": SPARE.public()}
        link.client.renewKeys()
        link.flush()
        self.assertIsNone(link.client.closeReason)
        later = self.link(factory=factory)
        self.assertEqual([(SPARE.blob(), ANY)], later.client.asked)

    def test_halfAKey(self) -> None:
        """
        A key of which the factory has only one half is not offered.
        """
        factory = Factory()
        factory.publicKeys = {name: key for name, key in factory.publicKeys.items() if name != b"ssh-ed25519"}
        del factory.privateKeys[b"ecdsa-sha2-nistp256"]
        link = self.link(factory=factory)
        self.assertEqual(b"ecdsa-sha2-nistp384", link.client.negotiated.hostKey)
        link.flush()
        (keys,) = link.client.learned
        self.assertEqual([key.blob() for key in KEYS[2:]], [key.blob() for key in keys])


class AnnouncementTests(HostKeyTestCase):
    def test_learned(self) -> None:
        """
        All of the server's keys are announced, proved and handed over; only
        those that the exchange of keys has not proved are asked about.
        """
        link = self.link()
        link.flush()
        (keys,) = link.client.learned
        self.assertEqual([key.blob() for key in KEYS], [key.blob() for key in keys])
        self.assertTrue(all(key.isPublic() for key in keys))
        self.assertEqual([ANNOUNCEMENT], link.client.service.asked)
        self.assertEqual([PROOF], link.server.service.asked)
        self.assertEqual([HostKeys(tuple(key.blob() for key in KEYS[1:])).pack()], link.server.service.data)

    def test_knownAlready(self) -> None:
        """
        Nothing has to be proved where there is only the key of the exchange.
        """
        link = self.link(factory=Factory({b"ssh-ed25519": KEYS[0]}))
        link.flush()
        self.assertEqual([[KEYS[0].public()]], link.client.learned)
        self.assertEqual([], link.server.service.asked)

    def test_nobodyWantsThem(self) -> None:
        """
        A client that does nothing with them does not make anybody work.
        """
        link = self.link(Client())
        link.flush()
        self.assertEqual(([ANNOUNCEMENT], [False]), (link.client.service.asked, link.client.service.answers))
        self.assertEqual([], link.server.service.asked)

    def test_notBeforeTheLogin(self) -> None:
        """
        Who has not logged in is told nothing, and proved nothing.
        """
        link = Link(Learning(), Factory()).secure()
        link.server.setService(RecordingConnection())
        link.flush()
        self.assertIsNone(link.server.globalRequestMethod(PROOF))
        self.assertEqual([], link.client.learned)

    def test_switchedOff(self) -> None:
        """
        C{announceHostKeys}: what is not announced is not proved either.
        """
        link = self.link(server={"announceHostKeys": False})
        link.flush()
        self.assertEqual([], link.client.service.asked)
        self.failureResultOf(self.ask(link, KEYS[1].blob()), GlobalRequestFailed)

    def test_lsh(self) -> None:
        """
        lsh 2.1 refuses the announcement, which asks for no answer: it is told
        nothing.
        """
        client = Client()
        client.ourVersionString = b"SSH-2.0-lsh-2.1 lsh - a GNU ssh"
        link = self.link(client)
        link.flush()
        self.assertEqual([], link.client.service.asked)

    def test_keysInStore(self) -> None:
        """
        A server can announce keys that it is going to use one day.
        """
        keys = {KEYS[0].blob(): KEYS[0], SPARE.blob(): SPARE}
        link = self.link(server={"announcedHostKeys": lambda: keys})
        link.flush()
        self.assertEqual([[KEYS[0].public(), SPARE.public()]], link.client.learned)

    def test_programFails(self) -> None:
        """
        A defect of the program is its own: it is logged, and the connection
        goes on.
        """
        client = Learning()
        client.failure = RuntimeError("no room")
        link = self.link(client)
        link.flush()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertIsNone(link.client.closeReason)

    def test_ownMethod(self) -> None:
        """
        A program written for Conch may take the announcement itself.
        """
        taken = []

        class Connection(SSHConnection):
            def global_hostkeys_00_openssh_com(self, data: bytes) -> int:
                taken.append(HostKeys.unpack(data).hostKeys)
                return 0

        link = self.link()
        link.client.setService(Connection())
        link.flush()
        self.assertEqual([tuple(key.blob() for key in KEYS)], taken)
        self.assertEqual([], link.client.learned)

    def test_connectionEndsFirst(self) -> None:
        """
        The proofs may never come; nobody hears of that twice.
        """
        link = self.link()
        link.serverIO.disconnecting = link.serverIO.disconnected = True
        link.client.dataReceived(link.serverIO.getOutBuffer())
        link.client.loseConnection()
        link.clientIO.abortConnection()
        link.flush()
        self.assertEqual([], link.client.learned)
        self.assertIsInstance(link.client.closeReason.value, Disconnected)


class ProofTests(HostKeyTestCase):
    """
    The server's answers.
    """

    def signatures(self, link: Link, *keys: Key) -> list[bytes]:
        answer = self.successResultOf(self.ask(link, *(key.blob() for key in keys)))
        signatures = HostKeyProofs.unpack(answer).signatures
        for key, signature in zip(keys, signatures, strict=True):
            data = (packString(part) for part in (PROOF, link.server.sessionID, key.blob()))
            self.assertTrue(key.verify(signature, b"".join(data)))
        return [SignatureBlob.unpack(signature).algorithm for signature in signatures]

    def test_order(self) -> None:
        """
        The signatures are in the order of the question.
        """
        link = self.link(Client())
        names = self.signatures(link, KEYS[3], KEYS[0], KEYS[1])
        self.assertEqual([b"ecdsa-sha2-nistp521", b"ssh-ed25519", b"ecdsa-sha2-nistp256"], names)

    def test_rsa(self) -> None:
        """
        An RSA key signs as in the exchange, where that was by RSA; otherwise
        as the client prefers. OpenSSH checks it.
        """
        for offered, expected in (
            ([b"rsa-sha2-256", b"rsa-sha2-512"], b"rsa-sha2-256"),
            ([b"ssh-ed25519", b"rsa-sha2-256"], b"rsa-sha2-256"),
            ([b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256"], b"rsa-sha2-512"),
            ([b"ssh-ed25519", b"ssh-rsa"], b"rsa-sha2-512"),
        ):
            link = self.link(Client(), supportedPublicKeys=offered)
            self.assertEqual([expected], self.signatures(link, KEYS[4]))

    def test_foreignKey(self) -> None:
        """
        Nothing is signed for a key that was not announced, and then nothing at
        all; nor twice for the same key, nor for none.
        """
        link = self.link(Client())
        for blobs in ([SPARE.blob()], [KEYS[1].blob(), SPARE.blob()], [KEYS[1].blob()] * 2, []):
            link = self.link(Client())
            self.failureResultOf(self.ask(link, *blobs), GlobalRequestFailed)
            self.assertEqual([False], link.server.service.answers)

    def test_malformed(self) -> None:
        link = self.link(Client())
        asked = link.client.service.sendGlobalRequest(PROOF, b"\x00\x00\x00\x02a", wantReply=True)
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, MalformedMessage)
        self.failureResultOf(asked, Disconnected)

    def test_askedAgain(self) -> None:
        """
        Each question makes the server work, so there is an end to them.
        """
        link = self.link(Client())
        for _ in range(limits.MAXIMUM_PROOF_REQUESTS):
            self.signatures(link, KEYS[1])
        self.failureResultOf(self.ask(link, KEYS[1].blob()), GlobalRequestFailed)
        self.assertIsNone(link.server.closeReason)

    def test_slowSigner(self) -> None:
        """
        A signer may take its time; the answers stay in order.
        """
        signer = Signer(KEYS[1])
        link = self.link(Client(), Factory({**BY_TYPE, b"ecdsa-sha2-nistp256": signer}))
        signer.held = True
        first = self.ask(link, KEYS[1].blob(), KEYS[0].blob())
        second = self.ask(link, KEYS[0].blob())
        self.assertNoResult(first)
        self.assertNoResult(second)
        signer.waiting[0].callback(None)
        link.flush()
        self.assertEqual(2, len(HostKeyProofs.unpack(self.successResultOf(first)).signatures))
        self.assertEqual(1, len(HostKeyProofs.unpack(self.successResultOf(second)).signatures))

    def test_signerFails(self) -> None:
        """
        The request is refused, and the log says why.
        """
        signer = Signer(KEYS[1])
        link = self.link(Client(), Factory({**BY_TYPE, b"ecdsa-sha2-nistp256": signer}))
        signer.held = True
        asked = self.ask(link, KEYS[1].blob())
        signer.waiting[0].errback(RuntimeError("token removed"))
        link.flush()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.failureResultOf(asked, GlobalRequestFailed)

    def test_connectionEndsFirst(self) -> None:
        signer = Signer(KEYS[1])
        link = self.link(Client(), Factory({**BY_TYPE, b"ecdsa-sha2-nistp256": signer}))
        signer.held = True
        asked = self.ask(link, KEYS[1].blob())
        link.client.loseConnection()
        link.flush()
        self.failureResultOf(asked, Disconnected)
        signer.waiting[0].callback(None)


class HostileServerTests(HostKeyTestCase):
    """
    Row 112: a server that wants its client to take note of keys of others.
    """

    def announce(self, *blobs: bytes, **attributes: object) -> Link:
        """
        Announce these, to a client that has not been told anything yet.
        """
        link = self.link(server={"announceHostKeys": False}, **attributes)
        link.server.service.sendGlobalRequest(ANNOUNCEMENT, HostKeys(blobs).pack())
        return link

    def answer(self, link: Link, answer: object) -> None:
        link.server.service.gotGlobalRequest = lambda name, data: answer
        link.flush()

    def proofs(
        self, link: Link, *keys: Key, sessionID: bytes | None = None, signer: Key | None = None
    ) -> bytes:
        session = sessionID or link.client.sessionID
        return HostKeyProofs(
            tuple((signer or key).sign(signedData(session, key.blob())) for key in keys)
        ).pack()

    def test_wrongProofs(self) -> None:
        """
        Row 112: one proof that is not good, and nothing is learned; the log
        says so.
        """

        def bad(link: Link) -> dict[str, object]:
            good = HostKeyProofs.unpack(self.proofs(link, SPARE, KEYS[1])).signatures
            flipped = good[1][:-1] + bytes((good[1][-1] ^ 1,))
            other = KEYS[4].sign(signedData(link.client.sessionID, KEYS[1].blob()))
            exchange = KEYS[1].sign(link.client.sessionID)
            return {
                "refused": False,
                "no answer": (True, b""),
                "too few": (True, HostKeyProofs(good[:1]).pack()),
                "too many": (True, HostKeyProofs((*good, good[0])).pack()),
                "truncated": (True, HostKeyProofs(good).pack()[:-1]),
                "a flipped bit": (True, HostKeyProofs((good[0], flipped)).pack()),
                "in the wrong order": (True, HostKeyProofs(good[::-1]).pack()),
                "of another session": (True, self.proofs(link, SPARE, KEYS[1], sessionID=b"x" * 32)),
                "by another key": (True, self.proofs(link, SPARE, KEYS[1], signer=KEYS[0])),
                "not a signature": (True, HostKeyProofs((good[0], b"")).pack()),
                "another algorithm": (True, HostKeyProofs((good[0], other)).pack()),
                "of the exchange": (True, HostKeyProofs((good[0], exchange)).pack()),
            }

        for case in bad(self.announce()):
            link = self.announce(KEYS[0].blob(), SPARE.blob(), KEYS[1].blob())
            warned: list[object] = []
            link.client._log = Warned(warned)
            self.answer(link, bad(link)[case])
            self.assertEqual([], link.client.learned, case)
            self.assertEqual(1, len(warned), case)
            self.assertEqual([KEYS[0].blob()], list(link.client._layer.acceptedHostKeys), case)
            self.assertIsNone(link.client.closeReason, case)

    def test_goodProofs(self) -> None:
        """
        Row 112: the same with good ones, so that the test above means something.
        """
        link = self.announce(KEYS[0].blob(), SPARE.blob(), KEYS[1].blob())
        self.answer(link, (True, self.proofs(link, SPARE, KEYS[1])))
        self.assertEqual([[key.public() for key in (KEYS[0], SPARE, KEYS[1])]], link.client.learned)

    def test_sha1(self) -> None:
        """
        Row 112: no proof is by an algorithm that the client does not offer.
        """
        link = self.announce(KEYS[4].blob(), supportedPublicKeys=[b"ssh-ed25519", b"rsa-sha2-256"])
        data = signedData(link.client.sessionID, KEYS[4].blob())
        self.answer(link, (True, HostKeyProofs((KEYS[4].sign(data, b"rsa-sha2-512"),)).pack()))
        self.assertEqual([], link.client.learned)

    def test_tooMany(self) -> None:
        """
        Row 112: 32 keys at the most, and each once: otherwise nothing is asked.
        """
        most = [Key.generate("ed25519").blob() for _ in range(limits.MAXIMUM_HOST_KEYS)]
        for blobs, asked in ((most, 1), ([*most, SPARE.blob()], 0), ([SPARE.blob()] * 2, 0)):
            link = self.announce(*blobs)
            link.flush()
            self.assertEqual(asked, len(link.server.service.asked))
            self.assertEqual([], link.client.learned)
            self.assertIsNone(link.client.closeReason)

    def test_once(self) -> None:
        """
        Row 112: a second announcement is not read.
        """
        link = self.announce(KEYS[0].blob())
        for _ in range(50):
            link.server.service.sendGlobalRequest(ANNOUNCEMENT, HostKeys((SPARE.blob(),)).pack())
        link.flush()
        self.assertEqual([[KEYS[0].public()]], link.client.learned)
        self.assertEqual([], link.server.service.asked)

    def test_malformed(self) -> None:
        """
        Row 112: what is no list of keys breaks the protocol.
        """
        whole = HostKeys((KEYS[0].blob(), KEYS[1].blob())).pack()
        for data in (whole[:-1], whole + b"\0", b"\xff\xff\xff\xff", bytes(4 * limits.MAXIMUM_STRINGS + 4)):
            link = self.link(server={"announceHostKeys": False})
            link.server.service.sendGlobalRequest(ANNOUNCEMENT, data)
            link.flush()
            self.assertEqual(2, link.client.closeReason.value.reason)
            self.assertEqual([], link.client.learned)

    def test_unusable(self) -> None:
        """
        Row 112: keys that cannot be read, certificates, types that are not
        accepted and small keys are left out; the others are learned.
        """
        certificate = packString(b"ssh-ed25519-cert-v01@openssh.com") + packString(b"nonce")
        small = Key.generate("rsa", 1024)
        link = self.announce(
            certificate,
            b"",
            b"\0",
            packString(b"ssh-unheard-of"),
            KEYS[1].blob() + b"\0",
            packString(b"ssh-ed25519") + packString(b"short"),
            packString(b"ssh-rsa") + packString(b"\1\0\1") + packString(b"\x7f" * 4096),
            small.blob(),
            KEYS[2].blob(),
            KEYS[0].blob(),
            supportedPublicKeys=[b"ssh-ed25519", b"rsa-sha2-512", b"ecdsa-sha2-nistp256"],
        )
        link.flush()
        self.assertEqual([[KEYS[0].public()]], link.client.learned)
        self.assertEqual([], link.server.service.asked)

    def test_noneOfUse(self) -> None:
        """
        Row 112: where nothing is left, nothing is said to have been learned:
        a program might think that all it knew is out of use.
        """
        for blobs in ([], [KEYS[4].blob(), b"", packString(b"ssh-unheard-of")]):
            link = self.announce(*blobs, supportedPublicKeys=[b"ssh-ed25519"])
            link.flush()
            self.assertEqual(([], []), (link.client.learned, link.server.service.asked))
            self.assertIsNone(link.client.closeReason)


class AnyBytesTests(SynchronousTestCase):
    """
    Row 112: whatever a server sends, there is a list, or an error that has a
    type.
    """

    strings = st.one_of(
        st.binary(max_size=60),
        st.sampled_from([key.blob() for key in KEYS]),
        st.builds(lambda key, at: key.blob()[:at], st.sampled_from(KEYS), st.integers(0, 80)),
    )
    lists = st.one_of(
        st.binary(max_size=100), st.lists(strings, max_size=6).map(lambda each: HostKeys(tuple(each)).pack())
    )

    @settings(max_examples=80, deadline=None)
    @given(lists, lists)
    def test_anyBytes(self, announcement: bytes, answer: bytes) -> None:
        learner = Learner(b"session", [KEYS[0].blob()], SERVER_DEFAULT.signatures)
        try:
            learner.announced(announcement, 2048)
        except MalformedMessage:
            self.assertEqual([], learner.keys)
        try:
            learner.verify(answer, verifySignature)
        except PeerError:
            return
        self.assertEqual([], learner.unknown)

    @settings(max_examples=80, deadline=None)
    @given(lists)
    def test_anyQuestion(self, question: bytes) -> None:
        owner = Owner({key.blob(): key for key in KEYS[:2]}, b"session", [])
        try:
            answer = owner.prove(question)
        except MalformedMessage:
            return
        if answer is not False:
            agreed, data = self.successResultOf(answer)
            self.assertTrue(agreed)
            self.assertEqual(
                len(HostKeys.unpack(question).hostKeys), len(HostKeyProofs.unpack(data).signatures)
            )


class ReexchangeTests(HostKeyTestCase):
    """
    Row 30: which host key a server may have in a re-exchange.
    """

    def exchange(self, client: Client, beginner: str) -> Link:
        link = self.link(client)
        link.flush()
        # From here on the server has no other key than this one.
        other = [b"ecdsa-sha2-nistp256"]
        link.client.supportedPublicKeys = link.server.supportedPublicKeys = other
        getattr(link, beginner).renewKeys()
        link.flush()
        return link

    def test_proven(self) -> None:
        """
        Row 30: one that it has proved to be its own will do.
        """
        for beginner in ("client", "server"):
            link = self.exchange(Learning(), beginner)
            self.assertIsNone(link.client.closeReason)
            self.assertEqual(b"ecdsa-sha2-nistp256", link.client.negotiated.hostKey)
            self.assertEqual(1, len(link.client.asked))

    def test_onlyAnnounced(self) -> None:
        """
        Row 30: one that was announced and not proved is like any other: reason
        9.
        """
        for beginner in ("client", "server"):
            link = self.exchange(Client(), beginner)
            self.assertIsInstance(link.client.closeReason.value, HostKeyReplaced)
            self.assertEqual([(9, b"host key changed")], link.server.errors)


class Warned:
    """
    A logger of which only warnings are kept.
    """

    def __init__(self, warned: list[object]) -> None:
        self.warn = lambda text, **fields: warned.append(fields)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **fields: None
