"""`driftd`, and `python -m driftd`."""

from __future__ import annotations

import gc


def command() -> None:
    """The entry point. Imported objects are never freed, so that collections during imports would find nothing."""
    gc.disable()
    from driftd.cli.main import command as run  # noqa: PLC0415  # only now

    run()


if __name__ == "__main__":
    command()
