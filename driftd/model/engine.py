"""How a verdict is reached. A module of its own, since the command line needs it to start."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """How a verdict is reached."""

    CLIENT = "client"
    SERVER = "server"
