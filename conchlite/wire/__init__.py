"""
Floor 1: bytes and named fields. Standard library only.
"""
