"""A version of each app's state; and each manifest is stored once, which early databases of schema 1 do not do yet."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SETS = sa.table("manifest_sets", sa.column("digest", sa.String), sa.column("document", sa.LargeBinary))
_MANIFESTS = sa.table("manifests", sa.column("digest", sa.String), sa.column("packed", sa.LargeBinary))


def upgrade() -> None:
    with op.batch_alter_table("reports", recreate="never") as reports:
        reports.add_column(sa.Column("standing", sa.String(32), nullable=False, server_default=""))
    if not sa.inspect(op.get_bind()).has_table("manifests"):
        op.create_table(
            "manifests",
            sa.Column("digest", sa.String(64), primary_key=True),
            sa.Column("packed", sa.LargeBinary, nullable=False),
        )
        _store_manifests_once()


def _store_manifests_once() -> None:
    """A set was the list of its manifests, each with its `body` and its `source`."""
    connection = op.get_bind()
    stored: set[str] = set()
    for name in connection.execute(sa.select(_SETS.c.digest)).scalars().all():
        document = connection.execute(sa.select(_SETS.c.document).where(_SETS.c.digest == name)).scalar_one()
        placed: list[dict[str, Any]] = []
        for manifest in json.loads(zlib.decompress(document)):
            digest = hashlib.sha256(_json(manifest["body"], sort_keys=True)).hexdigest()
            placed.append({"digest": digest, "source": manifest["source"]})
            if digest not in stored:
                stored.add(digest)
                connection.execute(sa.insert(_MANIFESTS).values(digest=digest, packed=_packed(manifest["body"])))
        connection.execute(
            sa.update(_SETS).where(_SETS.c.digest == name).values(document=zlib.compress(_json(placed), 1))
        )


def _packed(body: dict[str, Any]) -> bytes:
    packer = zlib.compressobj(3, wbits=-14)
    return packer.compress(_json(body)) + packer.flush()


def _json(value: Any, *, sort_keys: bool = False) -> bytes:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":")).encode()
