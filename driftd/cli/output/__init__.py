"""The output of commands: one module per format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # `driftd --help` needs the names of the formats, and nothing of a report
    from driftd.model.report import Report


class Format(StrEnum):
    """The formats of `check -o`."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    SARIF = "sarif"


def load(output: Format) -> None:
    """Imports a format's module with its libraries (rich, for the table) ahead of its use."""
    import_module(f"driftd.cli.output.{output}")


def write_reports(
    reports: Sequence[Report],
    output: Format,
    stream: TextIO | None = None,
    *,
    show_all: bool = False,
    now: datetime | None = None,
) -> None:
    """Writes the reports in a format to `stream` (standard output by default).

    With `show_all` the table also lists the objects that are in sync. Each format is imported on use only.
    """
    stream = stream or sys.stdout
    match output:
        case Format.TABLE:
            from driftd.cli.output.lines import console_for  # noqa: PLC0415 - see above
            from driftd.cli.output.table import print_reports  # noqa: PLC0415 - see above

            print_reports(console_for(stream), reports, now=now or datetime.now(UTC), show_all=show_all)
        case Format.JSON:
            from driftd.cli.output import json  # noqa: PLC0415 - see above

            stream.write(json.render(reports))
        case Format.MARKDOWN:
            from driftd.cli.output import markdown  # noqa: PLC0415 - see above

            stream.write(markdown.render(reports, now=now))
        case Format.JUNIT:
            from driftd.cli.output import junit  # noqa: PLC0415 - see above

            stream.write(junit.render(reports))
        case Format.SARIF:
            from driftd.cli.output import sarif  # noqa: PLC0415 - see above

            stream.write(sarif.render(reports))
