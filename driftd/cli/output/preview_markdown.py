"""What deploying a revision would do, as a comment on a pull or merge request: the edits that it undoes come first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from driftd.cli.output import describe, preview
from driftd.cli.output.difference import difference, needs_lines
from driftd.cli.output.markdown_text import Room, code, details, fenced
from driftd.model.drift import FieldOwner, Status
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from driftd.model.text import plural, visible

_WIDTH = 80
_MAX_ROWS = 100
"""Rows of one table."""

_ICONS = {
    Effect.CREATED: "🟢",
    Effect.CHANGED: "🟡",
    Effect.CONFLICT: "🔴",
    Effect.UNDONE: "🟠",
    Effect.ADOPTED: "🔵",
    Effect.REMOVED: "🟣",
    Effect.STANDING: "⚪",
}
_EDITS_HEAD = ("| Object | Field | Live | After | Whose edit | |", "|---|---|---|---|---|---|")
_FIELDS_HEAD = ("| Field | Live | After | |", "|---|---|---|---|")

_cell = partial(code, in_table=True)


def title(reports: Sequence[Report]) -> str:
    """The headline: what deploying does, in numbers."""
    previews = [report.preview for report in reports if report.preview is not None]
    unclear = sum(report.undecided for report in reports)
    conclusion = preview.conclusion(reports)
    undone = any(preview.edits(each) for each in previews)
    icon = "⚠️" if undone else "❔" if unclear else "✅" if conclusion == preview.NOTHING else "🟡"
    told = f"; not all could be told, of {plural(unclear, 'app')}" if unclear else ""
    return f"### {icon} driftd: deploying this {conclusion}{told}"


def parts(told: Preview, now: datetime) -> Iterator[str]:
    """The parts of one app's comment, the most important first."""
    yield from _edits(told, now)
    yield from _objects(told, now)
    yield from _standing(told, now)


def is_unchanged(report: Report) -> bool:
    """Whether deploying changes nothing of an app, in which nothing differs either."""
    told = report.preview
    return told is not None and not told.objects and not report.undecided


def unchanged(reports: Sequence[Report], room: Room) -> str:
    """One line for all apps of which nothing changes, with as many of their names as there is room for."""
    names, _ = room.fill(code(report.app) for report in reports)
    more = "" if len(names) == len(reports) else " and others"
    return f"✅ Nothing changes in {plural(len(reports), 'app')}: {', '.join(names)}{more}"


def heading(report: Report, told: Preview) -> str:
    """The app, its cluster and revision, and what it is told from."""
    place = f"Cluster {code(report.cluster)}, told from {code(told.base_name)}"
    place += f" {code(told.base.short)}" if told.base else ""
    if revision := report.revision:
        place += f", at {code(revision.short)} {code(revision.subject)} by {code(revision.author)}"
    lines = [f"#### {code(report.app)}: {preview.conclusion([report])}", place]
    if report.error:
        lines.append(fenced(visible(report.error).split("\n")))
    return "\n\n".join(lines)


def _edits(told: Preview, now: datetime) -> Iterator[str]:
    """The edits by hand that are undone, as a table."""
    found = preview.edits(told)
    if not found:
        return
    rows = [_edit_row(edit, now) for edit in found[:_MAX_ROWS]]
    yield "\n\n".join(["**Edits by hand that it undoes**", _table(_EDITS_HEAD, rows, len(found), "edit")])
    for edit in found[:_MAX_ROWS]:
        if edit.field is not None and _is_long(edit.field) and edit.object.effect is not Effect.REMOVED:
            yield _long_value(edit.object, edit.field)


def _edit_row(edit: preview.Edit, now: datetime) -> str:
    name = _cell(describe.object_name(edit.object.verdict))
    if edit.field is None:
        meaning = f"{_ICONS[Effect.UNDONE]} created again"
        return (
            f"| {name} | *all of it* | *deleted* | *created again* | {_who(edit.object.verdict.by, now)} | {meaning} |"
        )
    gone = edit.object.effect is Effect.REMOVED
    live, after = _values(edit.field, gone=gone)
    meaning = f"{_ICONS[edit.field.effect]} {preview.meaning(edit.field, gone=gone, quote=_cell)}"
    path = _cell(describe.path(edit.field.drift.path))
    return f"| {name} | {path} | {live} | {after} | {_who(edit.field.drift.by, now)} | {meaning} |"


def _objects(told: Preview, now: datetime) -> Iterator[str]:
    """What changes besides: of each object that is created, removed, changed, taken over, or unknown."""
    for each in told.objects:
        shown = each.of(Effect.CHANGED, Effect.ADOPTED)
        notable = each.effect not in (None, Effect.STANDING, Effect.UNDONE)
        if not (shown or notable or each.verdict.error or each.verdict.refused):
            continue
        parts = [_object(each)]
        if each.verdict.error:
            parts.append(fenced(visible(each.verdict.error).split("\n")))
        if each.verdict.refused:
            parts.append(fenced([f"applying it would be refused: {visible(each.verdict.refused)}"]))
        if shown:
            rows = [_field_row(field, now) for field in shown[:_MAX_ROWS]]
            parts.append(_table(_FIELDS_HEAD, rows, len(shown), "field"))
        yield "\n\n".join(parts)
        for field in shown[:_MAX_ROWS]:
            if _is_long(field):
                yield _long_value(each, field)


def _object(each: ObjectPreview) -> str:
    unknown = each.verdict.status is Status.UNKNOWN
    effect = each.effect or Effect.CHANGED
    icon, word = ("❔", "unknown") if unknown else (_ICONS[effect], str(effect))
    line = f"{icon} **{word}** {code(describe.object_name(each.verdict))}"
    if each.effect is Effect.REMOVED:
        line += f", kept by its deployer ({code(each.kept)})" if each.kept else f", {preview.REMOVED_MEANS}"
    elif each.effect is not None:
        line += f", {preview.OBJECT_MEANS[each.effect]}"
    place = describe.declared_at(each.verdict)
    return f"{line} · {code(place)}" if place else line


def _field_row(field: FieldPreview, now: datetime) -> str:
    live, after = _values(field)
    drift = field.drift
    said = ""
    if (meaning := preview.meaning(field, quote=_cell)) is not None:
        said = f"{_ICONS[field.effect]} {meaning}, {_who(drift.by, now)}"
    elif drift.git:
        said = _cell(" ".join(filter(None, (describe.git_line(drift.git), describe.commit(drift.git)))))
    return f"| {_cell(describe.path(drift.path))} | {live} | {after} | {said} |"


def _values(field: FieldPreview, *, gone: bool = False) -> tuple[str, str]:
    """The cells of live and after; our own words for what is not there are no code."""
    live, after = (_cell(side) for side in preview.sides(field, gone=gone, width=_WIDTH))
    if _is_long(field) and not gone:
        live = after = "*see below*"
    if preview.is_absent(field):
        live = "*not there*"
    if gone or preview.disappears(field):
        after = "*gone*"
    return live, after


def _long_value(each: ObjectPreview, field: FieldPreview) -> str:
    lines = difference(preview.reversed_drift(field), sides=("in the cluster", "after"))
    names = (describe.object_name(each.verdict), describe.path(field.drift.path))
    return details("- live, + after:", *names, body=fenced(map(str, lines), "diff"))


def _is_long(field: FieldPreview) -> bool:
    return field.effect is not Effect.ADOPTED and needs_lines(field.drift, _WIDTH)


def _who(by: FieldOwner | None, now: datetime) -> str:
    if by is None:
        return "*nobody is named*"
    when = f", {describe.ago(by.time, now)} ({describe.absolute(by.time)})" if by.time else ""
    return f"{_cell(describe.owner(by))}{when}"


def _table(head: Sequence[str], rows: Sequence[str], count: int, noun: str) -> str:
    text = "\n".join([*head, *rows])
    return text if count == len(rows) else f"{text}\n\n… and {plural(count - len(rows), f'more {noun}')}"


def _standing(told: Preview, now: datetime) -> Iterator[str]:
    """What differs already, folded up: the revision has nothing to do with it."""
    left = [each for each in told.objects if each.effect is Effect.STANDING or each.of(Effect.STANDING)]
    if not left:
        return
    rows = [f"- {code(describe.object_name(each.verdict))}: {code(preview.in_short(each, now))}" for each in left]
    hidden = len(left) - _MAX_ROWS
    more = [f"- … and {plural(hidden, 'more object')}"] if hidden > 0 else []
    body = "\n".join([preview.STANDING_MEANS, "", *rows[:_MAX_ROWS], *more])
    yield details(f"Drift of {plural(len(left), 'object')} that it does not touch", body=body)
