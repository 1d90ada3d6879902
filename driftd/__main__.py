"""`python -m driftd`."""

from driftd.cli.main import command

command()
