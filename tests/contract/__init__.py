"""One suite for the sandbox and the real API server: what keeps the fake honest."""
