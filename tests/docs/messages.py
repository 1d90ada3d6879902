"""The messages that troubleshooting explains, and the code that they come from."""

from __future__ import annotations

import re
from functools import cache

from tests.docs.reference import DOCS, ROOT


def quoted_messages() -> list[str]:
    """What stands in quotation marks in the first column of a table of troubleshooting."""
    text = (DOCS / "troubleshooting.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [quoted for row in rows for quoted in re.findall(r'"([^"]+)"', row)]


@cache
def source() -> str:
    """All of driftd's code, each message in one line."""
    code = "\n".join(path.read_text() for path in (ROOT / "driftd").rglob("*.py"))
    return re.sub(r'"\n\s*f?"', "", code)
