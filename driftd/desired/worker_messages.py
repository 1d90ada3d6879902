"""The messages between `driftd check` and its Git worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from driftd.model.app import RenderOptions
from driftd.render.rendering import RenderedPart, RenderKind

if TYPE_CHECKING:
    from driftd.desired.sources import Source


class FetchRequest(NamedTuple):
    """Requests a `Revision`: the current commit of a source's reference."""

    source: Source


class RenderRequest(NamedTuple):
    """Requests what a folder of a commit declares: `ParsedBatch` and `ParseBatch` messages, then a `RenderResult`."""

    source: Source
    sha: str
    path: str
    options: RenderOptions
    ask_capabilities: bool = False
    """Whether the answer for a chart is `CapabilitiesNeeded`: to be requested again with those of its cluster."""


class CapabilitiesNeeded(NamedTuple):
    """The folder is a chart."""


class ReadyForBatch(NamedTuple):
    """The parent has CPU time to parse one batch of files."""


class ParsedBatch(NamedTuple):
    """Parsed objects by the paths of their files."""

    objects: Mapping[str, RenderedPart]


class ParseBatch(NamedTuple):
    """Files to be parsed by the parent: paths and contents."""

    files: Sequence[tuple[str, bytes]]


class RenderResult(NamedTuple):
    """The complete rendering in order: objects, and in place of those of files sent before, the file's path."""

    kind: RenderKind
    parts: Sequence[str | RenderedPart]
