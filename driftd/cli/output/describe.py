"""Texts that all human-readable formats share. All are safe to show, and one line."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from driftd.model.document import timestamp
from driftd.model.drift import Behind, Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.next_deployment import PendingRevision
from driftd.model.path import FieldPath, format_path
from driftd.model.report import Report
from driftd.model.resource import Json
from driftd.model.revision import GitLine
from driftd.model.text import one_line, plural

STATUS_MEANS = {Status.MISSING: "not in the cluster", Status.ORPHANED: "no longer in Git"}
MAX_FIELDS = 200
"""Of one object in formats for people; `check -o json` has all of them."""

WORST_FIRST = (Status.UNKNOWN, Status.DRIFTED, Status.MISSING, Status.ORPHANED, Status.IGNORED, Status.IN_SYNC)

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNITS = ((86_400 * 365, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def object_name(verdict: Verdict) -> str:
    """`Deployment web/web`, or `Namespace web` where there is no namespace."""
    ref = verdict.ref
    name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return one_line(f"{ref.kind} {name}")


def declared_at(verdict: Verdict) -> str | None:
    """`apps/web/deploy.yaml:1`, with the tool that rendered it; None for what Git does not declare."""
    source = verdict.source
    if source is None:
        return None
    tool = "" if source.origin == "yaml" else f" ({source.origin})"
    return one_line(f"{source.file}:{source.line}{tool}")


def path(field_path: FieldPath) -> str:
    return one_line(format_path(field_path))


def scalar(value: Json) -> str:
    """A value in one line: strings bare where that is unambiguous, everything else as JSON."""
    if isinstance(value, str) and value and value == value.strip() and not _is_ambiguous(value):
        return one_line(value)
    return one_line(json.dumps(value, ensure_ascii=False))


def shorten(text: str, width: int) -> str:
    """The text in at most `width` characters; a longer one without its middle."""
    if len(text) <= width:
        return text
    head = (width - 1 + 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def change(field: FieldDrift) -> str:
    """`Git 3 → live 5`, `not in Git → live debug`, `Git web → gone`."""
    desired, live = sides(field)
    git = desired if field.change is Change.ADDED else f"Git {desired}"
    return f"{git} → {live if field.change is Change.REMOVED else f'live {live}'}"


def sides(field: FieldDrift, width: int = 120) -> tuple[str, str]:
    """The declared and the live value, each in at most `width` characters around the first difference."""
    desired, live = scalar(field.desired), scalar(field.live)
    if field.change is Change.ADDED:
        return "not in Git", shorten(live, width)
    if field.change is Change.REMOVED:
        return shorten(desired, width), "gone"
    if max(len(desired), len(live)) > width:
        equal = next((i for i, (a, b) in enumerate(zip(desired, live, strict=False)) if a != b), width)
        if equal > width // 3:
            cut = equal - width // 3
            desired, live = f"…{desired[cut + 1 :]}", f"…{live[cut + 1 :]}"
    desired, live = (text if len(text) <= width else f"{text[: width - 1]}…" for text in (desired, live))
    return desired, live


def owner(field_owner: FieldOwner | None) -> str:
    """`kubectl-edit (Update), alice`; a fixed text where nobody is named."""
    if field_owner is None:
        return "nobody named in managedFields"
    how = ", ".join(part for part in (field_owner.operation, field_owner.subresource) if part)
    user = f", {field_owner.user}" if field_owner.user else ""
    return one_line(f"{field_owner.manager} ({how}){user}" if how else f"{field_owner.manager}{user}")


def git_line(line: GitLine) -> str:
    return one_line(f"{line.file}:{line.line}")


def commit(line: GitLine) -> str | None:
    """`4f0c1a2b Ada Lovelace`, or None without a blame."""
    return one_line(" ".join(part for part in (line.commit[:8], line.author) if part)) if line.commit else None


def subject(line: GitLine) -> str:
    return f"“{one_line(line.subject)}”" if line.subject else ""


def ago(time: datetime, now: datetime) -> str:
    """`5 minutes ago`, `just now`; a time ahead of `now` by a minute or more is `in 5 minutes`."""
    elapsed = now - time
    seconds = int(abs(elapsed).total_seconds())
    if elapsed < timedelta(seconds=2) and seconds < 60:
        return "just now"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    count = seconds // size
    words = plural(count, unit)
    return f"{words} ago" if elapsed > timedelta() else f"in {words}"


def absolute(time: datetime) -> str:
    """`2026-11-22 08:52 UTC`."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def to_the_second(time: datetime) -> str:
    """`2026-11-22 08:52:11 UTC`."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def counts(report: Report) -> str:
    """`1 drifted, 2 missing, 10 in sync`: the statuses that occur, the worst first."""
    return ", ".join(f"{report.counts[status]} {status.label}" for status in WORST_FIRST if report.counts[status])


def hooks(report: Report) -> str:
    """`2 hooks left out`: they are in the JSON document by name."""
    return f"{plural(len(report.hooks), 'hook')} left out"


def pending(what: PendingRevision) -> str:
    """`Argo CD has yet to deploy 4f0c1234, 3 commits ahead: it is synced by hand`."""
    reason = f": {what.reason}" if what.reason else ""
    if what.revision is None:
        return one_line(f"{what.deployer} may have yet to deploy something{reason}")
    if what.commits is None:
        ahead = ""
    else:
        ahead = f", {plural(what.commits, 'commit')} ahead" if what.commits else ", with other parameters"
    return one_line(f"{what.deployer} has yet to deploy {short_revision(what.revision)}{ahead}{reason}")


def short_revision(revision: str) -> str:
    """A commit or a digest in eight characters; a chart's version as it is."""
    first = revision.partition(" ")[0].removeprefix("sha256:")
    return first[:8] if _HASH.fullmatch(first) else shorten(first, 40)


def conclusion(report: Report) -> str:
    """The verdict on an app; "in sync" only when that is certain."""
    if report.in_sync:
        return "in sync"
    if report.drifted:
        return "drift, and not everything could be read" if report.undecided else "drift"
    return "could not tell"


def behind(lag: Behind, now: datetime) -> str:
    """`behind by 2 commits: live is what 4f0c1234 declared (3 days ago “Deploy web”)`."""
    revision = lag.revision
    return (
        f"behind by {plural(lag.commits, 'commit')}: live is what {revision.short} declared "
        f"({ago(revision.time, now)} “{one_line(revision.subject)}”)"
    )


def reason(field: FieldDrift) -> str | None:
    """Why a field differs, where nobody's hand or more than that is behind it; None where its owner says it all."""
    if field.behind:
        return "nobody: Git has moved on"
    if field.no_such_field:
        return "nobody: the kind has no such field, so the API server drops it"
    if field.of_deletion:
        return f"{owner(field.by) if field.by else 'somebody'}: the object is being deleted, once its finalizers let it"
    return None


def more_fields(verdict: Verdict, shown: int = MAX_FIELDS) -> str | None:
    """`… and 12 more fields`; None where all are shown."""
    hidden = len(verdict.fields) - shown
    return f"… and {plural(hidden, 'more field')}" if hidden > 0 else None


def left_to(who: str) -> str:
    """`left to its controllers: they clean up by it, …`."""
    return f"left to {one_line(who)}"


def taken_over(verdict: Verdict) -> str | None:
    """`taken over from Argo CD (application argocd/web) when it is written`; None where it is not to be."""
    if verdict.claim is None or verdict.left_to is not None or verdict.status is not Status.DRIFTED:
        return None
    return f"taken over from {one_line(str(verdict.claim))} when it is written"


def undetermined(verdict: Verdict) -> str | None:
    """`not compared, as each rendering makes another one: data.password`; None where all could be compared."""
    paths = [path(field.path) for field in verdict.ignored if field.undetermined]
    return f"not compared, as each rendering makes another one: {', '.join(paths)}" if paths else None


def namespace_deleted(since: datetime, now: datetime) -> str:
    return f"its namespace is being deleted, since {ago(since, now)}: nothing can be created in it until it is gone"


def field_sentence(field: FieldDrift, *, values: bool = True) -> str:
    """One field in one line, for formats without a layout of their own; without `values`, the change's kind only."""
    why = reason(field)
    parts = [why.removeprefix("nobody: ") if why else owner(field.by)]
    if field.by and why is None and field.by.time:
        parts.append(timestamp(field.by.time))
    if field.git:
        parts.append(" ".join(part for part in (git_line(field.git), commit(field.git), subject(field.git)) if part))
    if field.left_to is not None:
        parts.append(left_to(field.left_to))
    return f"{path(field.path)}: {change(field) if values else field.change} ({'; '.join(parts)})"


def _is_ambiguous(text: str) -> bool:
    """Whether the bare text would look like a number, a word of JSON, a quoted text or one of ours."""
    if text[0] in "\"'{[" or text in ("gone", "not in Git"):
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
