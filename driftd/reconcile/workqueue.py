"""Keys that wait for a pass: each at most once, one at a time per key, after a delay where one is asked for.

Source of the habit: client-go's workqueue. A key that is added while it is being worked on is worked on once more.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from contextlib import suppress

_ROOM = 32
"""So many times that do not count any more may wait to be cleared away, besides one for each key."""


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
        """Asks for a pass over `key` in `delay` seconds, or earlier if an earlier one was asked for already."""
        when = asyncio.get_running_loop().time() + delay
        waiting = self._again if key in self._working else self._due
        if waiting.get(key, float("inf")) <= when:
            return
        waiting[key] = when
        if waiting is self._due:
            heapq.heappush(self._heap, (when, key))
            if len(self._heap) > _ROOM + 2 * len(self._due):  # mostly times that an earlier one has replaced
                self._heap = [(when, key) for key, when in self._due.items()]
                heapq.heapify(self._heap)
            self._changed.set()

    def forget(self, key: str) -> None:
        """Takes back what was asked for `key`."""
        self._due.pop(key, None)
        self._again.pop(key, None)

    def close(self) -> None:
        """Ends all workers as soon as they are done with what they work on."""
        self._closed = True
        self._changed.set()

    def __len__(self) -> int:
        """How many keys are due now or being worked on."""
        now = asyncio.get_running_loop().time()
        return len(self._working) + sum(1 for when in self._due.values() if when <= now)

    async def work(self, work: Callable[[str], Awaitable[None]]) -> None:
        """Takes keys and works on them, one after the other, until closed. Start as many as are to run at once."""
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
                heapq.heappop(self._heap)  # taken back, or asked for earlier since
            if self._heap and self._heap[0][0] <= loop.time():
                _, key = heapq.heappop(self._heap)
                del self._due[key]
                if self._heap:
                    self._changed.set()  # another worker may have to wait for what comes next
                return key
            delay = self._heap[0][0] - loop.time() if self._heap else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), delay)
        return None
