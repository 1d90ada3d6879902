"""A process ends at once, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit, sys
from driftd.process.exit import exit_immediately

class Object:
    def __del__(self): print("freed")

kept = Object()
atexit.register(print, "exit function")
sys.stdout.write("no line break")
sys.stderr.write("an error")
exit_immediately(3)
"""


def test_exit_functions_run_and_output_is_flushed_but_objects_are_not_freed() -> None:
    """With the exit code that was asked for."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert done.stdout == "no line breakexit function\n"
    assert done.stderr == "an error"
