"""`driftd sync`, `rollback`, `status` and `history`: a person at work on what the daemon works on."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from driftd.cli.output.overview import (
    AppStatus,
    HistoryRow,
    Tone,
    history_json,
    print_history,
    print_status,
    status_json,
)
from driftd.cli.output.progress import progress
from driftd.cli.output.table import print_reports
from driftd.config.loading import load
from driftd.daemon.workspace import Components, components
from driftd.model.errors import DriftdError
from driftd.model.plan import Action, Mode, Outcome, Trigger
from driftd.reconcile.reconciler import PassResult
from driftd.repair.planner import Command
from driftd.store.records import HistoryEntry, HistoryKind

_DELIVER_WITHIN = 10.0
"""Seconds that a command waits for its messages to be taken; what is left then, the daemon delivers."""


async def run_sync(file: Path, name: str, *, release: bool) -> int:
    """Applies what Git declares for an app. Returns the exit code: 0 all is in sync, 1 something still differs."""
    ask = Command(Trigger.SYNC, _person(), release=release)
    return await _operate(file, name, ask)


async def run_rollback(file: Path, name: str, *, to: str | None) -> int:
    """Applies an earlier revision of an app and holds it there. Returns the exit code, as `run_sync`."""
    return await _operate(file, name, Command(Trigger.ROLLBACK, _person(), to=to))


async def run_status(file: Path, output: str) -> int:
    """Shows every app of the configuration as it was last seen."""

    async def show(space: Components) -> int:
        apps = [await _status(space, app.name) for app in space.config.apps]
        if output == "json":
            print(status_json(apps), end="")
        else:
            print_status(Console(), apps, now=datetime.now(UTC))
        return 0

    return await _with_store(file, show)


async def run_history(file: Path, name: str, limit: int, output: str) -> int:
    """Shows what happened to an app, newest first."""

    async def show(space: Components) -> int:
        space.app_config(name)
        entries = [_entry(entry) for entry in await space.store.history(name, limit)]
        if output == "json":
            print(history_json(name, entries), end="")
        else:
            print_history(Console(), entries, now=datetime.now(UTC))
        return 0

    return await _with_store(file, show)


async def _with_store(file: Path, show: Callable[[Components], Awaitable[int]]) -> int:
    async with components(load(file)) as space:
        return await show(space)


async def _operate(file: Path, name: str, ask: Command) -> int:
    async with components(load(file)) as space:
        if space.app_config(name).mode is Mode.OBSERVE:
            raise DriftdError(
                f"app {name} is in mode observe, in which driftd never writes to the cluster: "
                f"set `mode: approve` (or heal) in {file} to allow it"
            )
        with progress() as shown:
            shown.step("fetching")
            runner = await space.reconciler(name)
            await runner.source.resume()
            await runner.source.fetch()
            if runner.source.error:
                if runner.source.revision is None:
                    raise DriftdError(runner.source.error)
                print(f"{runner.source.error}; going on with {runner.source.revision.short}", file=sys.stderr)
            shown.step("applying")
            result = await runner.run(ask)
        _show(result)
        await space.dispatcher.drain(_DELIVER_WITHIN)
        return _exit_code(result)


def _show(result: PassResult) -> None:
    console = Console(highlight=False)
    if result.hold is not None:
        hold = result.hold
        console.print(f"held at {hold.revision[:8]} instead of {hold.bad_revision[:8]}: {hold.reason}", markup=False)
    if result.action is None:
        console.print("nothing to apply: nothing differs", markup=False)
    else:
        _show_action(console, result.action)
    print_reports(console, [result.report], now=datetime.now(UTC))


def _show_action(console: Console, action: Action) -> None:
    for applied in action.applied:
        text = f"{applied.outcome:<10} {applied.ref}"
        if applied.outcome is Outcome.FAILED:
            console.print(f"{text}: {applied.error}", style="red", markup=False)
        else:
            console.print(text, markup=False)


def _exit_code(result: PassResult) -> int:
    if result.action is not None and result.action.failed:
        return 1
    if result.report.undecided:
        return 2
    return 0 if result.report.in_sync else 1


async def _status(space: Components, name: str) -> AppStatus:
    config = space.app_config(name)
    report = await space.store.last_report(name)
    hold = await space.store.hold(name)
    revision = report.revision if report else None
    record = await space.store.revision(name, revision.sha) if revision else None
    return AppStatus(
        app=name,
        cluster=space.config.cluster_of(config).name,
        mode=config.mode,
        revision=revision.sha if revision else None,
        state=record.state if record else None,
        counts=report.counts if report else None,
        hold=hold,
        last_pass=report.time if report else None,
        error=report.error if report else None,
    )


def _entry(entry: HistoryEntry) -> HistoryRow:
    details = entry.details
    return HistoryRow(
        time=entry.time,
        what=str(entry.kind),
        tone=_tone(entry),
        revision=details.get("revision"),
        by=details.get("by"),
        detail=entry.summary,
    )


def _tone(entry: HistoryEntry) -> Tone:
    details = entry.details
    match entry.kind:
        case HistoryKind.REVISION:
            return {"good": Tone.GOOD, "bad": Tone.BAD}.get(details["state"], Tone.NEUTRAL)
        case HistoryKind.VERDICT:
            return Tone.GOOD if details["in_sync"] else Tone.BAD
        case HistoryKind.ACTION:
            return Tone.BAD if details["failed"] else Tone.GOOD
        case HistoryKind.INCIDENT:
            return Tone.GOOD if details["resolution"] else Tone.BAD
        case HistoryKind.HOLD:
            return Tone.BAD if details["held"] else Tone.GOOD
        case _:
            return Tone.BAD


def _person() -> str:
    """Who runs the command, as far as the machine knows: `SUDO_USER` for one who became root."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
