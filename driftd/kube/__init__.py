"""The Kubernetes API: REST client, discovery, schemas, the verbs, and a live cache of list and watch."""
