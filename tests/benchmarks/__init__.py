"""
Benchmarks: C{python -m tests.benchmarks}. They are no part of the test suite.
"""
