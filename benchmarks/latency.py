"""The latency from a write in the cluster to its drift in the store, for writes at a constant rate."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import cycle, islice

from benchmarks.api import MERGE, STRATEGIC, Api, Session
from benchmarks.observed import Daemon, StoreProbe
from benchmarks.world import DeclaredObject

POLL_SECONDS = 0.001
"""Seconds between two polls of the store: the resolution of the measurement."""

_LOST_AFTER_SECONDS = 60.0
"""Seconds after the last write after which unrecorded writes are lost."""


@dataclass(frozen=True, slots=True)
class Target:
    """An object to write to, its API server, and the app that declares it."""

    api: Api
    app: str
    obj: DeclaredObject


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds until the drift is recorded: from sending a write (`sent`), and from its response (`answered`).

    The first is longer than the daemon's own delay, the second shorter. `write_p50` and `write_p99` are the API
    server's own time. `late_p50` is that of the last fifth of the writes: if it is much longer than `sent_p50`, a
    backlog builds up. `reached` is the rate of completed writes, `cpu_per_write` the daemon's seconds of CPU per write.
    """

    writes: int
    lost: int
    reached: float
    write_p50: float
    write_p99: float
    sent_p50: float
    sent_p99: float
    answered_p50: float
    answered_p99: float
    worst: float
    late_p50: float
    cpu_per_write: float


@dataclass(slots=True)
class _Write:
    app: str
    position: int
    token: bytes
    sent: float = 0.0
    answered: float = 0.0
    recorded: float = 0.0


async def measure(daemon: Daemon, targets: Sequence[Target], edit: str, *, rate: float, seconds: float) -> Latencies:
    """Writes to the targets in turn, at `rate` per second, without waiting for earlier writes to be recorded.

    Raises: RuntimeError: a write was refused. KeyError: an object has no verdict.
    """
    with StoreProbe(daemon.store) as probe:
        writes = _writes(probe, targets, edit, int(rate * seconds))
        waiting: set[int] = set()
        before = daemon.cpu()
        watching = asyncio.create_task(_watch(probe, writes, waiting))
        try:
            await _write_all(targets, edit, writes, waiting, rate)
            with suppress(TimeoutError):  # writes that are missing then are counted as lost
                await asyncio.wait_for(watching, _LOST_AFTER_SECONDS)
        finally:
            watching.cancel()
    return _summary(writes, daemon.cpu() - before)


def _writes(probe: StoreProbe, targets: Sequence[Target], edit: str, count: int) -> list[_Write]:
    positions = {app: probe.positions(app) for app in {target.app for target in targets}}
    writes = []
    for number, target in enumerate(islice(cycle(targets), count)):
        position = positions[target.app][f"{target.obj.namespace}/{target.obj.name}"]
        writes.append(_Write(target.app, position, f"{edit[0]}{number:06d}".encode()))
    return writes


async def _write_all(
    targets: Sequence[Target], edit: str, writes: Sequence[_Write], waiting: set[int], rate: float
) -> None:
    async with AsyncExitStack() as stack:
        sessions = {api: await stack.enter_async_context(api.session()) for api in {target.api for target in targets}}
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, write in enumerate(writes):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                target = targets[number % len(targets)]
                waiting.add(number)
                group.create_task(_send(sessions[target.api], target.obj, edit, write))


async def _send(session: Session, obj: DeclaredObject, edit: str, write: _Write) -> None:
    write.sent = time.monotonic()
    await EDITS[edit](session, obj, write.token.decode())
    write.answered = time.monotonic()


async def _watch(probe: StoreProbe, writes: Sequence[_Write], waiting: set[int]) -> None:
    """Sets the time at which each write is recorded: that of the poll that detects the change, before it is read."""
    remaining = len(writes)
    while remaining:
        now = time.monotonic()
        if probe.has_changed():
            for number in sorted(waiting):
                write = writes[number]
                if write.token in probe.verdict(write.app, write.position):
                    write.recorded = now
                    waiting.discard(number)
                    remaining -= 1
        await asyncio.sleep(POLL_SECONDS)


def _summary(writes: Sequence[_Write], cpu: float) -> Latencies:
    recorded = [write for write in writes if write.recorded]
    if len(recorded) < 2:
        raise RuntimeError(f"of {len(writes)} writes {len(recorded)} were recorded")
    sent = [write.recorded - write.sent for write in recorded]
    # a response may arrive after the drift was recorded: the watch event was faster
    answered = [max(0.0, write.recorded - write.answered) for write in recorded]
    writing = [write.answered - write.sent for write in writes]
    took = max(write.answered for write in writes) - writes[0].sent
    return Latencies(
        writes=len(writes),
        lost=len(writes) - len(recorded),
        reached=len(writes) / took,
        write_p50=statistics.median(writing),
        write_p99=_p99(writing),
        sent_p50=statistics.median(sent),
        sent_p99=_p99(sent),
        answered_p50=statistics.median(answered),
        answered_p99=_p99(answered),
        worst=max(sent),
        late_p50=statistics.median(sent[-max(1, len(sent) // 5) :]),
        cpu_per_write=cpu / len(writes),
    )


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


async def _label(session: Session, obj: DeclaredObject, token: str) -> None:
    """Sets a label that Git does not declare, as `kubectl label` does."""
    body = json.dumps({"metadata": {"labels": {"bench": token}}})
    await session.send("PATCH", f"{obj.item}?fieldManager=kubectl-label", body, MERGE)


async def _image(session: Session, obj: DeclaredObject, token: str) -> None:
    """Sets another image than Git declares, as `kubectl set image` does: its line and its history are looked up."""
    container = {"name": "server", "image": f"registry.example.com/{obj.namespace}/{obj.name}:{token}"}
    body = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    await session.send("PATCH", f"{obj.item}?fieldManager=kubectl-set", body, STRATEGIC)


EDITS = {"label": _label, "image": _image}
"""Manual edits of an object, by name."""
