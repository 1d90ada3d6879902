"""The order in which revisions came into the cluster."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("revisions", recreate="never") as revisions:
        revisions.add_column(sa.Column("applied_turn", sa.BigInteger))
    op.execute(sa.text("UPDATE revisions SET applied_turn = turn WHERE applied_at IS NOT NULL"))
