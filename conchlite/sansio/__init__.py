"""
Floor 3: state machines. Bytes in, events out: no Twisted, no cryptography.
"""
