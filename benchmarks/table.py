"""Output of figures: a table for people, JSON for programs, both with the machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine

Row = Sequence[str]

_WIDTH = 110
"""Characters of a line if the output is not a terminal."""


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """A command line parser with `--json`, described by the first line of a module's docstring."""
    result = argparse.ArgumentParser(description=(documentation or "").partition("\n")[0])
    result.add_argument("--json", metavar="FILE", help="also write the figures there")
    return result


def progress(line: str) -> None:
    """Prints a progress message to standard error."""
    Console(stderr=True, highlight=False).print(line, style="dim")


def show(title: str, columns: Sequence[str], rows: Sequence[Row], notes: Sequence[str], machine: Machine) -> None:
    """Prints a table. The first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
    for note in notes:
        console.print(note, style="dim")
    console.print(str(machine), style="dim")


def write(file: str | None, benchmark: str, machine: Machine, figures: Mapping[str, Any]) -> None:
    """Writes the figures and the machine as JSON, if a file was given."""
    if file is not None:
        document = {"benchmark": benchmark, "machine": asdict(machine), **figures}
        Path(file).write_text(json.dumps(document, indent=2) + "\n")


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def milliseconds(value: float) -> str:
    return f"{value * 1000:.0f}" if value >= 0.1 else f"{value * 1000:.1f}"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.0f}"
