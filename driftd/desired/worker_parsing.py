"""What the other process of `beside.py` has parsed goes over as it comes, and some of what it has read unparsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from driftd.desired.worker import Parsed, Render, Rendered, Unparsed
from driftd.render.app import parts_of
from driftd.render.manifests import read_manifests
from driftd.render.options import Objects
from driftd.render.parsed import EachForItself, Pending
from driftd.render.tree import FileTree, TreeFile

_AT_A_TIME = 50
"""So many files are parsed at a time, some milliseconds. They are from all over those that there are."""

_WAITING = 32
"""So many lots may wait to be sent, some megabytes."""

Send = Callable[[Parsed | Unparsed], None]


def rendered(tree: FileTree, question: Render, send: Send, has_time: Callable[[], bool]) -> Rendered:
    """What is left to say after all that was sent meanwhile. `has_time` tells whether the other side parses a lot, too.

    Blocking. Raises: GitError: the tree could not be read. OSError: nobody takes anything any more.
    """
    with _sending(send) as (later, sent):
        kind, parts = parts_of(tree, question.options, _HandsOver(later, has_time))
    for one in sent:
        one.result()
    return Rendered(kind, [part.path if isinstance(part, _HandedOver) else part for part in parts])


@contextmanager
def _sending(send: Send) -> Iterator[tuple[Send, list[Future[None]]]]:
    """Sends from a thread, while others go on, all that there is to send until this ends. Of too much they wait."""
    sent: list[Future[None]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="sending") as thread:

        def later(message: Parsed | Unparsed) -> None:
            if len(sent) >= _WAITING:
                sent[-_WAITING].result()
            sent.append(thread.submit(send, message))

        yield later, sent


@dataclass(frozen=True, slots=True)
class _HandedOver(Objects):
    """Stands for what the file of this path declares: the other side has it, or makes it."""

    path: str = ""


class _HandsOver(EachForItself):
    """Parses and sends, or sends only."""

    def __init__(self, send: Send, has_time: Callable[[], bool]) -> None:
        self._send = send
        self._has_time = has_time

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        contents = [(file.path, data) for file, data in files.items()]
        lots = -(-len(contents) // _AT_A_TIME)
        for lot in [contents[at::lots] for at in range(lots)]:
            if self._has_time():
                self._send(Unparsed(lot))
            else:
                self._send(Parsed({path: read_manifests(data, path) for path, data in lot}))
        found = {path: _HandedOver(path=path) for path, _ in contents}
        return lambda: found
