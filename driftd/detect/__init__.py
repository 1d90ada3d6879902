"""Verdicts: each declared object against the live one, its pods, and what is no longer declared."""
