"""Standard streams that were closed before this process began, as `2>&-` and some services leave them.

Python has none for these then, and their numbers go to the next files that are opened: what is written to standard
error would end up in one of them.
"""

from __future__ import annotations

import os
import sys


def open_missing_streams() -> None:
    """Opens the null device for each. To be called before anything else is opened."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
