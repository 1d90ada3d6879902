"""Probes a real API server for the zero values that it keeps and the defaults that it sets (see `__main__`)."""
