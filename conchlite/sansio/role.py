"""
Which end of a connection we are.
"""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """
    The role is a value that the machines are given; they differ in what they
    answer, not in their code.
    """

    CLIENT = "client"
    SERVER = "server"
