"""Files with secrets in them, for a program that takes nothing but a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_file(text: str) -> Iterator[Path]:
    """A file for its owner alone, which is gone afterwards.

    On Linux it is in memory, and so goes with this process, however that ends. Children of other programs open it by
    its path.
    """
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile(prefix="driftd-", mode="w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield Path(file.name)
        return
    descriptor = os.memfd_create("driftd", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)
