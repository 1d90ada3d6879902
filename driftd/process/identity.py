"""Which process this is, among all that share a store, and whether another one has ended."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@cache
def process_identity() -> str:
    """`HOST/PID/BOOT.NAMESPACE.START`: unique among all processes on all machines.

    The last part is empty where the system has no /proc: then nobody can say whether the process has ended.
    """
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{_scope()}{_start_of(pid) or ''}"


def has_ended(identity: str) -> bool:
    """Whether the process of an identity ran on this system and is gone. False where that cannot be told."""
    _, _, rest = identity.partition("/")
    pid, _, unique = rest.partition("/")
    scope = _scope()
    if not scope or not unique.startswith(scope) or not pid.isdigit():
        return False
    return _start_of(int(pid)) != unique.removeprefix(scope)


def _scope() -> str:
    """Equal for two processes that see the same process ids: the boot and the namespace; empty where unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""
    return f"{boot}.{namespace}."


def _start_of(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot. Source: proc(5), field 22 of /proc/PID/stat."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
