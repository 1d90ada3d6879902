"""Which driftd makes the passes, below the table of `status`: without one, the table may be long out of date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.model.command import Lease
from driftd.model.text import one_line
from driftd.service.views import AppStatus

_LATE = timedelta(minutes=1)
"""So long after the end of a lease its holder counts as silent: clocks of two machines may differ by less."""


def print_at_work(console: Console, apps: Sequence[AppStatus], *, now: datetime) -> None:
    """Prints a line per process with the apps that it works on, and one with those that no process works on.

    Of what was found in a cluster and cannot be judged there are no passes.
    """
    worked_on = [app for app in apps if app.lease is not None or app.revision is not None or "/" not in app.app]
    apps_of = defaultdict[tuple[str, str], list[str]](list)
    for app in worked_on:
        apps_of[_at_work(app.lease, now)].append(app.app)
    for (sentence, style), names in apps_of.items():
        which = "" if len(names) == len(worked_on) else f": {one_line(', '.join(names))}"
        console.print(Text(sentence + which, style=style), soft_wrap=True)


def _at_work(lease: Lease | None, now: datetime) -> tuple[str, str]:
    """What is said of a lease, and in which style."""
    if lease is None:
        return "no driftd is at work", "yellow"
    host, pid, *_ = [*map(one_line, lease.holder.split("/")), "?"]
    if now - lease.expires > _LATE:
        return f"driftd {pid} on {host} was last heard of {describe.ago(lease.expires, now)}", "yellow"
    return f"driftd {pid} on {host} is at work", "bright_black"
