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


def test_a_process_can_limit_itself() -> None:
    """Beyond it there is a MemoryError; a lower limit that it had stays."""
    script = (
        "import resource\n"
        "from driftd.process.limits import limit_own_memory\n"
        "limit_own_memory(192 << 20)\n"
        "try:\n    bytearray(512 << 20)\nexcept MemoryError:\n    print('refused')\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 27, 1 << 27))\n"
        "limit_own_memory(192 << 20)\n"
        "print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["refused", "128"]
