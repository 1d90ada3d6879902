"""Runs a program that must not outlive the process that started it, however that process ends.

`python leash.py PROGRAM [ARGUMENT…]`: the program is killed once this script's standard input is closed, which the
system does when the parent dies, even by SIGKILL. Ends with the program's own exit code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main() -> int:
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def forward(number: int, _frame: FrameType | None) -> None:
        program.send_signal(number)

    def kill_when_orphaned() -> None:
        while os.read(0, 1024):
            pass
        program.kill()

    signal.signal(signal.SIGTERM, forward)
    threading.Thread(target=kill_when_orphaned, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main())
