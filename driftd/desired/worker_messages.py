"""What goes over the connection between `driftd check` and its Git worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from driftd.model.app import RenderOptions
from driftd.render.rendering import RenderedPart, RenderKind

if TYPE_CHECKING:
    from driftd.git.source import GitSource


class FetchRequest(NamedTuple):
    """Asks for a `Revision`: the commit that a source's reference has now."""

    source: GitSource


class RenderRequest(NamedTuple):
    """Asks for what a folder of a commit declares: some `Parsed` and `Unparsed`, and `Rendered` at last."""

    source: GitSource
    sha: str
    path: str
    options: RenderOptions


class ReadyForBatch(NamedTuple):
    """This side has the time to parse a lot of files."""


class ParsedBatch(NamedTuple):
    """What files declare, by their paths."""

    objects: Mapping[str, RenderedPart]


class ParseBatch(NamedTuple):
    """Files to be parsed on this side: their paths and contents."""

    files: Sequence[tuple[str, bytes]]


class RenderResult(NamedTuple):
    """All that there is: parts of what is declared, and the paths of those files that were handed over before."""

    kind: RenderKind
    parts: Sequence[str | RenderedPart]
