"""How far the Jobs and Pods that run to an end had come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TERM = sa.String(255)


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("api_group", TERM, primary_key=True),
        sa.Column("kind", TERM, primary_key=True),
        sa.Column("namespace", TERM, primary_key=True),
        sa.Column("name", TERM, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    )
