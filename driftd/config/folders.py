"""Where driftd keeps its files when the configuration does not say."""

from __future__ import annotations

import os
from pathlib import Path

IN_CLUSTER = Path("/var/lib/driftd")
"""The one writable volume of a pod: the root filesystem is read-only there."""


def state_folder() -> Path:
    """For what must outlive a restart: systemd's choice, the pod's volume, or the user's XDG state folder."""
    return _folder("STATE_DIRECTORY", "XDG_STATE_HOME", Path(".local/state"))


def cache_folder() -> Path:
    """For what can be fetched again: systemd's choice, the pod's volume, or the user's XDG cache folder."""
    return _folder("CACHE_DIRECTORY", "XDG_CACHE_HOME", Path(".cache"))


def _folder(systemd: str, xdg: str, in_home: Path) -> Path:
    if given := os.environ.get(systemd):
        return Path(given.split(":")[0])
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return IN_CLUSTER
    base = os.environ.get(xdg, "")
    # The XDG specification: a relative path there is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / in_home) / "driftd"
