"""Free memory goes back to the operating system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from driftd.process.memory import release_free_memory

MEASURE = """
import os
from driftd.process.memory import release_free_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

texts = [bytes(2000) for _ in range(50_000)]
last = texts[::1000]  # so that the heap cannot simply shrink
del texts
before = resident()
release_free_memory()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="of glibc only")
def test_free_memory_is_returned() -> None:
    """Of 100 MB that are free, most."""
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 50_000_000


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl and macOS have no such call."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    release_free_memory()
