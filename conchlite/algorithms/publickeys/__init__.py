"""
Public key types: blobs, signatures.
"""
