"""Asks a real API server which zero values it keeps and which defaults it puts in (see `__main__`)."""
