"""`driftd sync`, `rollback`, `status`, `history` and `incident`: commands and queries on what the daemon works on."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from driftd.cli.output.at_work import print_at_work
from driftd.cli.output.incident import incident_json, print_incident
from driftd.cli.output.lines import console_for
from driftd.cli.output.outbox import print_outbox
from driftd.cli.output.overview import (
    app_json,
    history_json,
    print_app,
    print_history,
    print_status,
    status_json,
)
from driftd.cli.output.progress import Progress, progress
from driftd.cli.output.table import print_reports
from driftd.cli.output.trouble import print_trouble
from driftd.config.duration import parse_duration
from driftd.config.expansion import Expansion, folder_queries
from driftd.config.loading import load
from driftd.daemon.components import Components, components
from driftd.daemon.neighbours import read_neighbours
from driftd.daemon.patterns import expanded, fetched, mirrored
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.drift import Status
from driftd.model.errors import DriftdError
from driftd.model.plan import Action, Mode, Outcome
from driftd.model.report import Report
from driftd.model.revision import RevisionState
from driftd.policy.borders import Borders
from driftd.process.supervisor import Supervisor
from driftd.reconcile.commands import carry_out
from driftd.reconcile.leases import keep_leases
from driftd.service.commands import CommandResult
from driftd.service.views import HistoryFilter

_DELIVERY_TIMEOUT = 10.0
"""Seconds that a command waits for its messages to be delivered; the daemon delivers what is left."""

_POLL_SECONDS = 0.2


async def run_sync(file: Path, name: str, *, release: bool) -> int:
    """Applies what Git declares for an app. Returns the exit code: 0 all is in sync, 1 something still differs."""
    return await _operate(file, name, CommandKind.SYNC, release=release)


async def run_rollback(file: Path, name: str, *, to: str | None, force: bool) -> int:
    """Applies an earlier revision of an app and holds it there. Returns the exit code, as `run_sync`.

    Raises: DriftdError: also where `to` was bad, unless by `force`.
    """
    return await _operate(file, name, CommandKind.ROLLBACK, to=to, force=force)


async def _refuse_bad(made: Components, name: str, to: str) -> None:
    record = await made.store.revision(name, to)  # one that is not there is told when the command is carried out
    if record is not None and record.state is RevisionState.BAD:
        raise DriftdError(
            f"revision {record.revision.short} of app {name} was bad: {record.reason or 'no reason is recorded'}. "
            "--force goes back to it all the same; without --to, it is the last good one"
        )


async def run_status(file: Path, name: str | None, output: str) -> int:
    """Shows every app of the configuration as its last pass left it, or all that is known of one."""

    async def show(made: Components) -> int:
        if name is None:
            statuses = await made.queries.app_statuses()
            backlog, trouble = await made.queries.outbox(), await made.queries.trouble()

            def table(console: Console, now: datetime) -> None:
                print_status(console, statuses, now=now)
                print_at_work(console, statuses, now=now)
                print_trouble(console, trouble, now=now)
                print_outbox(console, backlog, now=now)

            _print(output, lambda: status_json(statuses, backlog, trouble), table)
            return 0
        detail = await made.queries.app_detail(name)
        if detail is None:
            raise _no_app(name, await made.queries.apps())
        _print(output, lambda: app_json(detail), lambda c, now: print_app(c, detail, now=now))
        return 0

    return await _with_store(file, show, name)


def _no_app(name: str, apps: Sequence[App]) -> DriftdError:
    known = ", ".join(app.name for app in apps) or "none"
    return DriftdError(f"there is no app {name!r} in the configuration (there are: {known})")


async def run_history(file: Path, criteria: HistoryFilter, limit: int, output: str) -> int:
    """Shows what happened to an app, or to all, newest first."""

    async def show(made: Components) -> int:
        name = criteria.app
        apps = await made.queries.apps()
        if name is not None and name not in [app.name for app in apps]:
            raise _no_app(name, apps)
        lines = await made.queries.history(criteria, limit)
        of_one, filtered = name is not None, criteria != HistoryFilter(app=name)
        _print(
            output,
            lambda: history_json(name, lines),
            lambda c, now: print_history(c, lines, now=now, of_one_app=of_one, filtered=filtered),
        )
        return 0

    return await _with_store(file, show, criteria.app)


async def run_incident(file: Path, name: str, output: str) -> int:
    """Shows everything about the incident whose id starts so."""

    async def show(made: Components) -> int:
        detail = await made.queries.incident(name)
        if detail is None:
            raise DriftdError(f"there is no incident {name!r} in the store (`driftd history` has their ids)")
        _print(output, lambda: incident_json(detail), lambda c, now: print_incident(c, detail, now=now))
        return 0

    return await _with_store(file, show)


def moment(text: str, now: datetime) -> datetime:
    """The time that `2h` (ago), `2026-11-22` or `2026-11-22T08:52:11Z` names, in UTC where it names no zone.

    Raises: DriftdError: none.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DriftdError(
            f"--since must be a span such as 30m or 2h, or a time such as 2026-11-22T08:52:11Z (got {text!r})"
        ) from error
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _print(output: str, document: Callable[[], str], table: Callable[[Console, datetime], None]) -> None:
    if output == "json":
        print(document(), end="")
    else:
        table(console_for(sys.stdout), datetime.now(UTC))


async def _expanded(file: Path, name: str | None) -> Expansion:
    """The configuration in which each app has its own entry: by what is mirrored, or by Git where that has no `name`.

    Raises: ConfigError.
    """
    config = load(file)
    expansion = await expanded(config, mirrored(config))
    known = name is None or expansion.config.app(name) is not None or name in expansion.not_judged
    return expansion if known or not folder_queries(config) else await expanded(config, fetched(config))


async def _with_store(file: Path, show: Callable[[Components], Awaitable[int]], name: str | None = None) -> int:
    expansion = await _expanded(file, name)
    async with components(expansion.config, not_judged=lambda: expansion.not_judged) as made:
        code = await show(made)
        if not (unreadable := list(made.store.unreadable)):
            return code
    names = ", ".join(unreadable[:5]) + (f" and {len(unreadable) - 5} more" if len(unreadable) > 5 else "")
    print(f"left out, as the store's records of them cannot be read: {names}", file=sys.stderr)
    return code or 2


async def _operate(
    file: Path, name: str, kind: CommandKind, *, to: str | None = None, release: bool = False, force: bool = False
) -> int:
    expansion = await _expanded(file, name)
    if name in expansion.not_judged:
        raise DriftdError(f"app {name}: {expansion.not_judged[name][1]}")
    async with components(expansion.config) as made:
        mode = made.app(name).mode
        if mode is Mode.OBSERVE and not release:
            raise DriftdError(
                f"app {name} is in mode observe, in which driftd never writes to the cluster: "
                f"set `mode: approve` (or heal) in {file} to allow it"
            )
        if to is not None and not force:
            await _refuse_bad(made, name, to)
        ending = await made.store.hold(name) if release else None
        told = await _tell_outside(made, name)
        with progress() as shown:
            command = await made.commands.submit(name, kind, _person(), to=to, release=release)
            try:
                result, report = await _until_done(made, command, shown)
            except BaseException:
                await made.commands.cancel(command)  # has an effect on a pending command only
                raise
        if result.warning is not None:
            print(result.warning, file=sys.stderr)
        for conflict in result.conflicts:
            print(conflict, file=sys.stderr)
        if ending is not None and result.hold is None:
            print(f"no longer held at {ending.revision[:8]}")
        await _tell_outside(made, name, told)
        _show(result, report, mode)
        await made.dispatcher.drain(_DELIVERY_TIMEOUT)
        return _exit_code(result)


async def _tell_outside(made: Components, name: str, told: Collection[str] = ()) -> Collection[str]:
    """Says which objects lie outside of an app's borders, by its last report, but for those that were `told` already.

    Returns: all that were told.
    """
    report = await made.store.last_report(name)
    app = made.app(name)
    if report is None or app.mode is Mode.OBSERVE:
        return told
    borders = Borders.of(app, (await made.view(app.cluster)).cluster.namespace)
    lines = {
        f"not written: {verdict.ref}: {reason}"
        for verdict in report.notable
        if verdict.status in (Status.DRIFTED, Status.MISSING) and (reason := borders.outside(verdict.ref)) is not None
    }
    for line in sorted(lines - set(told)):
        print(line, file=sys.stderr)
    return lines | set(told)


async def _until_done(made: Components, command: Command, shown: Progress) -> tuple[CommandResult, Report]:
    """Waits for the daemon that holds the app's lease; where none does, takes the lease and carries it out."""
    app = command.app
    while (result := await made.commands.result(command)) is None:
        if await made.leases.acquire(app):
            await _carry_out(made, command, shown)
        else:
            shown.step(f"waiting for {made.leases.other_holder(app)}, which is at work on app {app}")
            await asyncio.sleep(_POLL_SECONDS)
    report = await made.store.last_report(app)
    if report is None:
        raise DriftdError(f"app {app}: no pass has been recorded")
    return result, report


async def _carry_out(made: Components, command: Command, shown: Progress) -> None:
    shown.step("fetching and applying")
    reconciler = await made.reconciler(command.app)
    supervisor = Supervisor()
    supervisor.start("leases", lambda: keep_leases(made.leases, lambda: (), lambda _app: None))
    try:
        await reconciler.source.resume()
        if await made.store.start_command(command.id, made.leases.holder):  # else the last holder has done it
            await carry_out(made.store, reconciler, command, partial(_know_neighbours, made, command.app))
    finally:
        await supervisor.stop()
        await reconciler.close()
        await made.leases.release()


async def _know_neighbours(made: Components, name: str) -> None:
    for problem in await read_neighbours(made, name):
        print(problem, file=sys.stderr)


def _show(result: CommandResult, report: Report, mode: Mode) -> None:
    console = console_for(sys.stdout)
    if (hold := result.hold) is not None:
        console.print(f"held at {hold.revision[:8]} instead of {hold.bad_revision[:8]}: {hold.reason}", markup=False)
    if result.action is None:
        not_written = (
            "the app is in mode observe" if mode is Mode.OBSERVE else "what differs is not for driftd to write"
        )
        differs = "nothing differs" if report.in_sync else not_written
        console.print(f"nothing to apply: {differs}", markup=False)
    else:
        _show_action(console, result.action)
    print_reports(console, [report], now=datetime.now(UTC))


def _show_action(console: Console, action: Action) -> None:
    for applied in action.applied:
        text = f"{applied.outcome:<10} {applied.ref}"
        if applied.outcome is Outcome.FAILED:
            console.print(f"{text}: {applied.error}", style="red", markup=False)
        else:
            taken = f", taken over from {applied.taken_from}" if applied.taken_from is not None else ""
            console.print(f"{text}{taken}", markup=False)


def _exit_code(result: CommandResult) -> int:
    if result.action is not None and result.action.failed:
        return 1
    if result.undecided:
        return 2
    return 0 if result.in_sync else 1


def _person() -> str:
    """Who runs the command, as far as the machine knows: `SUDO_USER` for one who became root."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
