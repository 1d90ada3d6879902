"""The Kubernetes API: connection, discovery, schemas, reads and writes, and a live cache."""
