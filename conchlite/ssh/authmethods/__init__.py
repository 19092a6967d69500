"""
Authentication methods, one module each, client and server halves face to face.
"""
