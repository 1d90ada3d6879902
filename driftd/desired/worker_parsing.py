"""What the other process of `beside.py` has parsed goes over as it comes, and some of what it has read unparsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from driftd.desired.worker_messages import ParseBatch, ParsedBatch, RenderRequest, RenderResult
from driftd.render.app import render_parts
from driftd.render.file_tree import FileTree, TreeFile
from driftd.render.manifests import read_manifests
from driftd.render.parser import PendingParts, UncachedParser
from driftd.render.rendering import RenderedPart

_BATCH_SIZE = 50
"""So many files are parsed at a time, some milliseconds. They are from all over those that there are."""

_MAX_QUEUED_BATCHES = 32
"""So many lots may wait to be sent, some megabytes."""

Send = Callable[[ParsedBatch | ParseBatch], None]


def render_in_batches(
    tree: FileTree, request: RenderRequest, send: Send, parent_is_ready: Callable[[], bool]
) -> RenderResult:
    """What is left to say after all that was sent meanwhile. `has_time` tells whether the other side parses a lot, too.

    Blocking. Raises: GitError: the tree could not be read. OSError: nobody takes anything any more.
    """
    with _background_sender(send) as (later, sent):
        kind, parts = render_parts(tree, request.options, _SendingParser(later, parent_is_ready))
    for one in sent:
        one.result()
    return RenderResult(kind, [part.path if isinstance(part, _SentObjects) else part for part in parts])


@contextmanager
def _background_sender(send: Send) -> Iterator[tuple[Send, list[Future[None]]]]:
    """Sends from a thread, while others go on, all that there is to send until this ends. Of too much they wait."""
    sent: list[Future[None]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="sending") as thread:

        def later(message: ParsedBatch | ParseBatch) -> None:
            if len(sent) >= _MAX_QUEUED_BATCHES:
                sent[-_MAX_QUEUED_BATCHES].result()
            sent.append(thread.submit(send, message))

        yield later, sent


@dataclass(frozen=True, slots=True)
class _SentObjects(RenderedPart):
    """Stands for what the file of this path declares: the other side has it, or makes it."""

    path: str = ""


class _SendingParser(UncachedParser):
    """Parses and sends, or sends only."""

    def __init__(self, send: Send, has_time: Callable[[], bool]) -> None:
        self._send = send
        self._has_time = has_time

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        contents = [(file.path, data) for file, data in files.items()]
        lots = -(-len(contents) // _BATCH_SIZE)
        for lot in [contents[at::lots] for at in range(lots)]:
            if self._has_time():
                self._send(ParseBatch(lot))
            else:
                self._send(ParsedBatch({path: read_manifests(data, path) for path, data in lot}))
        found = {path: _SentObjects(path=path) for path, _ in contents}
        return lambda: found
