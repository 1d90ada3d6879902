"""GitHub's and GitLab's Markdown, for comments on pull requests.

All texts from clusters and repositories are in code spans: there they are no markup, no links and no mentions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from driftd.cli.output import describe, preview_markdown
from driftd.cli.output.difference import difference, needs_lines
from driftd.cli.output.markdown_text import Room, code, fenced
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.report import Report
from driftd.model.text import plural, visible

MAX_CHARACTERS = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""

_RESERVE = 1_000
"""Characters for what is said of the parts that are left out."""

_FEW_FIELDS = 5
"""Of an object that does not fit with all of its fields."""

_ICONS = {
    Status.IN_SYNC: "✅",
    Status.DRIFTED: "🟡",
    Status.MISSING: "🔴",
    Status.ORPHANED: "🟣",
    Status.IGNORED: "⚪",
    Status.UNKNOWN: "❔",
}
_WIDTH = 80


def render(reports: Sequence[Report], *, max_characters: int = MAX_CHARACTERS, now: datetime | None = None) -> str:
    """The reports as Markdown. Objects past `max_characters` are left out and counted."""
    previewed = any(report.preview is not None for report in reports)
    blocks = [preview_markdown.title(reports) if previewed else _title(reports)]
    room = Room(max_characters - len(blocks[0]) - _RESERVE)
    apps_left_out = 0
    unchanged = [report for report in reports if preview_markdown.is_unchanged(report)]
    for report in reports:
        if preview_markdown.is_unchanged(report):
            continue
        if report.preview is not None and report.preview.error is None:
            heading = preview_markdown.heading(report, report.preview)
            parts = preview_markdown.parts(report.preview, now or datetime.now(UTC))
        else:
            heading, parts = _heading(report), _objects(report, room)
        if not room.take(heading):
            apps_left_out += 1
            continue
        blocks.append(heading)
        fitting, left_out = room.fill(parts)
        blocks += fitting
        if left_out:
            blocks.append(f"*… and {plural(left_out, 'more object')} that did not fit here.*")
    if unchanged:
        blocks.append(preview_markdown.unchanged(unchanged, room))
    if apps_left_out:
        blocks.append(f"*… and {plural(apps_left_out, 'more app')} that did not fit here.*")
    return "\n\n".join(blocks) + "\n"


def _objects(report: Report, room: Room) -> Iterator[str]:
    """What differs; of an object for which there is not enough room, the first fields."""
    for verdict in report.verdicts:
        if verdict.status not in (Status.IN_SYNC, Status.IGNORED):
            block = _object(verdict)
            yield block if room.has(block) else _object(verdict, _FEW_FIELDS)


def _title(reports: Sequence[Report]) -> str:
    out_of_sync = [report for report in reports if not report.in_sync]
    if not reports:
        return "### driftd: nothing to check"
    apps = plural(len(reports), "app")
    if not out_of_sync:
        return f"### ✅ driftd: {apps} in sync"
    drifted = sum(bool(report.drifted) for report in out_of_sync)
    unclear = len(out_of_sync) - drifted
    parts = [f"drift in {drifted} of {apps}"] if drifted else []
    parts += [f"could not tell for {unclear} of {apps}"] if unclear else []
    return f"### {'⚠️' if drifted else '❔'} driftd: {', '.join(parts)}"


def _heading(report: Report) -> str:
    icon = "✅" if report.in_sync else "❔" if report.undecided else "⚠️"
    lines = [f"#### {icon} {code(report.app)}: {describe.conclusion(report)}"]
    place = f"cluster {code(report.cluster)}"
    if revision := report.revision:
        place += f", revision {code(revision.short)} {code(revision.subject)} by {code(revision.author)}"
    tally = describe.counts(report)
    lines.append(f"{tally[:1].upper()}{tally[1:]} · {place}" if tally else place[:1].upper() + place[1:])
    if report.pending is not None:
        lines.append(code(describe.pending(report.pending)))
    errors = (report.error, report.preview.error if report.preview else None)
    lines += [fenced(visible(error).split("\n")) for error in errors if error]
    return "\n\n".join(lines)


def _object(verdict: Verdict, max_fields: int = describe.MAX_FIELDS) -> str:
    title = f"{_ICONS[verdict.status]} **{verdict.status.label}** {code(describe.object_name(verdict))}"
    if meaning := describe.STATUS_MEANS.get(verdict.status):
        title += f", {meaning}"
    if place := describe.declared_at(verdict):
        title += f" · {code(place)}"
    return "\n\n".join([title, *_details(verdict, max_fields)])


def _details(verdict: Verdict, max_fields: int) -> Iterator[str]:
    if verdict.error:
        yield fenced(visible(verdict.error).split("\n"))
    if verdict.refused:
        yield fenced([f"applying it would be refused: {visible(verdict.refused)}"])
    if verdict.behind:
        lag = verdict.behind
        then = describe.absolute(lag.revision.time)
        yield f"Behind by {plural(lag.commits, 'commit')}: live is what {code(lag.revision.short)} declared, {then}."
    if verdict.left_to is not None:
        yield f"Left to {code(verdict.left_to)}."
    if (taken := describe.taken_over(verdict)) is not None:
        yield f"It is {code(taken)}."
    shown = verdict.fields[:max_fields]
    if shown:
        rows = [_row(field) for field in shown]
        yield "\n".join(["| Field | Git | Cluster | By | Declared at |", "|---|---|---|---|---|", *rows])
    if (more := describe.more_fields(verdict, max_fields)) is not None:
        yield more
    for field in shown:
        if needs_lines(field, _WIDTH):
            yield f"{code(describe.path(field.path))}:"
            yield fenced(map(str, difference(field)), "diff")


def _row(field: FieldDrift) -> str:
    if needs_lines(field, _WIDTH):
        desired, live = "*see below*", "*see below*"
    else:
        desired, live = (code(side, in_table=True) for side in describe.sides(field, _WIDTH))
    if field.change is Change.ADDED:
        desired = "*not in Git*"
    elif field.change is Change.REMOVED:
        live = "*gone*"
    by = "*nobody: Git has moved on*" if field.behind else "*nobody named*"
    if field.by and not field.behind:
        by = code(describe.owner(field.by), in_table=True)
        by += f" {describe.absolute(field.by.time)}" if field.by.time else ""
    if field.left_to is not None:
        by += f"; left to {code(field.left_to, in_table=True)}"
    declared = ""
    if field.git:
        words = " ".join(part for part in (describe.git_line(field.git), describe.commit(field.git)) if part)
        declared = code(words, in_table=True)
    path = code(describe.path(field.path), in_table=True)
    return f"| {path} | {desired} | {live} | {by} | {declared} |"
