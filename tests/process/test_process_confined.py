"""A program that reads what strangers wrote has no network, few files, and limited resources."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from driftd.process import confined, landlock, seccomp
from driftd.process.confined import Box, Guarantees
from driftd.process.limits import ResourceLimits

LIMITS = ResourceLimits(memory=256 << 20, cpu=20, file_size=1 << 20)

pytestmark = pytest.mark.usefixtures("confinement")


def run(folder: Path, code: str, limits: ResourceLimits = LIMITS) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a Python program in a box that reads `folder` and writes `folder/own`."""
    own = folder / "own"
    own.mkdir(exist_ok=True)
    python = Path(sys.executable).resolve()
    box = Box((folder, Path(sys.base_prefix)), (own,), limits)
    with tempfile.TemporaryFile() as errors:
        process = confined.start([str(python), "-I", "-S", "-c", code], box, cwd=own, env={}, stderr=errors)
        output, _ = process.communicate()
        errors.seek(0)
        return process.returncode, output.decode(), errors.read().decode()


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"])
def test_a_confined_program_has_no_socket_of_any_family(tmp_path: Path, family: str) -> None:
    code, _, errors = run(tmp_path, f"import socket; socket.socket(socket.{family})")
    assert code == 1
    assert "PermissionError" in errors


def test_a_confined_program_reads_its_folders_and_nothing_else(tmp_path: Path) -> None:
    """The rest of the machine is not there for it, by links and through /proc either."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "repository/file").write_text("text")
    (tmp_path / "repository/link").symlink_to(tmp_path / "secret")
    for path in (tmp_path / "secret", "/etc/passwd", "/proc/self/environ", "link"):
        code, output, _ = run(tmp_path / "repository", f"import os; os.chdir('..'); print(open({str(path)!r}).read())")
        assert (code, output) == (1, "")
    assert run(tmp_path / "repository", "print(open('../file').read())")[1] == "text\n"


def test_a_confined_program_writes_in_its_own_folder_only(tmp_path: Path) -> None:
    assert run(tmp_path, "open('mine', 'w').write('x')")[0] == 0
    assert (tmp_path / "own/mine").read_text() == "x"
    assert "PermissionError" in run(tmp_path, "open('../not-mine', 'w')")[2]


def test_a_program_of_the_repository_cannot_be_run(tmp_path: Path) -> None:
    """What can be read cannot be started, and neither can what the program has written itself."""
    start = "import os, shutil; shutil.copyfile('../evil', 'evil'); os.chmod('evil', 0o755); "
    (tmp_path / "evil").write_text("#!/bin/sh\necho run\n")
    (tmp_path / "evil").chmod(0o755)
    for path in ("../evil", "./evil"):
        _, output, errors = run(tmp_path, f"{start}os.execv({path!r}, [{path!r}])")
        assert output == ""
        assert "PermissionError" in errors


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = bytearray(512 << 20)", "MemoryError"),
        ("f = open('big', 'wb'); f.write(bytes(2 << 20)); f.flush()", "File too large"),
        ("fs = [open('/dev/null') for _ in range(1000)]", "Too many open files"),
    ],
)
def test_a_confined_program_takes_no_more_than_its_share(tmp_path: Path, code: str, says: str) -> None:
    assert says in run(tmp_path, code)[2]


def test_a_confined_program_ends_when_its_cpu_time_is_over(tmp_path: Path) -> None:
    """Nobody has to be there to kill it."""
    code, _, _ = run(tmp_path, "while True: pass", ResourceLimits(memory=256 << 20, cpu=1, file_size=1 << 20))
    assert code < 0


def test_the_process_that_starts_it_stays_free(tmp_path: Path) -> None:
    """Only the program is confined: this thread, and those that start later, have network and files as before."""
    run(tmp_path, "pass")
    seen: list[str] = []

    def use_the_machine() -> None:
        socket.socket().close()
        seen.append(Path("/etc/passwd").read_text())

    use_the_machine()
    thread = threading.Thread(target=use_the_machine)
    thread.start()
    thread.join()
    assert len(seen) == 2
    subprocess.run([sys.executable, "-I", "-c", "import socket; socket.socket()"], check=True)


def test_work_in_a_box_of_its_own_leaves_this_process_free(tmp_path: Path) -> None:
    """Its result and its errors are handed over; the thread that asked for it reads and connects as before."""
    (tmp_path / "file").write_text("text")
    box = Box((tmp_path,), (), LIMITS)
    assert confined.run_in_box((tmp_path / "file").read_text, box) == "text"
    with pytest.raises(PermissionError):
        confined.run_in_box(Path("/etc/passwd").read_text, box)
    with pytest.raises(PermissionError):
        confined.run_in_box(socket.socket, box)
    assert Path("/etc/passwd").read_text()
    socket.socket().close()


def test_a_program_that_does_not_exist_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as errors, pytest.raises(FileNotFoundError):
        confined.start(["/no/such/program"], Box((), (), LIMITS), cwd=tmp_path, env={}, stderr=errors)


@pytest.mark.parametrize(
    ("can", "text"),
    [
        (Guarantees(files=True, sockets=True), "no network, and no files but their own"),
        (Guarantees(files=True, sockets=False), "no files but their own"),
        (Guarantees(files=False, sockets=True), "no network"),
        (Guarantees(files=False, sockets=False), "nothing is enforced by the kernel"),
    ],
)
def test_what_the_kernel_enforces_is_said_in_words(can: Guarantees, text: str) -> None:
    assert str(can) == text


def test_a_kernel_without_these_means_starts_programs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system there are the limits that it has, and the checks before."""
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    assert run(tmp_path, "import socket; socket.socket(); print(open('/etc/passwd').read())")[0] == 0
