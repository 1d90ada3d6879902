"""Groups of processes: a program and what it starts end together."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def kill_group(leader: int) -> None:
    """Kills a process that leads a group, with the whole group. Does not wait for it."""
    with suppress(ProcessLookupError, PermissionError):  # ended already; on macOS only zombies are left of it
        os.killpg(leader, signal.SIGKILL)
