"""The objects that driftd has taken over from other deployers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TERM = sa.String(255)


def upgrade() -> None:
    op.create_table(
        "takeovers",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("cluster", TERM, primary_key=True),
        sa.Column("api_group", TERM, primary_key=True),
        sa.Column("kind", TERM, primary_key=True),
        sa.Column("namespace", TERM, primary_key=True),
        sa.Column("name", TERM, primary_key=True),
        sa.Column("deployer", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    )
