"""System calls that Python has no function for. They act on the calling thread."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

_SET_NO_NEW_PRIVS = 38


def call(number: int, *arguments: int | bytes | None) -> int:
    """The result of a system call. `bytes` are passed as a pointer. Raises: OSError."""
    import ctypes  # noqa: PLC0415  # slow to import

    converted = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    result: int = _libc().syscall(ctypes.c_long(number), *converted)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def give_up_new_privileges() -> None:
    """From here on no program that the thread starts has more rights than it, by setuid for one. Raises: OSError."""
    import ctypes  # noqa: PLC0415

    if _libc().prctl(_SET_NO_NEW_PRIVS, *[ctypes.c_ulong(each) for each in (1, 0, 0, 0)]) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _libc() -> Any:
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
