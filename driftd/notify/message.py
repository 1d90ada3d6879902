"""The content of a message about an incident, before a channel formats it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.drift import Behind, Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.incident import Ended, Incident, IncidentEvent, IncidentType, Notification, Resolution
from driftd.model.path import format_path
from driftd.model.plan import SYSTEM_ACTOR
from driftd.model.revision import GitLine
from driftd.model.text import plural
from driftd.notify import wording

MAX_OBJECTS = 10
MAX_ENDED = 5
"""Maximum number of objects whose drift is over, in the message about an incident that goes on."""
MAX_FIELDS = 30
_MAX_NOTES = 10
_MAX_NOTE_LENGTH = 300

_EMOJI = {
    IncidentType.DRIFT: "⚠️",
    IncidentType.UNHEALTHY: "💔",
    IncidentType.SYNC_FAILED: "❌",
    IncidentType.ROLLBACK: "⏪",
    IncidentType.SOURCE: "🔌",
    IncidentType.CONFLICT: "🔀",
    IncidentType.CONFIG: "📝",
}

_STATES = {
    Status.MISSING: "missing from the cluster",
    Status.ORPHANED: "in the cluster, not in Git",
    Status.UNKNOWN: "could not be read",
}
"""Where a status is said in more words than its label."""

_ENDINGS = {
    Resolution.HEALED: "healed by driftd",
    Resolution.REVERTED: "no longer so, without driftd",
    Resolution.ACCEPTED: "accepted: Git now declares what is live",
    Resolution.DEPLOYED: "deployed: what Git declares is in the cluster now",
    Resolution.DELETED: "deleted, without driftd",
    Resolution.IGNORED: "ignored by a rule",
    Resolution.ROLLED_BACK: "the app was rolled back",
    Resolution.RELEASED: "released by a person",
    Resolution.RECOVERED: "it works again",
    Resolution.SUPERSEDED: "superseded: Git has moved on",
    Resolution.UNCONFIRMED: "as Git declares again: by driftd or by somebody else, driftd ended at that moment",
    Resolution.UNTRACKED: "no longer followed: the revisions that brought it are not kept any more",
    Resolution.REMOVED: "no longer in the configuration",
    Resolution.MIXED: "each object in its own way",
}

_ENDINGS_OF = {
    (IncidentType.DRIFT, Resolution.REVERTED): "put back by somebody else",
    (IncidentType.UNHEALTHY, Resolution.RECOVERED): "nothing is unhealthy any more",
    (IncidentType.SYNC_FAILED, Resolution.HEALED): "applied by driftd",
    (IncidentType.SYNC_FAILED, Resolution.REVERTED): "nothing is left to apply",
    (IncidentType.SOURCE, Resolution.RECOVERED): "it can be read again",
    (IncidentType.CONFLICT, Resolution.SUPERSEDED): "nobody else writes its objects any more",
    (IncidentType.CONFIG, Resolution.SUPERSEDED): "a valid one is in force",
}
"""Where a resolution is said in other words for one type."""


@dataclass(frozen=True, slots=True)
class FieldPart:
    """One field that differs. `diff` replaces the two values if they have several lines.

    `left_to` is whom driftd leaves the field to, and why, where it repairs the app.
    """

    path: str
    desired: str | None
    live: str | None
    diff: tuple[str, ...] | None
    by: str | None
    git: str | None
    left_to: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectPart:
    """One object: kind and name, state, where Git declares it (`place`), and its fields.

    `ending` says how its drift ended, where that is over and others of the incident are not, or ended otherwise.
    `left_to` is whom driftd leaves all of it to.
    """

    kind: str
    name: str
    state: str
    place: str | None
    fields: tuple[FieldPart, ...]
    more_fields: int
    error: str | None
    ending: str | None = None
    left_to: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `headline` summarises it in a line; `ending` is set once the incident is resolved.

    Texts from clusters and repositories are not escaped, but contain no invisible characters.
    """

    emoji: str
    headline: str
    ending: str | None
    notes: tuple[str, ...]
    objects: tuple[ObjectPart, ...]
    more_objects: int
    footer: str


def compose(notification: Notification) -> Message:
    """The message for an event of an incident: at most 15 objects and 30 fields, and the number of the others.

    What of the incident is over stays in it, behind what is not.
    """
    incident = notification.incident
    ending = _ending(notification) if notification.event is IncidentEvent.RESOLVED else None
    shown, hidden = _shown(incident)
    objects: list[ObjectPart] = []
    budget = MAX_FIELDS
    for verdict, how in shown:
        part = _object(verdict, budget, how)
        budget -= len(part.fields)
        objects.append(part)
    lines = [line for line in incident.message.splitlines() if line.strip()]
    notes = [wording.one_line(line, _MAX_NOTE_LENGTH) for line in lines[:_MAX_NOTES]]
    if len(lines) > _MAX_NOTES:
        notes.append(f"… {plural(len(lines) - _MAX_NOTES, 'more line')}")
    return Message(
        emoji="✅" if ending else _EMOJI.get(incident.type, "❗"),
        headline=_headline(notification, ending),
        ending=ending,
        notes=tuple(notes),
        objects=tuple(objects),
        more_objects=hidden,
        footer=_footer(notification),
    )


def _shown(incident: Incident) -> tuple[list[tuple[Verdict, Ended | None]], int]:
    """The objects of a message, each with how it ended if that is to be told, and the number of the others."""
    if incident.resolved is not None and incident.ended:
        several = len({(one.resolution, one.by) for one in incident.ended}) > 1
        latest = incident.ended[-MAX_OBJECTS:]
        return [(one.verdict, one if several or one.taken_from is not None else None) for one in latest], len(
            incident.ended
        ) - len(latest)
    current: list[tuple[Verdict, Ended | None]] = [(verdict, None) for verdict in incident.resources[:MAX_OBJECTS]]
    over = incident.ended[-MAX_ENDED:]
    hidden = incident.objects - len(current) + len(incident.ended) - len(over)
    return current + [(one.verdict, one) for one in over], max(0, hidden)


def _headline(notification: Notification, ending: str | None) -> str:
    incident = notification.incident
    where = wording.one_line(incident.app, 60)
    if incident.cluster:
        where += f" on {wording.one_line(incident.cluster, 60)}"
    revision = f" {incident.revision[:8]}" if incident.revision else ""
    if ending is not None:
        return f"{where}: {_NOUNS[incident.type]} is over: {ending}"
    changed = notification.event is IncidentEvent.CHANGED
    match incident.type:
        case IncidentType.DRIFT:
            verb = "differs in another way from" if changed else "has drifted from"
            return f"{where} {verb} Git{revision}: {_counts(incident)}"
        case IncidentType.UNHEALTHY:
            at = f" at{revision}" if revision else ""
            return f"{where} is {'still ' if changed else ''}not healthy{at}"
        case IncidentType.SYNC_FAILED:
            return f"{where} could {'still ' if changed else ''}not be synced to Git{revision}"
        case IncidentType.ROLLBACK:
            return f"{where} was rolled back{' again' if changed else ''} from Git{revision}"
        case IncidentType.SOURCE:
            at = f" (in use:{revision})" if revision else ""
            return f"{where}: what Git declares can{' still ' if changed else ''}not be read{at}"
        case IncidentType.CONFLICT:
            still = "still " if changed else ""
            return f"{where} {still}shares objects with other apps or deployers: they are not written"
        case IncidentType.CONFIG:
            return f"{where} was refused{' again' if changed else ''}: the configuration before it stays in force"


_NOUNS = {
    IncidentType.DRIFT: "drift",
    IncidentType.UNHEALTHY: "bad health",
    IncidentType.SYNC_FAILED: "failed sync",
    IncidentType.ROLLBACK: "rollback",
    IncidentType.SOURCE: "trouble with Git",
    IncidentType.CONFLICT: "the conflict with others",
    IncidentType.CONFIG: "the refusal of the configuration",
}


def _counts(incident: Incident) -> str:
    kinds = ", ".join(
        f"{number} {status}"
        for status in Status
        if (number := incident.counts.get(status, 0)) and status not in (Status.IN_SYNC, Status.IGNORED)
    )
    total = plural(incident.objects, "object")
    return f"{total} ({kinds})" + (f", {plural(incident.fields, 'field')}" if incident.fields else "")


def _ending(notification: Notification) -> str:
    incident = notification.incident
    how = _how(incident.type, incident.resolution, _one_by(incident)) if incident.resolution else "over"
    return f"{how} after {wording.duration((incident.resolved or notification.time) - incident.first_seen)}"


def _one_by(incident: Incident) -> str | None:
    """Who ended the incident, if it was the same one for all that ended last."""
    who = {one.by for one in incident.ended if one.time == incident.resolved}
    return who.pop() if len(who) == 1 else None


def _how(type_: IncidentType, resolution: Resolution, by: str | None) -> str:
    how = _ENDINGS_OF.get((type_, resolution), _ENDINGS[resolution])
    if resolution is Resolution.REVERTED and by is not None:
        return f"put back by {wording.one_line(by, 60)}"
    return f"{how}, asked by {wording.one_line(by, 60)}," if by not in (None, SYSTEM_ACTOR) else how


def _footer(notification: Notification) -> str:
    incident = notification.incident
    seen = f"first seen {wording.clock_time(incident.first_seen)}"
    if incident.resolved is not None:
        return f"{seen} · resolved {wording.clock_time(incident.resolved)} · incident {incident.id[:8]}"
    if notification.event is IncidentEvent.CHANGED:
        return f"{seen} · changed {wording.clock_time(notification.time)} · incident {incident.id[:8]}"
    return f"{seen} · incident {incident.id[:8]}"


def _object(verdict: Verdict, budget: int, ended: Ended | None) -> ObjectPart:
    ref = verdict.ref
    name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    shown = verdict.fields[:budget]
    return ObjectPart(
        kind=wording.one_line(ref.kind, 60),
        name=wording.one_line(name, 120),
        state=_STATES.get(verdict.status, verdict.status.label) + (_behind(verdict.behind) if verdict.behind else ""),
        place=_place(verdict.source.file, verdict.source.line) if verdict.source else None,
        fields=tuple(_field(field) for field in shown),
        more_fields=len(verdict.fields) - len(shown),
        error=wording.one_line(verdict.error, 300) if verdict.error else None,
        ending=_ended(ended) if ended is not None else None,
        left_to=_left_to(verdict.left_to),
    )


def _left_to(who: str | None) -> str | None:
    return wording.one_line(who, 160) if who is not None else None


def _ended(ended: Ended) -> str:
    how = _how(IncidentType.DRIFT, ended.resolution, ended.by).rstrip(",")
    if ended.taken_from is not None:
        how += f", and taken over from {wording.one_line(str(ended.taken_from), 120)}"
    return f"{how}, {wording.clock_time(ended.time)}"


def _behind(lag: Behind) -> str:
    return f", behind by {plural(lag.commits, 'commit')} (live is what {lag.revision.short} declared)"


def _field(field: FieldDrift) -> FieldPart:
    desired: str | None = None
    live: str | None = None
    diff: tuple[str, ...] | None = None
    if field.change is Change.CHANGED:
        diff = wording.line_diff(field.desired, field.live)
        if not diff:
            desired, live = wording.pair(field.desired, field.live)
    elif field.change is Change.REMOVED:
        desired = wording.one_line(wording.value(field.desired))
    else:
        live = wording.one_line(wording.value(field.live))
    return FieldPart(
        path=wording.one_line(format_path(field.path), 160),
        desired=desired,
        live=live,
        diff=diff or None,
        by="nobody: Git has moved on" if field.behind else _by(field.by) if field.by else None,
        git=_git(field.git) if field.git else None,
        left_to=_left_to(field.left_to),
    )


def _by(owner: FieldOwner) -> str:
    who = f"{owner.user} with {owner.manager}" if owner.user else owner.manager
    on = f" on {owner.subresource}" if owner.subresource else ""
    when = f", {wording.clock_time(owner.time)}" if owner.time else ""
    return wording.one_line(f"{who}{on}", 120) + when


def _git(line: GitLine) -> str:
    place = _place(line.file, line.line)
    if line.commit is None:
        return place
    author = f" by {line.author}" if line.author else ""
    return f"{place}, {line.commit[:8]}{wording.one_line(author, 80)}"


def _place(file: str, line: int) -> str:
    return f"{wording.one_line(file, 160)}:{line}"
