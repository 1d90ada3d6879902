"""Limits on what a process takes, set by the system."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MIB = 1 << 20
_LEAST_MEMORY = 192 * _MIB
_SHARE_OF_CONTAINER = 3
"""One child, the process that reads its output, and the daemon have to fit into the container's memory together."""

_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What one process may take: `memory` (its own, without what files are mapped to) and `file_size` in bytes,
    `cpu` in seconds of all its threads together (None for no limit), `open_files` at a time."""

    memory: int
    cpu: int | None
    file_size: int
    open_files: int = 256

    def impose(self, pid: int) -> None:
        """Limits a running process, or with 0 this one. Never raises a limit. Without effect where Linux is not."""
        if not hasattr(resource, "prlimit"):
            return
        wanted = {
            resource.RLIMIT_DATA: self.memory,
            resource.RLIMIT_FSIZE: self.file_size,
            resource.RLIMIT_NOFILE: self.open_files,
            resource.RLIMIT_CORE: 0,
        }
        if self.cpu is not None:
            wanted[resource.RLIMIT_CPU] = self.cpu
        with suppress(ProcessLookupError):  # it has ended already
            for kind, limit in wanted.items():
                _, hard = resource.prlimit(pid, kind)
                lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
                resource.prlimit(pid, kind, (lowest, lowest))


def memory_for_a_child(most: int = 1024 * _MIB) -> int:
    """How many bytes of memory one child process may have: `most`, or less where the container has little."""
    container = _container_memory()
    return most if container is None else max(_LEAST_MEMORY, min(most, container // _SHARE_OF_CONTAINER))


def limit_own_memory(most: int = 2048 * _MIB) -> None:
    """Lets this process, and those that are forked from it, have `most` bytes of memory, or less in a small container.

    Beyond it Python raises MemoryError. Programs that are started later may have other limits.
    """
    wanted = memory_for_a_child(most)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@cache
def _container_memory() -> int | None:
    for file in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            return int(file.read_text())
    return None
