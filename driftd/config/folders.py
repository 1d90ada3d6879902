"""The default folders of driftd's files."""

from __future__ import annotations

import hashlib
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


def shared_database() -> Path:
    """The one database of a pod or a systemd service; once also that of all configurations of a user."""
    return state_folder() / "driftd.db"


def default_database(configuration: Path | None) -> Path:
    """The database of a configuration that names none: by the path of its file, unless a service has it to itself.

    Symbolic links are not followed: those of a mounted ConfigMap, or of a release, lead elsewhere after each change.
    """
    if configuration is None or os.environ.get("STATE_DIRECTORY") or os.environ.get("KUBERNETES_SERVICE_HOST"):
        return shared_database()
    place = os.path.abspath(configuration)  # noqa: PTH100  # resolve() would follow links
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    return state_folder() / f"driftd-{digest}.db"


def _folder(systemd: str, xdg: str, in_home: Path) -> Path:
    if folders := os.environ.get(systemd):
        return Path(folders.split(":")[0])
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return IN_CLUSTER
    base = os.environ.get(xdg, "")
    # XDG Base Directory Specification: relative paths are to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / in_home) / "driftd"
