"""
Ciphers. Each direction of a connection is one sealer or one opener, MAC included.
"""
