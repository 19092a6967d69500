"""
The programs that are measured, each in a process of its own.

A client is run as C{python -m tests.benchmarks.programs.NAME ACTION name=value
...}, with the values that L{tests.benchmarks.programs.job.Job} has, and prints
one line of JSON: C{wall} and C{cpu} in seconds from just before the first
connection, C{peak} in bytes, and what the action has besides. A program that
prints no C{wall} and C{cpu} is measured from outside, with the interpreter's
start, the imports and the end. One that prints C{cannot} cannot do it, and says
why.

A server is run in the same way, with the action C{serve}. It prints one line
with its C{port} once it listens, ends when its standard input does, and then
prints a second one, with C{cpu} and C{peak}.
"""
