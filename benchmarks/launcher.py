"""Runs a command to its end and prints its usage as JSON: `launcher.py OUTPUT COMMAND…`.

A separate, small process, because the kernel attributes the memory of the starting process to the program that it
starts. The command's output goes to the file OUTPUT.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    with open(sys.argv[1], "wb") as output:  # noqa: PTH123  # imports are kept to a minimum
        began = time.monotonic()
        process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603  # what this is for
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    figures = {
        "code": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "user": usage.ru_utime,
        "system": usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
    }
    print(json.dumps(figures))


main()
