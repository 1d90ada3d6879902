"""An artifact as it was fetched, and the files in it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from datetime import UTC, datetime

from driftd.git.built_mirror import checked_path
from driftd.model.errors import GitError, PathNotFound
from driftd.render import chart_archive

MAX_PACKED = 64 << 20
"""Bytes of an archive, as it is sent."""

_MAX_FILES = 20_000


@dataclass(frozen=True, slots=True)
class Artifact:
    """A packed archive with its SHA-256, and when it was made, by its own word."""

    data: bytes = field(repr=False)
    digest: str
    created: datetime


def time_of(stamp: object) -> datetime:
    """The time that a text (or YAML) names; the epoch for any other."""
    if isinstance(stamp, str):
        try:
            stamp = datetime.fromisoformat(stamp[:19] + "+00:00")
        except ValueError:
            stamp = None
    if not isinstance(stamp, datetime):
        return datetime.fromtimestamp(0, UTC)
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def unpacked(artifact: Artifact, title: str, *, into: str | None = None) -> dict[str, bytes]:
    """The files of an archive. With `into`, its one folder gets that name: a chart's.

    Links are left out: none of the deployers follows any. Raises: GitError: it cannot be read, or holds too much.
    """
    files: dict[str, bytes] = {}
    try:
        for name, content in chart_archive.read(artifact.data):  # it is limited in all that it unpacks
            path = posixpath.normpath(str(name))
            if into is not None:
                path = posixpath.join(into, path.partition("/")[2])
            files[checked_path(path)] = content
    except (chart_archive.UnreadableArchive, PathNotFound) as error:
        raise GitError(f"{title}: {error}") from error
    if len(files) > _MAX_FILES:
        raise GitError(f"{title}: the archive holds more than {_MAX_FILES} files")
    return files
