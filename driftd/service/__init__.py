"""Queries and commands: the same for the command line, the HTTP API, pages and chat."""
