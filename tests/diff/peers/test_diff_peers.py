"""Cases of other tools' diff tests: driftd gives the same result, or a better one with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.model.drift import Status
from driftd.model.path import format_path
from tests.diff.objects import schema_of, verdict

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = [
    case for name in ("argo", "flux") for case in yaml.safe_load((HERE / f"{name}.yaml").read_text())
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_cases_of_other_tools(case: dict[str, Any]) -> None:
    """Exactly the fields that differ are reported, with their owners; what cannot be compared is unknown."""
    declared = case["declared"]
    result = verdict(declared, case["live"], schema_of(declared["apiVersion"], declared["kind"]))
    if "unknown" in case:
        assert result.status is Status.UNKNOWN
        assert result.error is not None
        assert result.error.startswith(f"{case['unknown']}: ")
        return
    assert result.error is None, result.error
    assert [[format_path(drift.path), str(drift.change)] for drift in result.fields] == case["expect"]
    owners = {format_path(drift.path): drift.by.manager if drift.by else None for drift in result.fields}
    assert {path: owners[path] for path in case.get("by", {})} == case.get("by", {})
