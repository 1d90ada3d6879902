"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
    op.bulk_insert(sa.table("schema_version", sa.column("version", sa.Integer)), [{"version": 1}])
    op.create_table(
        "keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "manifests",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "manifest_sets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.Column("applied_at", INSTANT),
        sa.Column("decided_at", INSTANT),
        sa.UniqueConstraint("app", "sha", "digest"),
    )
    op.create_index("revisions_by_turn", "revisions", ["app", "turn"])
    op.create_table(
        "holds",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "reports",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("time", INSTANT, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("stamp", sa.String(32), nullable=False),
        sa.Column("frame", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "verdicts",
        sa.Column("app", sa.String(255), sa.ForeignKey("reports.app", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "history",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("time", INSTANT, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
    )
    op.create_index("history_by_app", "history", ["app", "id"])
    op.create_index("history_by_time", "history", ["time"])
    _outbox()


def _outbox() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("resolved", INSTANT),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    is_open = sa.text("resolved IS NULL")
    op.create_index(
        "one_open_incident", "incidents", ["app", "type"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("incident", sa.String(64), sa.ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False),
        sa.Column("time", INSTANT, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_notifications_incident", "notifications", ["incident"])
    op.create_table(
        "deliveries",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("notification", sa.String(64), sa.ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
        sa.Column("incident", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("accepted", INSTANT, nullable=False),
        sa.Column("due", INSTANT, nullable=False),
        sa.Column("finished", INSTANT),
        sa.Column("receipt", sa.Text),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("notification", "channel"),
    )
    op.create_index("ix_deliveries_notification", "deliveries", ["notification"])
    op.create_index("deliveries_by_incident", "deliveries", ["incident", "channel", "id"])
    op.create_index("deliveries_by_state", "deliveries", ["state", "channel", "due"])
