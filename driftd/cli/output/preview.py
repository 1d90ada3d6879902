"""Texts about previews that all formats for people share. All are safe to show, and one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.cli.output import describe
from driftd.model.drift import Change, FieldDrift
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from driftd.model.text import one_line, plural

EDITED = (Effect.CONFLICT, Effect.UNDONE)

NOTHING = "changes nothing that is live"
_MAX_BEFORE = 60
"""Characters of a value that was declared before."""

_MAX_IN_SHORT = 3
"""Fields of an object that are named in a line about it."""

OBJECT_MEANS = {
    Effect.CREATED: "not in the cluster yet",
    Effect.UNDONE: "deleted by somebody, and created again",
    Effect.ADOPTED: "there already, as it is declared",
    Effect.STANDING: "missing already",
}
STANDING_MEANS = (
    "Differs already, and is declared as before. A deployer that applies the whole app, as Argo CD, Flux, Helm and "
    "kubectl apply do, puts back what is declared of it:"
)
REMOVED_MEANS = "no longer declared: deleted if its deployer prunes, and left there if not"


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit by hand that deploying undoes: of a field, or that an object was deleted (`field` is None)."""

    object: ObjectPreview
    field: FieldPreview | None


def edits(preview: Preview) -> list[Edit]:
    """The edits that deploying undoes: those that the revision overwrites first."""
    found = [Edit(each, None) for each in preview.objects if each.effect is Effect.UNDONE]
    found += [Edit(each, field) for each in preview.objects for field in each.of(*EDITED)]
    return sorted(found, key=lambda edit: edit.field is None or edit.field.effect is not Effect.CONFLICT)


def conclusion(reports: Sequence[Report]) -> str:
    """`changes 3 fields, creates 1 object and undoes 2 edits by hand`; that nothing does only where that is certain."""
    parts = list(_parts([each for report in reports if report.preview for each in report.preview.objects]))
    if not parts:
        return "changes nothing that could be told" if any(report.undecided for report in reports) else NOTHING
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _parts(objects: Sequence[ObjectPreview]) -> Iterator[str]:
    of_objects = Counter(each.effect for each in objects)
    of_fields = Counter(field.effect for each in objects for field in each.fields)
    edits_undone = of_objects[Effect.UNDONE] + of_fields[Effect.UNDONE] + of_fields[Effect.CONFLICT]
    for count, verb, noun, more in (
        (of_fields[Effect.CHANGED], "changes", "field", ""),
        (of_objects[Effect.CREATED], "creates", "object", ""),
        (of_objects[Effect.REMOVED], "no longer declares", "object", ""),
        (edits_undone, "undoes", "edit", " by hand"),
        (of_fields[Effect.ADOPTED], "takes over", "edit", " by hand"),
    ):
        if count:
            yield f"{verb} {plural(count, noun)}{more}"


def told_from(report: Report) -> str:
    """`told from origin/main (4f0c1234)`."""
    preview = report.preview
    if preview is None:
        return ""
    return f"told from {one_line(preview.base_name)}{f' ({preview.base.short})' if preview.base else ''}"


def sides(field: FieldPreview, *, gone: bool = False, width: int = 120) -> tuple[str, str]:
    """The live value and the one after, each in at most `width` characters around the first difference."""
    drift = field.drift
    if field.effect is Effect.ADOPTED:
        live = describe.shorten(describe.scalar(drift.live), width)
        return live, live
    declared, live = describe.sides(drift, width)
    return "not there" if is_absent(field) else live, "gone" if gone or disappears(field) else declared


def is_absent(field: FieldPreview) -> bool:
    """Whether there is no live value."""
    return field.drift.change is Change.REMOVED


def disappears(field: FieldPreview) -> bool:
    """Whether there is a live value, and none afterwards."""
    return field.drift.change is Change.ADDED and field.effect is not Effect.ADOPTED


def meaning(field: FieldPreview, *, gone: bool = False, quote: Callable[[str], str] = str) -> str | None:
    """What becomes of an edit, any value in it as `quote` has it; None of what is none."""
    before = None
    if field.before is not None:
        before = f"declared {quote(describe.shorten(describe.scalar(field.before), _MAX_BEFORE))}"
    match field.effect:
        case Effect.UNDONE if gone:
            return "an edit that goes with the object"
        case Effect.UNDONE:
            return f"undoes this edit: {before} before, and still does" if before else "undoes this edit"
        case Effect.CONFLICT:
            return (
                f"overwrites this edit: {before} before" if before else "overwrites this edit: declared nothing before"
            )
        case Effect.ADOPTED:
            return (
                f"takes over this edit: {before} before" if before else "takes over this edit: declared nothing before"
            )
    return None


def reversed_drift(field: FieldPreview) -> FieldDrift:
    """The field with live in the place of what was, and what is declared in that of what is."""
    drift = field.drift
    opposite = {Change.ADDED: Change.REMOVED, Change.REMOVED: Change.ADDED}
    return replace(drift, desired=drift.live, live=drift.desired, change=opposite.get(drift.change, drift.change))


def who(drift: FieldDrift, now: datetime) -> str:
    """`kubectl-edit (Update), 3 days ago`."""
    by = drift.by
    if by is None:
        return "somebody (managedFields name nobody)"
    return f"{describe.owner(by)}, {describe.ago(by.time, now)}" if by.time else describe.owner(by)


def in_short(each: ObjectPreview, now: datetime) -> str:
    """`spec.replicas by kubectl-scale (Update), 3 days ago`: the fields that stay as they are, and who set them."""
    if each.effect is Effect.STANDING:
        return OBJECT_MEANS[each.effect]
    left = each.of(Effect.STANDING)
    fields = [f"{describe.path(f.drift.path)} by {_who_in_short(f.drift, now)}" for f in left[:_MAX_IN_SHORT]]
    hidden = len(left) - _MAX_IN_SHORT
    return ", ".join([*fields, plural(hidden, "more field")] if hidden > 0 else fields)


def _who_in_short(drift: FieldDrift, now: datetime) -> str:
    return why.replace("nobody: ", "nobody, as ") if (why := describe.reason(drift)) else who(drift, now)


def standing(report: Report) -> Sequence[ObjectPreview]:
    """The objects that differ, and with which the revision has nothing to do."""
    return [each for each in report.preview.objects if each.is_standing] if report.preview else []
