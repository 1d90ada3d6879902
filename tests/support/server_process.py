"""A server that tests need, as a child process with its log."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")
HOST = "127.0.0.1"


class ServerFailed(Exception):
    """A server ended, or did not become ready. The text has the end of its log."""


class ServerProcess:
    """A program that runs until it is stopped, and never longer than this process.

    Its output is appended to `log`. It has a session of its own, so Ctrl-C in a terminal does not reach it.
    `user` is the number of another user (and its group) that runs it, `ending` the signal that asks it to end.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        user: int | None = None,
        ending: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._ending = ending
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", LEASH, *([f"--user={user}"] if user is not None else []), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(log.parent)},
            )

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def check(self) -> None:
        """Raises: ServerFailed: the program has ended."""
        if not self.running:
            raise ServerFailed(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")

    def stop(self, grace: float = 10) -> None:
        """Terminate it, and kill it after `grace` seconds (0: at once). Idempotent."""
        if grace > 0 and self.running:
            self._child.send_signal(self._ending)
            with suppress(subprocess.TimeoutExpired):  # then closing the pipe makes the leash kill it
                self._child.wait(grace)
        if self._child.stdin:
            self._child.stdin.close()
        self._child.wait()

    def tail(self, lines: int = 25) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nothing listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
