"""
The tests of conchlite; they mirror its packages.
"""
