"""The sessions that the documents show."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from tests.docs.console import Step, steps
from tests.docs.pages import blocks

# By page: the commands of all of its console blocks, in one shell.
SESSIONS: Mapping[Path, list[Step]] = {
    page: [step for block in of_page for step in steps(block.text)]
    for page, of_page in groupby(blocks("console"), key=lambda block: block.page)
}
