"""Running kustomize and helm: without network, plugins or driftd's environment, and with a time limit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftd.model.errors import RenderError, ToolMissing

_OUTPUT_LIMIT = 128 * 1024 * 1024
_ERROR_LIMIT = 64 * 1024
_DEAD_PROXY = "http://127.0.0.1:9"
_PROXIES = {
    name: _DEAD_PROXY for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())
}


class ToolFailed(Exception):
    """The program failed; the message is its stderr."""


def find(program: str, install_url: str, file: str) -> str:
    """The path of a program that rendering `file` needs; `install_url` documents it. Raises: ToolMissing."""
    path = shutil.which(program)
    if path is None:
        message = f"rendering this needs `{program}`, which is not installed (or not on the PATH): see {install_url}"
        raise ToolMissing(message, file=file)
    return str(Path(path).resolve())


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, file: str) -> bytes:
    """The stdout of a program.

    It does not inherit driftd's environment, which may have tokens in it. Its PATH is empty and its proxy refuses
    connections, so that it can neither clone with git nor download. After `timeout` seconds it is killed with its
    children.

    Raises: ToolFailed: the program failed. RenderError: for `file`: it took too long or wrote too much.
    """
    name = Path(command[0]).name
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603  # a program from the configuration, with driftd's arguments
            command,
            cwd=cwd,
            env={"LANG": "C.UTF-8", "PATH": "/nonexistent", "HOME": str(cwd), **_PROXIES, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            _kill(process)

        deadline = threading.Timer(timeout, stop)
        deadline.start()
        try:
            with process:
                output = process.stdout.read(_OUTPUT_LIMIT + 1) if process.stdout else b""
                if len(output) > _OUTPUT_LIMIT:
                    _kill(process)
        finally:
            deadline.cancel()
        if len(output) > _OUTPUT_LIMIT:
            raise RenderError(f"{name} wrote more than {_OUTPUT_LIMIT >> 20} MiB", file=file)
        if process.returncode == -signal.SIGKILL and timed_out.is_set():
            raise RenderError(f"{name} was stopped: it took longer than {timeout:g} s", file=file)
        if process.returncode != 0:
            errors.seek(0)
            raise ToolFailed(errors.read(_ERROR_LIMIT).decode(errors="replace").strip() or f"{name} failed silently")
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
