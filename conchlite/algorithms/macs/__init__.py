"""
Message authentication codes.
"""
