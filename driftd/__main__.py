"""`driftd`, and `python -m driftd`; `kubectl-drift`, which is `kubectl drift`."""

from __future__ import annotations

import sys

from driftd.process.garbage_collector import disable_gc
from driftd.process.standard_streams import open_missing_streams


def command() -> None:
    """The entry point."""
    open_missing_streams()
    disable_gc()
    from driftd.cli.main import command as run  # noqa: PLC0415  # its imports are what `disable_gc` is for

    run()


def kubectl_plugin() -> None:
    """The entry point as a plugin of kubectl's."""
    open_missing_streams()
    disable_gc()
    from driftd.cli.kubectl import arguments  # noqa: PLC0415  # as above
    from driftd.cli.main import command as run  # noqa: PLC0415

    sys.argv = ["kubectl drift", *arguments(sys.argv[1:])]
    run()


if __name__ == "__main__":
    command()
