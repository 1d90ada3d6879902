"""The messages between the daemon and a process that renders for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from driftd.git.revision_tree import RevisionTree
from driftd.model.app import RenderOptions
from driftd.model.resource import Manifest
from driftd.render.parser import FileKey
from driftd.render.rendering import RenderedPart, RenderKind


class RenderingRequest(NamedTuple):
    """Requests what a folder declares: `ParsedFiles` and `MoreManifests`, then a `RenderingDone` or an error.

    The files in `known` are not parsed: the daemon has their manifests.
    """

    tree: RevisionTree
    options: RenderOptions
    known: frozenset[FileKey]


class ParsedFiles(NamedTuple):
    """Some plain files with what is in them."""

    files: Sequence[tuple[FileKey, RenderedPart]]


class MoreManifests(NamedTuple):
    """Manifests of the part of `RenderingDone` with this number, before those that it has itself."""

    part: int
    manifests: Sequence[Manifest]


class RenderingDone(NamedTuple):
    """The whole rendering in order: a plain file by its key, anything else as it is; and the paths that were read."""

    kind: RenderKind
    parts: Sequence[FileKey | RenderedPart]
    paths_read: tuple[str, ...]
