"""Reading the files that a kubeconfig names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_MAX_BYTES = 4 << 20
"""More than any kubeconfig, certificate or token has: a path may lead to a device that never ends."""


def read_file(path: Path) -> bytes:
    """The content. Raises: OSError: it cannot be read, or is larger than 4 MiB. ValueError: this can be no path."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data
