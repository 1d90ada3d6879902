"""The tables of `status` and `history`: a line a row, whatever the width of the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.cli.output.json import dump
from driftd.cli.output.table import STATUS_STYLES, print_reports
from driftd.model.document import incident_document
from driftd.model.drift import Status
from driftd.model.health import HealthState
from driftd.model.incident import Incident
from driftd.model.plan import Hold, Mode
from driftd.model.resource import JsonObject
from driftd.model.reverted import span
from driftd.model.revision import RevisionState
from driftd.model.text import one_line, plural
from driftd.service.documents import app_document, history_document, outbox_document, statuses_document
from driftd.service.views import AppDetail, AppStatus, HistoryLine, Tone
from driftd.store.records import Backlog

_DIM = "bright_black"
_MIN_WIDTH_FOR_AGES = 100
"""Minimum width, in columns, for "3 days ago" next to a time."""
_MAX_VALUE = 60
"""Maximum number of characters of a value in a line of the history."""
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
    """Prints a line per app: mode, revision and its state, health, counts, last pass; holds and errors below."""
    if not apps:
        console.print(Text("No apps are configured.", style=_DIM))
        return
    several_clusters = len({app.cluster for app in apps}) > 1
    rows = [
        (
            _app_name(app, with_cluster=several_clusters),
            _mode(app),
            _revision(app),
            Text(str(app.health), style=_HEALTH_STYLES[app.health]) if app.health else _nothing(),
            _objects(app),
            Text(describe.ago(app.last_pass, now)) if app.last_pass else Text("not yet", style=_DIM),
        )
        for app in apps
    ]
    _print_rows(console, ("App", "Mode", "Revision", "Health", "Objects", "Last pass"), rows)
    if any(app.hold or app.error or app.pending for app in apps):
        console.print()
    for app in apps:
        if app.hold:
            _print_line(console, _hold(app.hold, now))
        if app.pending is not None:
            _print_line(console, Text(f"{one_line(app.app)}: {describe.pending(app.pending)}", style="cyan"))
        if app.error:
            _print_line(console, Text(f"{one_line(app.app)}: {one_line(app.error)}", style="red"))


def print_app(console: Console, detail: AppDetail, *, now: datetime) -> None:
    """Prints one app: its line of the status, what differs from Git, what is not healthy, and its open incidents."""
    print_status(console, [detail.status], now=now)
    report = detail.report
    if report is None:
        return
    console.print()
    print_reports(console, [report], now=now)
    unhealthy = [one for one in report.verdicts if one.health not in (None, HealthState.HEALTHY)]
    if unhealthy:
        console.print()
    for one in unhealthy:
        state = Text(str(one.health), style=_HEALTH_STYLES[one.health or HealthState.UNKNOWN])
        _print_line(
            console, Text.assemble(f"{describe.object_name(one)} is ", state, f": {one_line(one.health_message)}")
        )
    if detail.incidents:
        console.print()
    for incident in detail.incidents:
        since = f"since {describe.to_the_second(incident.first_seen)}, {describe.ago(incident.first_seen, now)}"
        _print_line(console, Text.assemble((f"incident {incident.id[:12]}", "cyan"), f" {incident.type}, {since}"))


def print_history(
    console: Console, lines: Sequence[HistoryLine], *, now: datetime, of_one_app: bool = True, filtered: bool = False
) -> None:
    """Prints a line per event, in the order given; below a verdict or an action a line per field of its objects.

    `filtered`: more may have happened than was asked for.
    """
    if not lines:
        text = "Nothing of what happened fits all of these options." if filtered else "Nothing has happened yet."
        console.print(Text(text, style=_DIM))
        return
    headings = (
        ("When", "What", "Revision", "By", "Detail")
        if of_one_app
        else ("When", "App", "What", "Revision", "By", "Detail")
    )
    rows = [_history_row(console, line, now, of_one_app=of_one_app) for line in lines]
    below = [list(_object_lines(line)) if line.incident is None else [] for line in lines]
    _print_rows(console, headings, rows, below)


def status_json(apps: Sequence[AppStatus], backlog: Mapping[str, Backlog], trouble: Sequence[Incident]) -> str:
    """The same as JSON, in the form of `check -o json`, with what waits in the outbox and what else is wrong."""
    incidents = [incident_document(incident) for incident in trouble]
    return dump({**statuses_document(apps), "outbox": outbox_document(backlog), "incidents": incidents})


def app_json(detail: AppDetail) -> str:
    """One app as JSON, in the form of `check -o json`."""
    return dump(app_document(detail))


def history_json(app: str | None, lines: Sequence[HistoryLine]) -> str:
    """The same as JSON, in the form of `check -o json`."""
    return dump(history_document(app, lines))


def _history_row(console: Console, line: HistoryLine, now: datetime, *, of_one_app: bool) -> tuple[Text, ...]:
    when = Text(describe.to_the_second(line.time))
    if console.width >= _MIN_WIDTH_FOR_AGES:
        when.append(f", {describe.ago(line.time, now)}", style=_DIM)
    detail = Text(one_line(line.detail))
    if line.incident is not None:
        detail.append(f" (incident {one_line(line.incident[:12])})", style=_DIM)
    app = () if of_one_app else (Text(one_line(line.app), style="bold"),)
    return (
        when,
        *app,
        Text(one_line(line.what), style=_TONE_STYLES[line.tone]),
        Text(one_line(line.revision[:8]), style="cyan") if line.revision else _nothing(),
        Text(one_line(line.by)) if line.by else _nothing(),
        detail,
    )


def _object_lines(line: HistoryLine) -> Iterator[Text]:
    """A line per field: before and after where driftd wrote, both sides where it only looked."""
    for one in line.objects:
        if "put_back_by" in one:
            yield from _reverted_lines(one)
            continue
        name = f"{one['namespace']}/{one['name']}" if one["namespace"] else one["name"]
        subject = f"  {one_line(str(one['kind']))} {one_line(str(name))}"
        outcome = one.get("outcome")
        ending = f", {outcome}: {one_line(one['error'])}" if one.get("error") else f", {outcome}" if outcome else ""
        if claim := one.get("taken_from"):
            whom = f"{claim['deployer']} ({claim['by']})" if claim["by"] else str(claim["deployer"])
            ending = f", taken over from {one_line(whom)}{ending}"
        if not one["fields"]:
            is_write = "operation" in one  # its "by" is a person, whom the row names already
            who = one.get("deleted_by") or (None if is_write else one.get("by"))
            left = f", {describe.left_to(one['left_to'])}" if one.get("left_to") else ""
            yield Text(f"{subject} {one.get('status', '')}{_by(who)}{left}{ending}", style=_DIM)
        for field in one["fields"][: describe.MAX_FIELDS]:
            git, live = _sides(field)
            change = f"{live} → {git}" if outcome else f"Git {git}, live {live}"
            who = field.get("left_to") or one.get("left_to")
            left = f", {describe.left_to(who)}" if who else ""
            yield Text(f"{subject} {one_line(field['path'])}: {change}{_by(field['by'])}{left}{ending}", style=_DIM)
        if (hidden := len(one["fields"]) - describe.MAX_FIELDS) > 0:
            yield Text(f"{subject} … and {plural(hidden, 'more field')}", style=_DIM)


def _reverted_lines(edit: JsonObject) -> Iterator[Text]:
    """A line per field of an edit that was put back: both sides as they were, whose hand, its line in Git, its end."""
    name = f"{edit['namespace']}/{edit['name']}" if edit["namespace"] else edit["name"]
    subject = f"  {one_line(str(edit['kind']))} {one_line(str(name))}"
    end = f", put back{_by(edit['put_back_by'])} after {span(edit['seconds'])}"
    if not edit["fields"]:
        yield Text(f"{subject} deleted{_by(edit.get('by'))}{end}", style=_DIM)
    for field in edit["fields"][: describe.MAX_FIELDS]:
        git, had = _sides(field)
        line = field["git"]
        at = f" ({one_line(line['file'])}:{line['line']})" if line else ""
        yield Text(f"{subject} {one_line(field['path'])}: Git {git}{at}, had {had}{_by(field['by'])}{end}", style=_DIM)


def _sides(field: JsonObject) -> tuple[str, str]:
    git, live = (describe.shorten(describe.scalar(field[side]), _MAX_VALUE) for side in ("desired", "live"))
    return ("none" if field["change"] == "added" else git, "none" if field["change"] == "removed" else live)


def _by(owner: JsonObject | None) -> str:
    if owner is None:
        return ""
    user = f"{owner['user']} with " if owner.get("user") else ""
    return f" (by {one_line(user + owner['manager'])})"


def _print_rows(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[Text]], below: Sequence[Sequence[Text]] = ()
) -> None:
    """Prints columns as wide as what is in them: no row takes a second line by itself."""
    header: Sequence[Text] = [Text(heading, style=_DIM) for heading in headings]
    widths = [max(row[column].cell_len for row in (header, *rows)) for column in range(len(headings) - 1)]
    nothing: Sequence[Text] = ()
    for row, lines in zip((header, *rows), (nothing, *(below or [nothing] * len(rows))), strict=True):
        cells = [Text.assemble(cell, " " * (width - cell.cell_len)) for cell, width in zip(row, widths, strict=False)]
        _print_line(console, Text("  ").join([*cells, row[-1]]))
        for line in lines:
            _print_line(console, line)


def _print_line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _app_name(app: AppStatus, *, with_cluster: bool) -> Text:
    name = Text(one_line(app.app), style="bold")
    return name.append(f" on {one_line(app.cluster)}", style=f"not bold {_DIM}") if with_cluster else name


def _mode(app: AppStatus) -> Text:
    """The mode, with `deploys: false`, which makes no difference in observe."""
    text = Text(str(app.mode))
    return text if app.deploys or app.mode is Mode.OBSERVE else text.append(", deploys: false", style=_DIM)


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
    if not parts:
        return Text("none", style=_DIM)
    in_sync = app.counts.get(Status.IN_SYNC)
    if len(parts) == 1 or not in_sync:
        return Text(", ").join(parts)
    return Text(", ").join(parts[:-1]).append(f" of {sum(app.counts.values())}", style=_DIM)


def _hold(hold: Hold, now: datetime) -> Text:
    return Text.assemble(
        (f"{one_line(hold.app)} is held", "yellow"),
        f" at {one_line(hold.revision[:8])} by {one_line(hold.by)}, {describe.ago(hold.since, now)}, ",
        f"until Git moves on from {one_line(hold.bad_revision[:8])}: {one_line(hold.reason)}",
    )


def _nothing() -> Text:
    return Text("-", style=_DIM)
