"""The changes of the schema, carried out by Alembic: see `driftd/store/upgrade.py`."""
