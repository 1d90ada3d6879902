"""The page of rules names every rule, and only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from driftd.diff.rules.built_in import BUILT_IN_RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "verdict-rules.md").read_text()


def test_every_rule_is_on_the_page() -> None:
    """By its name, with a test."""
    named = dict(re.findall(r"^\| `([a-z-]+)` \| .+ \| `(\S+)` \|$", PAGE, re.MULTILINE))
    assert set(named) == {rule.name for rule in BUILT_IN_RULES}


def test_every_test_on_the_page_exists() -> None:
    """And every line of a table has one."""
    tests = re.findall(r"`(tests/\S+?\.py)::(\w+)`", PAGE)
    missing = [f"{file}::{name}" for file, name in tests if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| rule |")]
    assert [row for row in rows if "::test_" not in row] == []
