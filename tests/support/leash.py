"""Runs a program that must not outlive the process that started it, however that process ends.

`python leash.py [--user=NUMBER] PROGRAM [ARGUMENT…]`: the program, run by that user, is killed once this script's
standard input is closed, which the system does when the parent dies, even by SIGKILL. Ends with the program's own exit
code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main() -> int:
    command, user = sys.argv[1:], None
    if command[0].startswith("--user="):
        user = int(command.pop(0).partition("=")[2])
    program = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, user=user, group=user, extra_groups=None if user is None else []
    )

    def forward(number: int, _frame: FrameType | None) -> None:
        program.send_signal(number)

    def kill_when_orphaned() -> None:
        while os.read(0, 1024):
            pass
        program.kill()

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    threading.Thread(target=kill_when_orphaned, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main())
