"""Files that a user names: a pipe, a device, a folder or something huge is an error, and nothing that is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from driftd.config import loading
from driftd.config.secret import SecretFile
from driftd.git.environment import remote_access
from driftd.git.source import GitSource, SshAuth
from driftd.kube.kubeconfig import load_context
from driftd.model.errors import ConfigError, DriftdError
from driftd.process.files import MAX_BYTES, check_file, read_file
from driftd.web.server import Certificate, serving_context


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def listener(folder: Path) -> Path:
    socket.socket(socket.AF_UNIX).bind(str(folder / "socket"))
    return folder / "socket"


def linked(folder: Path) -> Path:
    (folder / "link").symlink_to(pipe(folder))
    return folder / "link"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pipe, "it is a pipe"),
        (linked, "it is a pipe"),
        (lambda _: Path("/dev/zero"), "it is a device"),
        (lambda folder: folder, "it is a folder"),
        (listener, "No such device or address"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], Path], kind: str) -> None:
    """Opening a pipe would wait for its writer, and a device may have no end."""
    path = make(tmp_path)
    for use in (read_file, check_file):
        with pytest.raises(OSError, match=kind):
            use(path)


def test_a_huge_file_is_refused_and_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    """Kubernetes mounts Secrets and ConfigMaps as links."""
    (tmp_path / "huge").write_bytes(b"")
    os.truncate(tmp_path / "huge", 1 << 40)
    with pytest.raises(OSError, match="larger than 4 MiB"):
        read_file(tmp_path / "huge")
    (tmp_path / "file").write_bytes(b"x" * MAX_BYTES)
    (tmp_path / "link").symlink_to("file")
    assert len(read_file(tmp_path / "link")) == MAX_BYTES


def test_each_file_that_a_user_names_is_checked(tmp_path: Path) -> None:
    """The configuration, a kubeconfig, secrets, certificates and ssh's files: the error names the file."""
    named = pipe(tmp_path)
    key = tmp_path / "key"
    key.write_text("key")
    key.chmod(0o600)
    readings: list[Callable[[], object]] = [
        lambda: loading.load(named),
        lambda: load_context([named], None),
        lambda: SecretFile("token", named).read(),
        lambda: serving_context(Certificate(named, key)),
        lambda: serving_context(Certificate(key, named)),
        lambda: remote_access(GitSource("a", "https://git.example.com/a", ca_file=named), tmp_path / "config"),
        lambda: remote_access(GitSource("a", "ssh://git.example.com/a", auth=SshAuth(key, named)), tmp_path / "config"),
    ]
    for reading in readings:
        with pytest.raises(DriftdError) as caught:
            reading()
        told = "\n".join(caught.value.mistakes) if isinstance(caught.value, ConfigError) else str(caught.value)
        assert str(named) in told
        assert "it is a pipe, and has to be a regular file" in told
