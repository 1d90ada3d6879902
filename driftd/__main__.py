"""`python -m driftd`."""

from driftd.cli.main import main

main()
