"""What other libraries find while they are imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def module_hidden(name: str) -> Iterator[None]:
    """An optional dependency that a library imported inside does not find, unless it is loaded already.

    Source: Python's documentation of `sys.modules`: None makes the import raise ModuleNotFoundError.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def environment_default(name: str, value: str) -> Iterator[None]:
    """An environment variable for a library that reads it while it is imported, unless the user has set it.

    It is removed afterwards, so that no child process inherits it.
    """
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
