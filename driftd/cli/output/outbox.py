"""What waits in the outbox, below the table of `status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.model.text import one_line, plural
from driftd.store.records import Backlog


def print_outbox(console: Console, backlog: Mapping[str, Backlog], *, now: datetime) -> None:
    """Prints a line per channel that has not taken everything; nothing where all has been delivered."""
    for channel, waiting in sorted(backlog.items()):
        parts = []
        if waiting.pending:
            since = f" (the oldest is from {describe.ago(waiting.oldest, now)})" if waiting.oldest else ""
            parts.append(f"{plural(waiting.pending, 'message')} not delivered yet{since}")
        if waiting.failed:
            parts.append(f"{plural(waiting.failed, 'message')} given up")
        if parts:
            console.print(Text(f"{one_line(channel)}: {', '.join(parts)}", style="yellow"))
