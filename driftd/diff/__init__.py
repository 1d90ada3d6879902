"""Comparison of what Git declares with what is live. Pure: no I/O, no clock."""
