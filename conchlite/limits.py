"""
How much of anything a peer may have of us: the limits of the transport.

They are together so that they can be read together; the modules that hold
them to are named with each. What a program may want otherwise is an attribute
of a class instead, with its default here where a peer without a login is
concerned.
"""

from __future__ import annotations

# The identification lines: conchlite.sansio.version.

#: The most bytes of an identification line, its line end included.
MAXIMUM_VERSION_LINE = 255

#: The most bytes of any other line that a server sends before it.
MAXIMUM_OTHER_LINE = 8192

#: The most such lines, and the most bytes in all of them.
MAXIMUM_OTHER_LINES = 1024
MAXIMUM_OTHER_BYTES = 64 * 1024

# Packets: conchlite.sansio.packets.

#: The least that packet_length may be: 12 makes the 16 bytes of RFC 4253
#: section 6. Where the length is not encrypted with the rest, OpenSSH counts
#: without it, and sends 8 with chacha20-poly1305; there it is one block.
MINIMUM_PACKET_LENGTH = 12

#: The most that packet_length may be.
MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION = 35_000
MAXIMUM_PACKET_LENGTH = 262_144

#: The least padding of a packet, RFC 4253 section 6; its length is a byte.
MINIMUM_PADDING = 4

# The data types: conchlite.wire.types.

#: The most bytes that a name-list may have.
MAXIMUM_NAME_LIST_SIZE = 16 * 1024

#: The most names that a name-list may have.
MAXIMUM_NAMES = 256

#: The most extensions that an EXT_INFO may carry.
MAXIMUM_EXTENSIONS = 64

#: The most bytes that an mpint may have: a 16384-bit number and its sign.
MAXIMUM_MPINT_SIZE = 16384 // 8 + 1

#: The most strings that a list of strings may have.
MAXIMUM_STRINGS = 256

# Certificates: conchlite.algorithms.publickeys.certificates.

#: The most critical options that a certificate may have, and the most
#: extensions.
MAXIMUM_CERTIFICATE_OPTIONS = 64

# Conversations with a user: conchlite.ssh.authmethods.keyboardinteractive.

#: The most prompts, or answers, in one round of keyboard-interactive.
MAXIMUM_PROMPTS = 16

#: The most bytes of an answer that a server hands to a checker.
MAXIMUM_ANSWER_SIZE = 1024

#: The most rounds that a server gets answers to in one authentication.
MAXIMUM_ROUNDS = 32

# Authentication by GSS-API: conchlite.wire.gssapi.

#: The most mechanisms that a client may offer in a request.
MAXIMUM_MECHANISMS = 16

# The exchange of keys: conchlite.sansio.transportlayer.

#: The most IGNORE, UNIMPLEMENTED and DEBUG messages that a peer may send
#: between its KEXINIT and its NEWKEYS.
MAXIMUM_NOISE_IN_EXCHANGE = 256

# The host keys of a server: conchlite.ssh.hostkeyproof.

#: The most host keys of which a client takes note.
MAXIMUM_HOST_KEYS = 32

#: How often a client may ask for proofs of them.
MAXIMUM_PROOF_REQUESTS = 4

# How long keys last, and new ones that a peer asks for: conchlite.sansio.rekeying.

#: The most packets under one key, in each direction; new keys are due with
#: half as many.
MAXIMUM_PACKETS_PER_KEY = 2**31

#: The most re-exchanges with little between them that a peer may begin
#: without being counted.
MAXIMUM_FREE_RENEWALS = 3

#: The most of them that it may begin in a minute.
MAXIMUM_RENEWALS_PER_MINUTE = 10

#: How many bytes, in either direction, are not little. (A RekeyLimit of 1M
#: makes OpenSSH 9.2 begin one for each 512 KiB: it adds the bytes of the next
#: packet to the number of blocks.)
RENEWAL_DISTANCE = 256 * 1024

# What waits for a peer: conchlite.ssh.transportbase.

#: The most bytes of answers to a peer that has not answered our KEXINIT.
MAXIMUM_HELD_ANSWERS = 256 * 1024

#: The most bytes of answers to a peer that asks on and does not read them.
MAXIMUM_UNREAD_ANSWERS = 256 * 1024

#: How many bytes of a peer may wait, while a Deferred decides, before TCP is
#: paused.
MAXIMUM_WAITING = 16 * 1024

# Connections without a login: conchlite.ssh.admission, conchlite.ssh.lograte.

#: Of connections that have not logged in: from which number on new ones are
#: closed, which percentage of them then, and from which number on all.
STARTUPS = (10, 30, 100)

#: The most of these of one address that exchange keys at a time.
HANDSHAKES_PER_ADDRESS = 4

#: The most bytes that a peer may send until the login is done.
MAXIMUM_UNAUTHENTICATED_BYTES = 1024 * 1024

#: The most lines in the log about the connections of one address, per second.
MAXIMUM_LOG_LINES = 20

# Time, in seconds: the defaults of the transport's attributes.

#: What the first exchange of keys may take, versions included.
HANDSHAKE_SECONDS = 30

#: What a client has from its connection to the end of its login.
LOGIN_SECONDS = 120

#: How often a client may ask for the service of its login.
MAXIMUM_SERVICE_REQUESTS = 64

#: What a re-exchange of keys may take, for a user who has logged in. Megabytes
#: of data may be on their way in front of our KEXINIT, and the peer, once it
#: has sent its own, may not say that it is there. Held messages are bounded.
EXCHANGE_SECONDS = 300

#: What a peer has to take a DISCONNECT and close, before we abort.
CLOSE_SECONDS = 2

# Agents: conchlite.wire.agent, conchlite.ssh.agentframes, conchlite.ssh.agentconstraints.

#: The most bytes of a message from or to an agent.
MAXIMUM_AGENT_FRAME = 256 * 1024

#: The most keys that an agent may list, or hold.
MAXIMUM_AGENT_IDENTITIES = 2048

#: The most destinations, and the most certificates, in the constraints of a
#: key; and the most connections that one connection to an agent is bound to:
#: what OpenSSH's ssh-agent takes.
MAXIMUM_AGENT_CONSTRAINTS = 1024
MAXIMUM_AGENT_BINDINGS = 16

# The work of making a key of a passphrase: conchlite.algorithms.loading.Effort.

#: The most rounds of bcrypt that a key file may ask for: up to ten seconds.
MAXIMUM_BCRYPT_ROUNDS = 1024

#: The most iterations of PBKDF2: a second or two.
MAXIMUM_PBKDF2_ITERATIONS = 2_000_000

#: The most work (N * r * p) of scrypt: some seconds, and 256 MiB.
MAXIMUM_SCRYPT_WORK = 2**21

#: The most memory of Argon2, in KiB, and the most work: that times the passes,
#: and 128 more for each lane but the first.
MAXIMUM_ARGON2_MEMORY = 256 * 1024
MAXIMUM_ARGON2_WORK = 4 * 1024 * 1024

# The server's files of keys: conchlite.checkers.authorizedkeys, conchlite.checkers.revocation.

#: The most bytes of a user's authorized_keys, and of a list of revoked keys.
MAXIMUM_AUTHORIZED_KEYS_SIZE = 4 * 1024 * 1024
