"""
Floor 4: Twisted protocols and services, under the names that Conch gave them.
"""
