"""What the tests stand on: the control plane, its kubelet and the corpora."""

TIER = "controlplane"
"""The mark of every test that needs the real control plane."""

POSTGRESQL = "postgresql"
"""The mark of every test on a PostgreSQL server."""
