"""Who holds a lease: a process among all on all machines, of which it can mostly be told whether it has ended."""

from __future__ import annotations

import os
import subprocess
import sys

from driftd.process.identity import has_ended, process_identity

PRINT = "from driftd.process.identity import process_identity; print(process_identity(), flush=True)"


def test_a_process_has_ended_once_it_has_ended() -> None:
    """Not before; and another one that gets its number later is another one."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"{PRINT}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    identity = child.stdout.readline().strip()
    assert identity != process_identity()
    assert not has_ended(identity)
    child.communicate("\n")
    assert has_ended(identity)
    reused = identity.replace(f"/{child.pid}/", f"/{os.getpid()}/")
    assert has_ended(reused), "this process has that number now, and started at another time"


def test_of_a_process_elsewhere_nobody_can_tell_that_it_has_ended() -> None:
    """Another boot, another namespace, another system, or no identity at all."""
    host, pid, unique = process_identity().split("/")
    boot, namespace, start = unique.split(".")
    for elsewhere in (
        f"{host}/{pid}/other.{namespace}.{start}", f"{host}/{pid}/{boot}.1.{start}", f"{host}/{pid}/", "somebody", ""
    ):  # fmt: skip
        assert not has_ended(elsewhere)
    assert not has_ended(process_identity())
