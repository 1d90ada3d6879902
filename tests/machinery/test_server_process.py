"""Servers that tests start never outlive them."""

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


def test_a_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to tidy up, and still nothing is left behind."""
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


def test_a_server_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    """After its grace period there is no more asking."""
    command = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    server = ServerProcess(["sh", "-c", command], tmp_path / "log")
    pid = pid_in(tmp_path / "pid")
    server.stop(grace=0.2)
    assert not alive(pid)
    server.stop()


def test_a_server_that_ended_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """The error names the program, its exit code and its last words."""
    server = ServerProcess(["sh", "-c", "echo out of luck; exit 3"], tmp_path / "log")
    deadline = time.monotonic() + 20
    while server.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(ServerFailed, match=r"sh ended with 3:\nout of luck"):
        server.check()
    server.stop()
