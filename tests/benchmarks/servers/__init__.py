"""
The servers that are measured, as the programs of L{tests.benchmarks.programs}:
OpenSSH's client is their user.

The commands are those that a shell would run. sshd has a shell run them; the
others, which are libraries, do the same within their own process, as a server
that is made with them would.
"""
