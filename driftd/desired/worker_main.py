"""The loop of the Git worker, in its own process: it fetches, reads and parses."""

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
from driftd.desired.stoppable import render_in_background
from driftd.desired.worker_messages import CapabilitiesNeeded, FetchRequest, ReadyForBatch, RenderRequest
from driftd.desired.worker_parsing import render_in_batches
from driftd.git import gitpython  # noqa: F401  # slow to import: done now, while no request waits
from driftd.model.errors import DriftdError
from driftd.process.garbage_collector import disable_gc
from driftd.process.threads import set_switch_interval
from driftd.render.app import is_chart

log = structlog.get_logger(__name__)

_SWITCH_INTERVAL = 0.0005
"""Seconds after which the thread that reads from Git may preempt the one that parses: Git blocks until it is read."""


def serve(connection: Connection, cache: Path) -> None:
    """Answers requests on the connection until the parent terminates this process or ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, and the parent ends this process
    disable_gc()
    set_switch_interval(_SWITCH_INTERVAL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    worker = _Worker(connection, cache)
    try:
        while True:
            worker.handle(connection.recv())
    except asyncio.CancelledError:
        return  # terminated by the parent
    except Exception:
        # The parent falls back to its own process, and reports the error if it occurs there, too.
        log.debug("git worker failed", exc_info=True)


def _exit_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker:
    def __init__(self, connection: Connection, cache: Path) -> None:
        self._connection = connection
        self._provider = InProcessProvider(cache)
        self._ready_batches = 0

    def handle(self, message: Any) -> None:
        if isinstance(message, ReadyForBatch):
            self._ready_batches += 1
            return
        try:
            result = asyncio.run(self._result(message))
        except DriftdError as error:
            result = error
        except MemoryError:
            # The parent would need as much, were it to do the work itself.
            result = DriftdError("this needs more memory than one command may have: check less at once")
        self._connection.send(result)

    async def _result(self, request: FetchRequest | RenderRequest) -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in a task
        # SIGTERM ends this process at once, except during a request: then Git's processes have to be ended first.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        if isinstance(request, FetchRequest):
            return await self._provider.fetch(request.source)
        tree = await self._provider.mirror(request.source).tree(request.sha, request.path)
        if request.ask_capabilities and await asyncio.to_thread(is_chart, tree):
            return CapabilitiesNeeded()
        return await render_in_background(
            render_in_batches, tree, request, self._connection.send, self._parent_is_ready
        )

    def _parent_is_ready(self) -> bool:
        """Whether the parent takes a batch to parse. Only to be called during rendering: it reads the connection."""
        while self._connection.poll():
            self._connection.recv()
            self._ready_batches += 1
        if self._ready_batches:
            self._ready_batches -= 1
            return True
        return False
