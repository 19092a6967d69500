"""
Whom a client trusts: one policy for each kind of program.
"""

from conchlite.client.login import Login
from conchlite.client.policies import AcceptNew, AllOf, Ask, FirstOf, Lookup, Pin, Policy, Strict
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import HostKeyUnknown


# --- Using ---
def backup(reactor, key, policy):
    """
    A command on a host that the policy trusts.
    """
    login = Login(reactor, "backup", "server.example", 22, keys=[key], hostKeys=policy)
    return SSHCommandClientEndpoint.withLogin(login, "uptime")


# --- Strict ---
def strict(knownHosts=None):
    """
    Whom the known hosts have, and nobody else. By default the user's file
    and the machine's; nothing is learned, nobody is asked.
    """
    return Strict(knownHosts)


# --- AcceptNew ---
def acceptNew(knownHosts):
    """
    Whoever answers first for a name is believed, and remembered.
    """
    return AcceptNew(knownHosts)


# --- Ask ---
def ask(ui, knownHosts=None):
    """
    C{ui.prompt(text)} answers by a Deferred of True or False, and
    C{ui.warn(text)} shows something.
    """
    return Ask(ui, knownHosts)


# --- Pin ---
def pin(*fingerprints):
    """
    These keys: what "ssh-keygen -lf key.pub" prints, SHA256 and all.
    """
    return Pin(*fingerprints)


# --- Authority ---
def pinAuthority(fingerprint):
    """
    Whom this authority has certified, without any file.
    """
    return Pin(authorities=[fingerprint])


# --- Lookup ---
def inventory(fetchFingerprint, knownHosts=None):
    """
    Who is not in a file is looked for in the inventory.

    @param fetchFingerprint: takes a host's name, and answers by a Deferred.
    """

    def isListed(key):
        listed = fetchFingerprint(key.host)
        return listed.addCallback(lambda fingerprint: fingerprint == key.fingerprint)

    return Lookup(isListed, knownHosts)


# --- Several ---
def inventoryThenPerson(fetchFingerprint, ui, knownHosts=None):
    """
    Whom neither the files nor the inventory know, a person is asked about.
    """
    return FirstOf(inventory(fetchFingerprint, knownHosts), Ask(ui, knownHosts))


def knownAndListed(fetchFingerprint, knownHosts=None):
    """
    Two have to agree: a file, and the inventory, which is asked about
    everybody because it has no files of its own.
    """
    return AllOf(Strict(knownHosts), inventory(fetchFingerprint, ()))


# --- Rotation ---
def following(knownHosts=None):
    """
    As strict as Strict; and when a known host has new keys, they are learned.
    """
    return Strict(knownHosts, updateHostKeys=True)


# --- Own ---
class OnlyEd25519(Policy):
    """
    A policy of our own: known hosts, and among them no RSA.
    """

    def decide(self, key, known):
        if key.keyType != b"ssh-ed25519":
            raise HostKeyUnknown(f"{key.host} shows no Ed25519 key")
        return super().decide(key, known)
