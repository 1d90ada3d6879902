"""The tables, in SQL that SQLite and PostgreSQL both speak.

Times are instants in UTC. A *document* is the JSON form of a noun of `driftd.model` (see `codec.py`), compressed: it is
read and written whole, while whatever a query selects or orders by has a column of its own.
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
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 2


class Instant(TypeDecorator[datetime]):
    """A moment, whatever the database thinks of timezones: goes in with any zone, comes back in UTC."""

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
    """JSON bytes, kept compressed. Level 1: a pass must not wait for the last percent of size."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return zlib.compress(value, 1) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return unpacked(value) if value is not None else None


def unpacked(stored: bytes) -> bytes:
    """The JSON of a document as it lies in the database."""
    return zlib.decompress(stored)


class PlainText(TypeDecorator[str]):
    """A sentence for people. NUL is taken out: PostgreSQL refuses a text that holds one."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if value is not None else None


# SQLite counts up only for a column that is exactly INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

keys = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# Each object that some set declares, once however many do, packed like a `driftd.model.resource.PackedObject`.
manifests = Table(
    "manifests",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)

# Which objects a set has, and where in Git each was declared when the set was first seen.
manifest_sets = Table(
    "manifest_sets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("document", Document, nullable=False),
)

# One row per app, commit and digest: the same commit declares something else when an app's own settings change.
# `turn` counts, per app, how often what Git declares has changed; the highest one is current.
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

# The last report of each app: its frame here, its verdicts one row each, so that a pass writes only what changed.
# `stamp` is made anew by every write of the verdicts, which tells a process whether the rows are still its own;
# `standing` by every write of what became of the app's revisions and of what holds it, whoever does it.
reports = Table(
    "reports",
    metadata,
    Column("app", String(255), primary_key=True),
    Column("time", Instant, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("stamp", String(32), nullable=False),
    Column("standing", String(32), nullable=False, server_default=""),
    Column("frame", Document, nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("app", String(255), ForeignKey("reports.app", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
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
)
# "One per app and type at a time" holds also when two processes find the same trouble at the same moment.
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

# `due` is when a pending delivery may be tried; who takes one moves it ahead, so that no other process takes it too.
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
