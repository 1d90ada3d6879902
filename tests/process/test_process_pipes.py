"""A child process can write ahead of its reader."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from driftd.process.pipes import enlarge_pipe

WRITER = [sys.executable, "-c", "import os; os.write(1, b'x' * 500_000); os.write(2, b'done')"]


def test_a_child_is_not_kept_waiting_by_half_a_megabyte() -> None:
    """It ends before anything is read, and all of it arrives."""
    process = subprocess.Popen(WRITER, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    out = enlarge_pipe(process.stdout)
    with out, process.stderr:
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            assert process.wait(timeout=30) == 0
        assert out.read() == b"x" * 500_000
    process.wait(timeout=30)


def test_a_pipe_that_cannot_grow_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator may allow less, and other systems have no such call."""
    monkeypatch.setattr("driftd.process.pipes._PIPE_BYTES", 2**31)
    read, write = os.pipe()
    with os.fdopen(write, "wb") as writer:
        writer.write(b"text")
    monkeypatch.setattr("driftd.process.pipes.fcntl.F_SETPIPE_SZ", 0, raising=False)
    with enlarge_pipe(os.fdopen(read, "rb")) as pipe:
        assert pipe.read() == b"text"
