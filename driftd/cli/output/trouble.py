"""What is wrong beside the apps, below the table of `status`: a source, or the daemon's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.model.incident import Incident
from driftd.model.text import one_line


def print_trouble(console: Console, incidents: Sequence[Incident], *, now: datetime) -> None:
    """Prints a line per incident: what it is about, since when, and the first line of its message."""
    for incident in incidents:
        message = one_line(incident.message.partition("\n")[0])
        since = describe.ago(incident.first_seen, now)
        console.print(Text(f"{one_line(incident.app)} (since {since}): {message}", style="red"))
