"""Background tasks go on, whatever happens in them, and somebody knows how they are."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from driftd.process import supervisor as supervision
from driftd.process.supervisor import Supervisor, TaskState


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_MIN_BACKOFF_SECONDS", 0.001)


async def test_a_task_that_crashes_is_logged_and_started_again() -> None:
    """Its neighbour notices nothing, and who counts is told."""
    seen: list[tuple[str, TaskState]] = []
    supervisor = Supervisor(lambda name, state: seen.append((name, state)))
    recovered, neighbour = asyncio.Event(), asyncio.Event()
    crashes = iter([OverflowError("canary"), asyncio.CancelledError()])

    async def crashing() -> None:
        for crash in crashes:
            raise crash
        recovered.set()
        await asyncio.Event().wait()

    async def steady() -> None:
        await recovered.wait()
        neighbour.set()

    with capture_logs() as logs:
        supervisor.start("crashing", crashing)
        supervisor.start("steady", steady)
        async with asyncio.timeout(10):
            await neighbour.wait()
    assert [(line["task"], line["crashes"]) for line in logs] == [("crashing", 1), ("crashing", 2)]
    assert seen.count(("crashing", TaskState.CRASHED)) == 2
    assert seen.count(("steady", TaskState.RUNNING)) == 1
    assert supervisor.failed() == []
    await supervisor.stop()
    assert seen[-1][1] is TaskState.STOPPED


async def test_a_task_that_keeps_crashing_has_failed() -> None:
    """Only a new process may help: its health says so, with the task and the error's type, until it is stopped."""
    supervisor = Supervisor()
    many = asyncio.Event()
    starts = 0

    async def hopeless() -> None:
        nonlocal starts
        starts += 1
        if starts > supervision._MAX_CRASHES:
            many.set()
        raise KeyError("canary")

    supervisor.start("hopeless", hopeless)
    async with asyncio.timeout(10):
        await many.wait()
    (sentence,) = supervisor.failed()
    assert "hopeless" in sentence
    assert "KeyError" in sentence
    assert "canary" not in sentence
    await supervisor.stop("hopeless")
    assert supervisor.failed() == []


async def test_a_task_that_returns_has_done_its_work() -> None:
    """It is not started again, and can be waited for; one that is late is cancelled."""
    supervisor = Supervisor()
    starts = 0

    async def once() -> None:
        nonlocal starts
        starts += 1

    async def endless() -> None:
        await asyncio.Event().wait()

    supervisor.start("once", once)
    supervisor.start("endless", endless)
    await supervisor.join("once", "endless", timeout=0.05)
    assert starts == 1
    supervisor.start("once", once)
    with pytest.raises(ValueError, match="two background tasks"):
        supervisor.start("once", once)
    await supervisor.stop()
