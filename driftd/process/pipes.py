"""Pipes to child processes."""

from __future__ import annotations

import fcntl
import io
from contextlib import suppress
from typing import IO

_PIPE_BYTES = 1 << 20
"""The maximum that Linux allows unprivileged users by default (`/proc/sys/fs/pipe-max-size`)."""


def enlarge_pipe(pipe: IO[bytes]) -> IO[bytes]:
    """The same pipe with a larger buffer, in the kernel and in Python.

    A thread that reads beside one that computes runs every 5 ms (Python's switch interval), and the child process would
    wait for that whenever the default of 64 KiB is full.
    """
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # above this user's limit
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    assert isinstance(pipe, io.BufferedReader)  # noqa: S101  # told to the type checker
    return io.BufferedReader(pipe.detach(), _PIPE_BYTES)
