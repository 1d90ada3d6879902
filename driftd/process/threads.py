"""How threads share the interpreter."""

from __future__ import annotations

import sys


def set_switch_interval(seconds: float) -> None:
    """Sets how long a thread may compute while others wait for the interpreter. Python's default is 5 ms."""
    sys.setswitchinterval(seconds)
