"""Rendering in the Git worker: parsed batches are sent at once, and batches that the parent can parse unparsed."""

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
"""Files per batch, some milliseconds of parsing. A batch is a stride over all files: the first one shows most kinds."""

_MAX_QUEUED_BATCHES = 32
"""Maximum number of batches waiting to be sent, some megabytes."""

Send = Callable[[ParsedBatch | ParseBatch], None]


def render_in_batches(
    tree: FileTree, request: RenderRequest, send: Send, parent_is_ready: Callable[[], bool]
) -> RenderResult:
    """The result, after all batches were sent. `parent_is_ready` says whether the parent takes a batch to parse.

    Blocking. Raises: GitError: the tree could not be read. OSError: the connection is closed.
    """
    with _background_sender(send) as (enqueue, sent):
        kind, parts = render_parts(tree, request.options, _SendingParser(enqueue, parent_is_ready))
    for sending in sent:
        sending.result()
    return RenderResult(kind, [part.path if isinstance(part, _SentObjects) else part for part in parts])


@contextmanager
def _background_sender(send: Send) -> Iterator[tuple[Send, list[Future[None]]]]:
    """A function that enqueues messages for a sending thread, and the futures of them. It blocks on a full queue."""
    sent: list[Future[None]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="sending") as thread:

        def enqueue(message: ParsedBatch | ParseBatch) -> None:
            if len(sent) >= _MAX_QUEUED_BATCHES:
                sent[-_MAX_QUEUED_BATCHES].result()
            sent.append(thread.submit(send, message))

        yield enqueue, sent


@dataclass(frozen=True, slots=True)
class _SentObjects(RenderedPart):
    """Placeholder for the objects of a file that were sent to the parent, or are parsed by it."""

    path: str = ""


class _SendingParser(UncachedParser):
    """Sends each batch of files, parsed unless the parent is ready to parse it."""

    def __init__(self, send: Send, parent_is_ready: Callable[[], bool]) -> None:
        self._send = send
        self._parent_is_ready = parent_is_ready

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        contents = [(file.path, data) for file, data in files.items()]
        count = -(-len(contents) // _BATCH_SIZE)
        for batch in [contents[start::count] for start in range(count)]:
            if self._parent_is_ready():
                self._send(ParseBatch(batch))
            else:
                self._send(ParsedBatch({path: read_manifests(data, path) for path, data in batch}))
        placeholders = {path: _SentObjects(path=path) for path, _ in contents}
        return lambda: placeholders
