"""Lets a test set the clock on the wall of the daemon, which finds this file on its path.

The file that `DRIFTD_TEST_CLOCK` names holds the seconds by which that clock is ahead, or behind if negative. The
monotonic clocks are left alone, as they are when somebody sets the clock of a machine.
"""

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

_FILE = os.environ.get("DRIFTD_TEST_CLOCK")


def _ahead() -> float:
    with contextlib.suppress(OSError, ValueError):
        return float(Path(str(_FILE)).read_text())
    return 0.0


def _follow() -> None:
    import time_machine  # noqa: PLC0415  # only where the clock is to be set

    offset = _ahead()
    clock = time_machine.travel(time.time() + offset, tick=True).start()
    while True:
        time.sleep(0.1)
        if (ahead := _ahead()) != offset:
            clock.shift(ahead - offset)
            offset = ahead


if _FILE and "run" in sys.orig_argv:
    threading.Thread(target=_follow, name="movable clock", daemon=True).start()
