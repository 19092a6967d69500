"""
Floor 2: the mathematics. Ciphers, MACs, key exchanges, key types, key files.

L{conchlite.algorithms.catalogue} is the one table of what there is; everything
else is imported when it is first used.
"""
