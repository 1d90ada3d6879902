"""What other tools ask of their own diff: driftd gives their answer, or one that is better and says why."""

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
    """Each field that differs is found, with who holds it; nothing else is; what cannot be judged is unknown."""
    declared = case["declared"]
    found = verdict(declared, case["live"], schema_of(declared["apiVersion"], declared["kind"]))
    if "unknown" in case:
        assert found.status is Status.UNKNOWN
        assert found.error is not None
        assert found.error.startswith(f"{case['unknown']}: ")
        return
    assert found.error is None, found.error
    assert [[format_path(drift.path), str(drift.change)] for drift in found.fields] == case["expect"]
    owners = {format_path(drift.path): drift.by.manager if drift.by else None for drift in found.fields}
    assert {path: owners[path] for path in case.get("by", {})} == case.get("by", {})
