"""The tables, in SQL that both SQLite and PostgreSQL accept.

Times are instants in UTC. A *document* is the JSON form of a type of `driftd.model` (see `codec.py`), compressed: it is
read and written whole. Columns that queries filter, sort or group by are stored beside it.

A change of a table needs a migration in `migrations/versions`, and a new SCHEMA_VERSION.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 6
"""The number of the last migration. An older driftd refuses a database with a higher one than its own."""


_TERM_LENGTH = 255

STREAMED = {"yield_per": 500}
"""Execution options of a query of which not all rows may be needed: so many are fetched at a time."""


class Instant(TypeDecorator[datetime]):
    """A timestamp: stored from any timezone, read in UTC, on databases with and without timezones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without its timezone cannot be stored")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[bytes]):
    """JSON bytes, compressed. Level 1: the higher ones cost a pass more time than they save space.

    One that cannot be unpacked is read as `UNREADABLE`, so that it spoils its own row only, not a query.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return zlib.compress(value, 1) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return unpacked(value) if value is not None else None


UNREADABLE = b""
"""In place of a document that cannot be unpacked: no JSON, so that whatever decodes it raises a ValueError."""


def unpacked(stored: Any) -> bytes:
    """The JSON of a document from its stored form, or `UNREADABLE`."""
    try:
        return zlib.decompress(stored)
    except (zlib.error, TypeError):  # SQLite may have anything in a column
        return UNREADABLE


class PlainText(TypeDecorator[str]):
    """Text of any length. NUL characters are replaced: PostgreSQL refuses them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if value is not None else None


class Term(TypeDecorator[str]):
    """A name that queries compare. What Kubernetes accepts fits; a manifest may declare a longer one, which is cut."""

    impl = String(_TERM_LENGTH)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        if value is None or (len(value) <= _TERM_LENGTH and "\x00" not in value):
            return value
        return value[:_TERM_LENGTH].replace("\x00", "\N{REPLACEMENT CHARACTER}")


# SQLite generates values only for a column whose type is exactly INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

# Alembic's own table is not part of the metadata that Alembic compares with a database.
alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# What every driftd, also one without Alembic, checks before it touches a database.
schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

keys = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# The objects of all sets, each stored once, packed by `driftd.model.resource.PackedObject`.
manifests = Table(
    "manifests",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)

# The digests of the objects of a set, and where in Git each was declared when the set was first recorded.
manifest_sets = Table(
    "manifest_sets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("document", Document, nullable=False),
)

# One row per app, commit and digest: the same commit declares something else when an app's own settings change.
# `turn` increases, per app, with each change of the desired state; the revision with the highest one is current.
# `applied_turn` increases with each revision that comes wholly into the cluster, also for the second time.
revisions = Table(
    "revisions",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("app", String(255), nullable=False),
    Column("sha", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("document", Document, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("applied_at", Instant),
    Column("decided_at", Instant),
    Column("applied_turn", BigInteger),
    UniqueConstraint("app", "sha", "digest"),
    Index("revisions_by_turn", "app", "turn"),
)

holds = Table(
    "holds",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("revision", String(64), nullable=False),
    Column("document", Document, nullable=False),
)

# The last report of each app: its header here, its verdicts one row each, so that a pass writes only what changed.
# `stamp` changes with every write of the verdicts, so that a process notices when another one has written them;
# `state_version` with every write of the app's revisions or its hold (see `AppState`).
reports = Table(
    "reports",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("time", Instant, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("stamp", String(32), nullable=False),
    Column("state_version", String(32), nullable=False, server_default=""),
    Column("frame", Document, nullable=False),
    Column("cluster", Term, nullable=False, server_default=""),
    Column("revision", String(64)),
    Column("error", PlainText),
)

# `position` orders the verdicts of an app and has gaps: an object that is declared between others takes one row.
# `manager` last changed a drifted object, or deleted a missing one; `since` is when the object got its status.
verdicts = Table(
    "verdicts",
    metadata,
    Column("app", String(255), ForeignKey("reports.app", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
    Column("status", String(16), nullable=False),
    Column("api_group", Term, nullable=False),
    Column("kind", Term, nullable=False),
    Column("namespace", Term),
    Column("name", Term, nullable=False),
    Column("manager", Term),
    Column("health", String(16)),
    Column("since", Instant, nullable=False),
    Index("verdicts_by_app", "app", "status", "health"),
    Index("verdicts_by_status", "status", "app", "position"),
    Index("verdicts_by_kind", "status", "kind", "namespace", "app", "position"),
)
Index(
    "verdicts_by_manager",
    verdicts.c.manager,
    verdicts.c.app,
    verdicts.c.position,
    sqlite_where=text("manager IS NOT NULL"),
    postgresql_where=text("manager IS NOT NULL"),
)

history = Table(
    "history",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("app", String(255), nullable=False),
    Column("time", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("summary", PlainText, nullable=False),
    Column("details", Document, nullable=False),
    Index("history_by_app", "app", "id"),
    Index("history_by_time", "time"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("app", String(255), nullable=False),
    Column("type", String(32), nullable=False),
    Column("resolved", Instant),
    Column("document", Document, nullable=False),
    Column("opened", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Index("incidents_by_opened", "opened", "id"),
    Index("incidents_by_app", "app", "opened", "id"),
)
# One open incident per app and type, also when two processes open one at the same moment.
Index(
    "one_open_incident",
    incidents.c.app,
    incidents.c.type,
    unique=True,
    sqlite_where=text("resolved IS NULL"),
    postgresql_where=text("resolved IS NULL"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("incident", String(64), ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("time", Instant, nullable=False),
    Column("document", Document, nullable=False),
)

# `due` is when a pending delivery may be tried; the process that claims one postpones it for the others.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("notification", String(64), ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("incident", String(64), nullable=False),
    Column("channel", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("accepted", Instant, nullable=False),
    Column("due", Instant, nullable=False),
    Column("finished", Instant),
    Column("receipt", Text),
    Column("error", PlainText, nullable=False),
    UniqueConstraint("notification", "channel"),
    Index("deliveries_by_incident", "incident", "channel", "id"),
    Index("deliveries_by_state", "state", "channel", "due"),
)

# `number` orders operations by when they were recorded. `stage` is that of their plan: open while it is carried out,
# recorded once the history has it as an action, closed once the pass that made it has been recorded.
operations = Table(
    "operations",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("app", String(255), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("api_group", Term, nullable=False),
    Column("kind", Term, nullable=False),
    Column("namespace", Term),
    Column("name", Term, nullable=False),
    Column("planned", Instant, nullable=False),
    Column("outcome", String(16)),
    Column("error", PlainText),
    Column("finished", Instant),
    Column("stage", String(16), nullable=False),
    Column("document", Document, nullable=False),
    Index("operations_by_app", "app", "number"),
    Index("operations_by_object", "kind", "namespace", "name", "number"),
    Index("operations_by_time", "planned"),
)
Index(
    "open_operations",
    operations.c.app,
    sqlite_where=text("stage <> 'closed'"),
    postgresql_where=text("stage <> 'closed'"),
)

commands = Table(
    "commands",
    metadata,
    Column("number", _Serial, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("app", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Instant, nullable=False),
    Column("holder", String(255)),
    Column("started", Instant),
    Column("finished", Instant),
    Column("error", PlainText),
    Column("result", Document),
    Column("document", Document, nullable=False),
    Index("commands_by_state", "state", "app"),
)

# The Jobs and Pods that run to an end, and may be gone after it. `digest` is that of the manifest at which each was
# seen.
runs = Table(
    "runs",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("api_group", Term, primary_key=True),
    Column("kind", Term, primary_key=True),
    Column("namespace", Term, primary_key=True),
    Column("name", Term, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", PlainText, nullable=False),
    Column("time", Instant, nullable=False),
)

# The objects that driftd has taken over, and from whom.
takeovers = Table(
    "takeovers",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("cluster", Term, primary_key=True),
    Column("api_group", Term, primary_key=True),
    Column("kind", Term, primary_key=True),
    Column("namespace", Term, primary_key=True),
    Column("name", Term, primary_key=True),
    Column("deployer", PlainText, nullable=False),
    Column("time", Instant, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("holder", String(255), nullable=False, index=True),
    Column("expires", Instant, nullable=False),
)
