"""The other process of `beside.py`: it fetches, reads and parses."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from driftd.desired.provider import InProcessProvider
from driftd.desired.worker_messages import FetchRequest, ReadyForBatch, RenderRequest
from driftd.desired.worker_parsing import render_in_batches
from driftd.git import clean  # noqa: F401  # which takes a while: now, since nothing is asked yet
from driftd.model.errors import DriftdError
from driftd.process.garbage_collector import disable_gc
from driftd.process.threads import set_switch_interval

log = structlog.get_logger(__name__)

_SWITCH_INTERVAL = 0.0005
"""Seconds until a thread that reads what Git gives has its turn beside the one that parses: Git waits for it."""


def serve(connection: Connection, cache: Path) -> None:
    """Answers what is asked over the connection, until the other side ends this process or ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C ends the other one, and with it this one
    disable_gc()
    set_switch_interval(_SWITCH_INTERVAL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    there = _Worker(connection, cache)
    try:
        while True:
            there.answer(connection.recv())
    except asyncio.CancelledError:
        return  # the other side wants no more
    except Exception:
        # The other side now does it itself, and tells of it if it goes wrong there, too.
        log.debug("the process for Git gives up", exc_info=True)


def _exit_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker:
    def __init__(self, connection: Connection, cache: Path) -> None:
        self._connection = connection
        self._provider = InProcessProvider(cache)
        self._ready_for = 0

    def answer(self, question: Any) -> None:
        if isinstance(question, ReadyForBatch):
            self._ready_for += 1
            return
        try:
            answer = asyncio.run(self._answer(question))
        except DriftdError as error:
            answer = error
        self._connection.send(answer)

    async def _answer(self, question: FetchRequest | RenderRequest) -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # this is one
        # Who ends this process ends it by itself, but for now, when there is Git to be ended first.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        if isinstance(question, FetchRequest):
            return await self._provider.fetch(question.source)
        tree = await self._provider.mirror(question.source).tree(question.sha, question.path)
        return await asyncio.to_thread(render_in_batches, tree, question, self._connection.send, self._parent_is_ready)

    def _parent_is_ready(self) -> bool:
        """Whether the other side parses a lot of files. To be asked while something is rendered, and nothing read."""
        while self._connection.poll():
            self._connection.recv()
            self._ready_for += 1
        if self._ready_for:
            self._ready_for -= 1
            return True
        return False
