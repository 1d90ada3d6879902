"""The tables of `status` and `history`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftd.cli.output import describe
from driftd.cli.output.json import dump
from driftd.cli.output.table import STATUS_STYLES
from driftd.model.document import incident_document, timestamp
from driftd.model.health import HealthState
from driftd.model.incident import Incident
from driftd.model.plan import Hold
from driftd.model.revision import RevisionState
from driftd.model.text import one_line
from driftd.service.views import AppStatus, HistoryLine, Tone, outbox_document
from driftd.store.records import Backlog

_DIM = "bright_black"
_MIN_WIDTH_FOR_AGES = 100
"""Minimum width, in columns, for "3 days ago" next to a time."""
_STATE_STYLES = {
    RevisionState.SEEN: _DIM,
    RevisionState.APPLIED: "cyan",
    RevisionState.GOOD: "green",
    RevisionState.BAD: "red",
}
_HEALTH_STYLES = {
    HealthState.HEALTHY: "green",
    HealthState.PROGRESSING: "cyan",
    HealthState.DEGRADED: "red",
    HealthState.UNKNOWN: "yellow",
}


_TONE_STYLES = {Tone.GOOD: "green", Tone.BAD: "red", Tone.NEUTRAL: "default"}


def print_status(console: Console, apps: Sequence[AppStatus], *, now: datetime) -> None:
    """Prints a row per app: mode, revision and its state, health, counts, last pass; holds and errors below."""
    if not apps:
        console.print(Text("No apps are configured.", style=_DIM))
        return
    table = _table("App", "Mode", "Revision", "Health", "Objects", "Last pass")
    for app in apps:
        table.add_row(
            _app_name(app),
            Text(str(app.mode)),
            _revision(app),
            Text(str(app.health), style=_HEALTH_STYLES[app.health]) if app.health else _nothing(),
            _objects(app),
            Text(describe.ago(app.last_pass, now)) if app.last_pass else Text("not yet", style=_DIM),
        )
    console.print(table)
    if any(app.hold or app.error for app in apps):
        console.print()
    for app in apps:
        if app.hold:
            console.print(_hold(app.hold, now))
        if app.error:
            console.print(Text(f"{one_line(app.app)}: {one_line(app.error)}", style="red"))


def print_history(console: Console, entries: Sequence[HistoryLine], *, now: datetime) -> None:
    """Prints a row per event, in the order given."""
    if not entries:
        console.print(Text("Nothing has happened yet.", style=_DIM))
        return
    table = _table("When", "What", "Revision", "By", "Detail")
    for entry in entries:
        when = Text(describe.absolute(entry.time))
        if console.width >= _MIN_WIDTH_FOR_AGES:
            when.append(f", {describe.ago(entry.time, now)}", style=_DIM)
        table.add_row(
            when,
            Text(one_line(entry.what), style=_TONE_STYLES[entry.tone]),
            Text(one_line(entry.revision[:8]), style="cyan") if entry.revision else _nothing(),
            Text(one_line(entry.by)) if entry.by else _nothing(),
            Text(one_line(entry.detail)),
        )
    console.print(table)


def status_json(apps: Sequence[AppStatus], backlog: Mapping[str, Backlog], trouble: Sequence[Incident]) -> str:
    """The same as JSON, in the form of `check -o json`, with what waits in the outbox and what else is wrong."""
    return dump(
        {
            "version": 1,
            "apps": [_status_document(app) for app in apps],
            "outbox": outbox_document(backlog),
            "incidents": [incident_document(incident) for incident in trouble],
        }
    )


def history_json(app: str, entries: Sequence[HistoryLine]) -> str:
    """The same as JSON, in the form of `check -o json`."""
    documents = [
        {
            "time": timestamp(entry.time),
            "what": entry.what,
            "tone": str(entry.tone),
            "revision": entry.revision,
            "by": entry.by,
            "detail": entry.detail,
        }
        for entry in entries
    ]
    return dump({"version": 1, "app": app, "history": documents})


def _status_document(app: AppStatus) -> dict[str, Any]:
    hold = app.hold
    return {
        "app": app.app,
        "cluster": app.cluster,
        "mode": str(app.mode),
        "revision": app.revision,
        "state": str(app.state) if app.state else None,
        "health": str(app.health) if app.health else None,
        "counts": {str(status): count for status, count in app.counts.items()} if app.counts is not None else None,
        "held": {
            "revision": hold.revision,
            "bad_revision": hold.bad_revision,
            "reason": hold.reason,
            "by": hold.by,
            "since": timestamp(hold.since),
        }
        if hold
        else None,
        "last_pass": timestamp(app.last_pass) if app.last_pass else None,
        "error": app.error,
    }


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_DIM, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("Revision", "Mode"))
    return table


def _app_name(app: AppStatus) -> Text:
    return Text(one_line(app.app), style="bold").append(f" on {one_line(app.cluster)}", style=f"not bold {_DIM}")


def _revision(app: AppStatus) -> Text:
    if app.revision is None:
        return _nothing()
    text = Text(one_line(app.revision[:8]), style="cyan")
    if app.state:
        text.append(f" {app.state}", style=_STATE_STYLES[app.state])
    if app.hold:
        text.append(" held", style="yellow")
    return text


def _objects(app: AppStatus) -> Text:
    if app.error:
        return Text("could not tell", style="red")
    if app.counts is None:
        return _nothing()
    parts = [
        Text(f"{count} {status.label}", STATUS_STYLES[status])
        for status in describe.WORST_FIRST
        if (count := app.counts.get(status))
    ]
    return Text("\n" if len(parts) > 2 else ", ").join(parts) if parts else Text("none", style=_DIM)


def _hold(hold: Hold, now: datetime) -> Text:
    return Text.assemble(
        (f"{one_line(hold.app)} is held", "yellow"),
        f" at {one_line(hold.revision[:8])} by {one_line(hold.by)}, {describe.ago(hold.since, now)}, ",
        f"until Git moves on from {one_line(hold.bad_revision[:8])}: {one_line(hold.reason)}",
    )


def _nothing() -> Text:
    return Text("-", style=_DIM)
