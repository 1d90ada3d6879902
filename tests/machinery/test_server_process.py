"""Servers that are started by tests never outlive them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.server_process import ServerFailed, ServerProcess

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_in(file: Path) -> int:
    deadline = time.monotonic() + 20
    while not file.exists() or not file.read_text().endswith("\n"):
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    return int(file.read_text())


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


def test_a_server_is_killed_with_its_parent(tmp_path: Path) -> None:
    """Even if SIGKILL leaves the parent no time to clean up."""
    script = (
        "import time, pathlib, sys\n"
        "from tests.support.server_process import ServerProcess\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "ServerProcess(['sh', '-c', f'echo $$ > {folder}/pid; exec sleep 600'], folder / 'log')\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, tmp_path], cwd=ROOT)
    try:
        server = pid_in(tmp_path / "pid")
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until_dead(server)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After its grace period."""
    command = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    server = ServerProcess(["sh", "-c", command], tmp_path / "log")
    pid = pid_in(tmp_path / "pid")
    server.stop(grace=0.2)
    assert not alive(pid)
    server.stop()


def test_the_error_of_an_ended_server_has_the_end_of_its_log(tmp_path: Path) -> None:
    """And the program and its exit code."""
    server = ServerProcess(["sh", "-c", "echo out of luck; exit 3"], tmp_path / "log")
    deadline = time.monotonic() + 20
    while server.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(ServerFailed, match=r"sh ended with 3:\nout of luck"):
        server.check()
    server.stop()
