"""A work queue: each key is queued at most once, optionally with a delay, and processed by one worker at a time.

Source: client-go's workqueue. A key that is added while it is being processed is processed once more.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from contextlib import suppress

_MAX_OBSOLETE = 32
"""Obsolete heap entries, beyond one per key, from which on the heap is rebuilt."""


class WorkQueue:
    """A set of keys, each due at a time of the event loop's clock. Its size is bounded by the number of keys."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._working: set[str] = set()
        self._again: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: str, delay: float = 0.0) -> None:
        """Queues `key` for in `delay` seconds, or leaves it queued for an earlier time."""
        when = asyncio.get_running_loop().time() + delay
        waiting = self._again if key in self._working else self._due
        if waiting.get(key, float("inf")) <= when:
            return
        waiting[key] = when
        if waiting is self._due:
            heapq.heappush(self._heap, (when, key))
            if len(self._heap) > _MAX_OBSOLETE + 2 * len(self._due):  # mostly entries that an earlier one has replaced
                self._heap = [(when, key) for key, when in self._due.items()]
                heapq.heapify(self._heap)
            self._changed.set()

    def close(self) -> None:
        """Ends all workers as soon as they are done with their current keys."""
        self._closed = True
        self._changed.set()

    def __len__(self) -> int:
        """The number of keys that are due or being processed."""
        now = asyncio.get_running_loop().time()
        return len(self._working) + sum(1 for when in self._due.values() if when <= now)

    async def work(self, work: Callable[[str], Awaitable[None]]) -> None:
        """Processes keys, one after the other, until closed. To be started once per worker."""
        while (key := await self._next()) is not None:
            self._working.add(key)
            try:
                await work(key)
            finally:
                self._working.discard(key)
                again = self._again.pop(key, None)
                if again is not None:
                    self.add(key, max(0.0, again - asyncio.get_running_loop().time()))

    async def _next(self) -> str | None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            self._changed.clear()
            while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)  # removed, or queued for an earlier time since
            if self._heap and self._heap[0][0] <= loop.time():
                _, key = heapq.heappop(self._heap)
                del self._due[key]
                if self._heap:
                    self._changed.set()  # another worker may have to wait for the next key
                return key
            delay = self._heap[0][0] - loop.time() if self._heap else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), delay)
        return None
