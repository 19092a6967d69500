"""
conchlite: SSH for Twisted programs, client and server.

The floors, from the ground up: L{conchlite.wire}, L{conchlite.algorithms},
L{conchlite.sansio}, L{conchlite.ssh}, then the conveniences. A floor imports
only what lies below it.
"""

__version__ = "0.1.0"
