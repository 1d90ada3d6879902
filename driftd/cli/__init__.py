"""The commands of driftd."""
