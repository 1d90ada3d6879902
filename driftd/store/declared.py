"""What the apps declare, by their last reports, whichever process has recorded them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from driftd.model.command import Lease
from driftd.model.drift import Status
from driftd.model.resource import ResourceRef, Source
from driftd.store import codec
from driftd.store.records import ReportHeader
from driftd.store.schema import leases, reports, verdicts


def headers(connection: Connection) -> list[ReportHeader]:
    """The last report of every app, without its verdicts."""
    query = select(
        reports.c.app,
        reports.c.cluster,
        reports.c.revision,
        reports.c.error,
        reports.c.stamp,
        leases.c.holder,
        leases.c.expires,
    ).outerjoin(leases, leases.c.app == reports.c.app)
    return [
        ReportHeader(
            row.app,
            row.cluster,
            row.revision,
            row.error,
            row.stamp,
            Lease(row.app, row.holder, row.expires) if row.holder is not None else None,
        )
        for row in connection.execute(query)
    ]


def sources(connection: Connection, app: str) -> dict[ResourceRef, Source]:
    """The objects that an app declares, and where; those whose record cannot be read are left out."""
    columns = verdicts.c
    query = (
        select(columns.api_group, columns.kind, columns.namespace, columns.name, columns.document)
        .where(columns.app == app, columns.status != Status.ORPHANED.value)
        .order_by(columns.position)
    )
    found = {}
    for row in connection.execute(query):
        try:
            source = codec.SOURCED.validate_json(row.document).source
        except ValueError:
            continue
        if source is not None:
            found[ResourceRef(row.api_group, row.kind, row.namespace, row.name)] = source
    return found
