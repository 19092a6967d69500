"""
Floor 5: what a client program wants around a connection: known hosts, configuration, agents.
"""
