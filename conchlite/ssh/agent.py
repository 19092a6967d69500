"""
Agents, under Conch's names: who holds keys and signs for others, and who asks.

The parts: L{conchlite.ssh.agentclient}, L{conchlite.ssh.agentserver},
L{conchlite.ssh.agentkeyring}, L{conchlite.ssh.agentconstraints}.
"""

from conchlite.ssh.agentclient import SSHAgentClient
from conchlite.ssh.agentconstraints import Constraints, Destination, Hop, HopKey
from conchlite.ssh.agentkeyring import KeyRing, KeyUse
from conchlite.ssh.agentserver import AgentFactory, SSHAgentServer
from conchlite.ssh.agentsocket import AgentSocket
from conchlite.wire.agent import RSA_SHA2_256, RSA_SHA2_512

__all__ = [
    "RSA_SHA2_256",
    "RSA_SHA2_512",
    "AgentFactory",
    "AgentSocket",
    "Constraints",
    "Destination",
    "Hop",
    "HopKey",
    "KeyRing",
    "KeyUse",
    "SSHAgentClient",
    "SSHAgentServer",
]
