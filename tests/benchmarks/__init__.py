"""
Benchmarks: C{python -m tests.benchmarks}. The suite tests their code, and measures nothing.
"""
