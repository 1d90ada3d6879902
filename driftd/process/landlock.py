"""Landlock: which files, TCP ports and processes a thread can reach. Needs no privilege, and cannot be taken back.

Source: landlock(7), and the kernel's `include/uapi/linux/landlock.h`. The kernel counts its abilities as an "ABI": 1
has files, 4 adds TCP, 6 signals and abstract sockets. A thread's restriction is inherited by what it starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from driftd.process import syscalls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The numbers of the system calls, the same on every architecture."""

_VERSION_FLAG, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

READ = _READ_FILE | _READ_DIR
READ_AND_RUN = READ | _EXECUTE
WRITE = ((1 << 15) - 1) & ~_EXECUTE
"""All rights up to ABI 3 but to run something: reading, too."""

_RIGHTS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_BIND_AND_CONNECT, _TCP_ABI = 0b11, 4
_ABSTRACT_SOCKETS_AND_SIGNALS, _SCOPE_ABI = 0b11, 6


@cache
def abi() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return syscalls.call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0  # not compiled in, switched off, or forbidden by the container's seccomp profile


def restrict_thread(rights: Iterable[tuple[Path, int]]) -> None:
    """Takes from the calling thread, and all that it starts, what it may do with files, except the rights given.

    `rights`: files, or folders with all below them, each with `READ`, `READ_AND_RUN` or `WRITE`; a path that does not
    exist is passed over. TCP, abstract sockets and signals to others go too, where the kernel can. The thread has given
    up new privileges before (`syscalls.give_up_new_privileges`). Raises: OSError: the kernel refuses it.
    """
    handled = _RIGHTS_OF_ABI[max(version for version in _RIGHTS_OF_ABI if version <= abi())]
    tcp = _TCP_BIND_AND_CONNECT if abi() >= _TCP_ABI else 0
    scoped = _ABSTRACT_SOCKETS_AND_SIGNALS if abi() >= _SCOPE_ABI else 0
    attributes = b"".join(value.to_bytes(8, sys.byteorder) for value in (handled, tcp, scoped))
    ruleset = syscalls.call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, allowed in rights:
            with suppress(FileNotFoundError):
                _add(ruleset, path, allowed & handled)
        syscalls.call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, path: Path, allowed: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            allowed &= _FILE_RIGHTS
        rule = allowed.to_bytes(8, sys.byteorder) + descriptor.to_bytes(4, sys.byteorder)
        syscalls.call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
