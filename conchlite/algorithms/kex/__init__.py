"""
Key exchange methods.
"""
