"""The work queue of keys that wait for a pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.reconcile.workqueue import WorkQueue


class Work:
    """Records the keys that workers process, and blocks them while `gate` is closed."""

    def __init__(self) -> None:
        self.queue = WorkQueue()
        self.started: list[str] = []
        self.times: list[float] = []
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: str) -> None:
        self.started.append(key)
        self.times.append(asyncio.get_running_loop().time())
        self.running[key] = self.running.get(key, 0) + 1
        self.most[key] = max(self.most.get(key, 0), self.running[key])
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.running[key] -= 1

    @property
    def busy(self) -> int:
        return sum(self.running.values())


@asynccontextmanager
async def working(workers: int = 1) -> AsyncIterator[Work]:
    work = Work()
    tasks = [asyncio.create_task(work.queue.work(work)) for _ in range(workers)]
    try:
        yield work
    finally:
        work.gate.set()
        work.queue.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what it waits for has no event
            await asyncio.sleep(0.002)


async def test_a_key_that_is_added_many_times_is_processed_once() -> None:
    """Changes that come together have one pass."""
    async with working() as work:
        for _ in range(50):
            work.queue.add("web", 0.02)
        await until(lambda: bool(work.started))
        await asyncio.sleep(0.05)
        assert work.started == ["web"]


async def test_a_key_that_is_added_during_its_pass_has_one_more_pass_and_never_two_at_once() -> None:
    """A change during a pass has another pass afterwards."""
    async with working(workers=4) as work:
        work.gate.clear()
        work.queue.add("web")
        await until(lambda: work.busy == 1)
        for _ in range(10):
            work.queue.add("web")
        await asyncio.sleep(0.02)
        assert work.started == ["web"]
        work.gate.set()
        await until(lambda: len(work.started) == 2 and not work.busy)
        await asyncio.sleep(0.02)
        assert work.started == ["web", "web"]
        assert work.most == {"web": 1}


async def test_different_keys_are_processed_at_once() -> None:
    """One app's slow pass does not delay another's."""
    async with working(workers=2) as work:
        work.gate.clear()
        work.queue.add("slow")
        work.queue.add("web")
        await until(lambda: sorted(work.started) == ["slow", "web"] and work.busy == 2)


async def test_of_two_times_the_earlier_one_counts() -> None:
    """Whether it is added first or last, and there is one pass, not two."""
    async with working() as work:
        started = asyncio.get_running_loop().time()
        work.queue.add("late then early", 60)
        work.queue.add("late then early", 0.03)
        work.queue.add("early then late", 0.03)
        work.queue.add("early then late", 60)
        await until(lambda: len(work.started) == 2)
        assert sorted(work.started) == ["early then late", "late then early"]
        assert all(0.02 < when - started < 1 for when in work.times)


async def test_a_worker_that_waits_for_a_late_key_takes_an_earlier_one() -> None:
    """A key that is due at once does not wait for the timer of another."""
    async with working() as work:
        work.queue.add("late", 60)
        await asyncio.sleep(0.01)
        work.queue.add("now")
        await until(lambda: work.started == ["now"])


async def test_closing_ends_every_worker_and_starts_no_other_pass() -> None:
    """The current pass is finished, queued keys are not processed."""
    work = Work()
    tasks = [asyncio.create_task(work.queue.work(work)) for _ in range(3)]
    work.gate.clear()
    work.queue.add("running")
    await until(lambda: work.busy == 1)
    work.queue.add("running")
    work.queue.add("later", 0.01)
    work.queue.close()
    work.gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    await asyncio.sleep(0.03)
    assert work.started == ["running"]


async def test_its_length_is_the_number_of_keys_that_are_due_or_in_progress() -> None:
    """Keys for later are no backlog."""
    queue = WorkQueue()
    queue.add("due")
    queue.add("later", 60)
    assert len(queue) == 1
    async with working() as work:
        work.gate.clear()
        work.queue.add("web")
        await until(lambda: work.busy == 1)
        assert len(work.queue) == 1


async def test_its_memory_is_bounded_by_the_number_of_keys() -> None:
    """A daemon whose app changes all day, with a timer for later each time, does not grow."""
    async with working() as work:
        work.queue.add("another", 60)
        for number in range(2000):
            work.queue.add("web", 300 - number * 0.01)
        assert len(work.queue._heap) < 100
        work.queue.add("web")
        await until(lambda: work.started == ["web"])


adds = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=30)


@settings(max_examples=60, deadline=None)
@given(adds=adds, workers=st.integers(1, 3))
def test_every_key_that_is_added_is_processed_after_it_was_added(
    adds: list[tuple[str, int, bool]], workers: int
) -> None:
    """In any order: no key is lost, none is processed twice at once, none more often than it was added."""

    async def run() -> None:
        async with working(workers) as work:
            started_before: dict[str, int] = {}
            for key, delay, pause in adds:
                started_before[key] = work.started.count(key)
                work.queue.add(key, delay / 5000)
                if pause:
                    await asyncio.sleep(0)
            await until(lambda: all(work.started.count(key) > count for key, count in started_before.items()))
            await until(lambda: not work.busy and not len(work.queue))
            assert all(most == 1 for most in work.most.values())
            for key in started_before:
                assert work.started.count(key) <= sum(1 for added, _, _ in adds if added == key)

    asyncio.run(run())
