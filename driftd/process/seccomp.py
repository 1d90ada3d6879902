"""seccomp: system calls that a thread, and all that it starts, cannot make. Needs no privilege, and is for ever.

Source: seccomp(2), and the kernel's `include/uapi/linux/{seccomp,filter,audit}.h`.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys
from functools import cache
from typing import NamedTuple

from driftd.process import syscalls

_SET_MODE_FILTER = 1
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
_X32 = 0x40000000
"""From here on, x86-64 has a second set of numbers for the same calls."""


class _Architecture(NamedTuple):
    """The kernel's id of an architecture, its number of seccomp(2), and of the calls in `_FORBIDDEN`, in that order."""

    audit: int
    seccomp: int
    forbidden: tuple[int, ...]


_FORBIDDEN = ("socket", "connect", "io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd")
"""Every way to a socket: making one, by io_uring too, or taking one out of another process of the same user."""

_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 317, (41, 42, 425, 101, 310, 311, 438)),
    "aarch64": _Architecture(0xC00000B7, 277, (198, 203, 425, 117, 270, 271, 438)),
}


@cache
def is_available() -> bool:
    """Whether this kernel, on an architecture that is known here, filters system calls."""
    if not sys.platform.startswith("linux") or platform.machine() not in _ARCHITECTURES:
        return False
    try:
        # Without a filter the kernel can only say that there is none (EFAULT), if it knows the operation at all.
        syscalls.call(_ARCHITECTURES[platform.machine()].seccomp, _SET_MODE_FILTER, 0, None)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False


def forbid_network() -> None:
    """Lets the calling thread, and all that it starts, have no socket: `socket` and the like fail with EACCES.

    The thread has given up new privileges before (`syscalls.give_up_new_privileges`). Raises: OSError.
    """
    import ctypes  # noqa: PLC0415  # slow to import

    architecture = _ARCHITECTURES[platform.machine()]
    code = _program(architecture)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the number of instructions, and a pointer to them
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    syscalls.call(architecture.seccomp, _SET_MODE_FILTER, 0, program)


def _program(architecture: _Architecture) -> bytes:
    """The filter as instructions of classic BPF, each `(code, jump if true, jump if false, constant)`."""
    numbers = architecture.forbidden
    deny = len(numbers) + 1
    instructions = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_IF_EQUAL, 0, deny + 2, architecture.audit),  # 32-bit calls have other numbers
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
        (_JUMP_IF_AT_LEAST, deny, 0, _X32),
        *((_JUMP_IF_EQUAL, deny - index - 1, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL_WITH | errno.EACCES),
    ]
    return b"".join(struct.pack("HBBI", *each) for each in instructions)
