"""Reading the files that a user names: a path may lead to a pipe that nobody fills, or to a device without an end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 4 << 20
"""More than any configuration, kubeconfig, certificate or token has."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file. Never waits for somebody else, as for the writer of a pipe.

    Raises: OSError: it cannot be read, is no regular file, or is larger than `max_bytes`; `strerror` says which.
        ValueError: this can be no path.
    """
    with os.fdopen(_open(path), "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes >> 20} MiB", str(path))
    return data


def check_file(path: Path) -> None:
    """Checks that another library or program can read a file. Raises: as `read_file`."""
    os.close(_open(path))


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # else opening a pipe waits for its writer
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    # It is read again whenever something may have changed: the content of a pipe is there once.
    raise OSError(errno.EINVAL, f"it is {kind}, and has to be a regular file", str(path))
