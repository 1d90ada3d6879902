"""A contract suite that the sandbox and the real API server both have to pass."""
