"""What the store answers, and what a report costs it: 100,000 verdicts of some apps, on SQLite or PostgreSQL.

    python -m benchmarks.read_model [--objects 100000] [--apps 20] [--url URL] [--json FILE]

Without a URL, the store is a new SQLite file. A PostgreSQL database has to be empty. Every time is that of the call,
from the event loop and back, with all that it decodes; "CPU" is what this process computes for it.

The questions are those of the pages and the metrics: one page of 100 verdicts each, of which every tenth has drifted. A
report is that of an app of 10,000 objects: the first one, one with a single change, and the first one after a restart.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from sqlalchemy import make_url

from benchmarks.machine import machine
from benchmarks.table import parser, progress, show, write
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.health import HealthState
from driftd.model.report import Report, Verdicts
from driftd.model.resource import ResourceRef, Source
from driftd.model.revision import Revision
from driftd.store import Store, VerdictFilter

_KINDS = (("apps", "Deployment"), ("", "Service"), ("", "ConfigMap"), ("", "Secret"), ("batch", "CronJob"))
_NAMESPACES = 50
_REPORT_SIZE = 10_000
_BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
_REVISION = Revision("4f0c" * 10, "Ada <ada@example.com>", _BEGAN, "Change things", "main")

Question = Callable[[Store], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Of `rounds` calls, in milliseconds. `answer` is the number of what came back, where it can be counted."""

    what: str
    rounds: int
    answer: int | None
    p50: float
    p99: float
    cpu: float


def main(arguments: Sequence[str] | None = None) -> int:
    command = parser(__doc__)
    command.add_argument("--objects", type=int, default=100_000, help="verdicts in the store (default: 100000)")
    command.add_argument("--apps", type=int, default=20, help="apps that they are of (default: 20)")
    command.add_argument("--url", help="an empty database (default: a new SQLite file)")
    command.add_argument("--rounds", type=int, default=200, help="calls of each question (default: 200)")
    options = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="driftd-bench-") as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'history.db'}"
        timings = asyncio.run(measured(url, options.objects, options.apps, options.rounds))
    database = make_url(url).get_backend_name()
    here = machine(f"the store alone, in {database}")
    rows = [
        (
            one.what,
            "" if one.answer is None else f"{one.answer:,}",
            f"{one.p50:.2f}",
            f"{one.p99:.2f}",
            f"{one.cpu:.2f}",
        )
        for one in timings
    ]
    notes = [f"{options.objects:,} verdicts of {options.apps} apps; {options.rounds} calls of each question."]
    show(f"The read model in {database}", ("", "rows", "p50 ms", "p99 ms", "CPU ms"), rows, notes, here)
    figures = [
        {"what": one.what, "answer": one.answer, "p50": one.p50, "p99": one.p99, "cpu": one.cpu} for one in timings
    ]
    write(options.json, "read_model", here, {"database": database, "objects": options.objects, "timings": figures})
    return 0


async def measured(url: str, objects: int, apps: int, rounds: int) -> list[Timing]:
    """The figures of one database."""
    store = await Store.open(url)
    try:
        progress(f"{objects:,} verdicts: filling the store …")
        each = objects // apps
        for number in range(apps):
            await store.record_report(_report(f"app-{number}", _verdicts(each, number)))
        progress("asking …")
        timings = [await _asked(store, what, question, rounds) for what, question in _questions().items()]
    finally:
        await store.close()
    progress("recording reports …")
    return timings + await _reports(url, rounds)


def _questions() -> dict[str, Question]:
    drifted = frozenset({Status.DRIFTED})

    def verdicts(**criteria: Any) -> Question:
        return lambda store: store.verdicts(VerdictFilter(**criteria))

    return {
        "drifted Deployments of a namespace": verdicts(statuses=drifted, kind="Deployment", namespace="team-7"),
        "drifted objects of all apps": verdicts(statuses=drifted),
        "all that differs": verdicts(statuses=drifted | {Status.MISSING, Status.ORPHANED}),
        "drifted objects of an app": verdicts(app="app-1", statuses=drifted),
        "objects that a manager changed": verdicts(manager="kubectl-edit"),
        "degraded objects of an app": verdicts(app="app-1", health=frozenset({HealthState.DEGRADED})),
        "an object by its name": verdicts(app="app-1", kind="Deployment", name="object-150"),
        "summaries of all apps": lambda store: store.app_summaries(),
    }


async def _asked(store: Store, what: str, question: Question, rounds: int) -> Timing:
    answer = await question(store)
    return await _timed(what, lambda: question(store), rounds, len(answer))


async def _reports(url: str, rounds: int) -> list[Timing]:
    """What it costs to record the report of another app."""
    store = await Store.open(url)
    verdicts = _verdicts(_REPORT_SIZE, 0)
    first = await _timed("first report of 10,000", lambda: store.record_report(_report("one", verdicts)), 1)
    number = 0

    async def change_one() -> None:
        nonlocal verdicts, number
        number += 1
        changed = list(verdicts)
        changed[_REPORT_SIZE // 2] = _verdict(_REPORT_SIZE // 2, number, drifted=True)
        await store.record_report(_report("one", changed))
        verdicts = changed

    one = await _timed("report with one change", change_one, rounds)
    await store.close()
    store = await Store.open(url)
    restarted = await _timed("first report after a restart", lambda: store.record_report(_report("one", verdicts)), 1)
    verdicts.insert(100, replace(verdicts[100], ref=ResourceRef("", "ConfigMap", "team-1", "new")))
    between = await _timed(
        "report with an object more in front", lambda: store.record_report(_report("one", verdicts)), 1
    )
    await store.close()
    return [first, one, restarted, between]


async def _timed(what: str, call: Callable[[], Awaitable[Any]], rounds: int, answer: int | None = None) -> Timing:
    times = []
    cpu = time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time() - cpu) / rounds * 1000
    p99 = quantiles(times, n=100)[98] if rounds > 1 else times[0]
    return Timing(what, rounds, answer, median(times), p99, cpu)


def _report(app: str, verdicts: Sequence[Verdict]) -> Report:
    return Report(app, "prod", _REVISION, Verdicts.of(verdicts), _BEGAN)


def _verdicts(count: int, seed: int) -> list[Verdict]:
    return [_verdict(number, seed, drifted=number % 10 == 0) for number in range(count)]


def _verdict(number: int, seed: int, *, drifted: bool) -> Verdict:
    group, kind = _KINDS[(number // 10) % len(_KINDS)]
    by = FieldOwner("kubectl-edit" if number % 100 == 0 else "helm", "Update", time=_BEGAN + timedelta(minutes=seed))
    field = FieldDrift(("spec", "replicas"), Change.CHANGED, 3, 5 + seed, ("spec", "replicas"), by)
    return Verdict(
        ResourceRef(group, kind, f"team-{number // 50 % _NAMESPACES}", f"object-{number}"),
        f"{group}/v1" if group else "v1",
        Status.DRIFTED if drifted else Status.IN_SYNC,
        Source(f"apps/{number}.yaml", 1),
        (field,) if drifted else (),
        health=HealthState.DEGRADED if number % 50 == 0 else HealthState.HEALTHY,
    )


if __name__ == "__main__":
    sys.exit(main())
