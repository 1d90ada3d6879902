"""Queries over the verdicts of the apps' last reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from driftd.model.drift import Status, Verdict
from driftd.model.errors import StoreError
from driftd.model.health import HealthState
from driftd.model.next_deployment import PendingRevision
from driftd.model.resource import ResourceRef
from driftd.store import codec
from driftd.store.records import AppSummary, StoredVerdict, VerdictFilter
from driftd.store.schema import reports, verdicts

_UNREADABLE = "the record of this verdict cannot be read: it is written anew when the object changes, or driftd starts"


def read(connection: Connection, criteria: VerdictFilter, limit: int, after: str | None) -> list[StoredVerdict]:
    """The verdicts that match, by app and in the order of its report. `after` is the cursor of the last one before."""
    columns = verdicts.c
    query = (
        select(columns.app, columns.position)
        .where(*_criteria(criteria))
        .order_by(columns.app, columns.position)
        .limit(limit)
    )
    if after is not None:
        app, position = _parsed(after)
        query = query.where(
            columns.position > position
            if criteria.app == app
            else tuple_(columns.app, columns.position) > tuple_(app, position)
        )
    # The documents are read for the page only: where matches have to be sorted, they are sorted by their keys.
    page = query.subquery()
    of_page = select(verdicts).join(page, (columns.app == page.c.app) & (columns.position == page.c.position))
    return [
        StoredVerdict(row.app, decoded(row), row.since, row.position)
        for row in connection.execute(of_page.order_by(columns.app, columns.position))
    ]


def decoded(row: Any) -> Verdict:
    """The verdict of a row of `verdicts`; one that cannot be read is unknown, whatever it was."""
    try:
        return codec.VERDICT.validate_json(row.document)
    except ValueError:
        ref = ResourceRef(row.api_group, row.kind, row.namespace, row.name)
        return Verdict(ref, "", Status.UNKNOWN, None, error=_UNREADABLE)


def summaries(connection: Connection, apps: Collection[str] | None) -> dict[str, AppSummary]:
    """The last reports of some apps, or of all, in numbers; apps without a report are left out."""
    of_apps = () if apps is None else (reports.c.app.in_(apps),)
    rows = connection.execute(
        select(reports.c.app, reports.c.cluster, reports.c.revision, reports.c.time, reports.c.error, reports.c.frame)
        .where(*of_apps)
        .order_by(reports.c.app)
    ).all()
    counts = select(verdicts.c.app, verdicts.c.status, verdicts.c.health, func.count().label("objects")).group_by(
        verdicts.c.app, verdicts.c.status, verdicts.c.health
    )
    if apps is not None:
        counts = counts.where(verdicts.c.app.in_(apps))
    statuses: defaultdict[str, dict[Status, int]] = defaultdict(dict)
    health: defaultdict[str, dict[HealthState, int]] = defaultdict(dict)
    for app, status, state, objects in connection.execute(counts):
        _add(statuses[app], Status(status), objects)
        if state is not None:
            _add(health[app], HealthState(state), objects)
    return {
        row.app: AppSummary(
            row.app,
            row.cluster,
            row.revision,
            row.time,
            row.error,
            statuses[row.app],
            health[row.app],
            _pending(row.frame),
        )
        for row in rows
    }


def _pending(frame: bytes) -> PendingRevision | None:
    try:
        return codec.FRAME.validate_json(frame).pending
    except ValueError:  # the app's report tells
        return None


def _add(counts: dict[Any, int], key: object, number: int) -> None:
    counts[key] = counts.get(key, 0) + number


def _criteria(selected: VerdictFilter) -> list[ColumnElement[bool]]:
    columns = verdicts.c
    equal: Mapping[str, str | None] = {
        "app": selected.app,
        "api_group": selected.group,
        "kind": selected.kind,
        "namespace": selected.namespace,
        "name": selected.name,
        "manager": selected.manager,
    }
    criteria: list[ColumnElement[bool]] = [columns[key] == value for key, value in equal.items() if value is not None]
    if selected.statuses:
        criteria.append(columns.status.in_(sorted(selected.statuses)))
    if selected.health:
        criteria.append(columns.health.in_(sorted(selected.health)))
    return criteria


def _parsed(cursor: str) -> tuple[str, int]:
    position, _, app = cursor.partition("@")
    try:
        return app, int(position)
    except ValueError as e:
        raise StoreError(f"{cursor!r} is not the cursor of a verdict") from e
