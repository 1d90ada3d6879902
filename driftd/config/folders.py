"""The default folders of driftd's files."""

from __future__ import annotations

import os
from pathlib import Path

IN_CLUSTER = Path("/var/lib/driftd")
"""The only writable volume of a pod, whose root filesystem is read-only."""


def state_folder() -> Path:
    """The folder of lasting state: `$STATE_DIRECTORY` (systemd), the pod's volume, or the user's XDG state folder."""
    return _folder("STATE_DIRECTORY", "XDG_STATE_HOME", Path(".local/state"))


def cache_folder() -> Path:
    """The folder of caches: `$CACHE_DIRECTORY` (systemd), the pod's volume, or the user's XDG cache folder."""
    return _folder("CACHE_DIRECTORY", "XDG_CACHE_HOME", Path(".cache"))


def _folder(systemd: str, xdg: str, in_home: Path) -> Path:
    if folders := os.environ.get(systemd):
        return Path(folders.split(":")[0])
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return IN_CLUSTER
    base = os.environ.get(xdg, "")
    # XDG Base Directory Specification: relative paths are to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / in_home) / "driftd"
