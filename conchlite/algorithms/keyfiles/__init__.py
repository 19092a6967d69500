"""
Formats that keys are kept in.
"""
