"""`driftd`, and `python -m driftd`."""

from __future__ import annotations

from driftd.process.garbage_collector import disable_gc
from driftd.process.standard_streams import open_missing_streams


def command() -> None:
    """The entry point."""
    open_missing_streams()
    disable_gc()
    from driftd.cli.main import command as run  # noqa: PLC0415  # its imports are what `disable_gc` is for

    run()


if __name__ == "__main__":
    command()
