"""Cases from the field are found, and a wrong verdict of one fails its test."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.field_cases import CaseRunner, case_names

RUNNER = """\
import json, pathlib, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
names = [name for name in ("1-right", "2-wrong", "2-wrong-too") if name.startswith(options["--only"])]
results = [
    {"case": name, "engine": engine, "ok": "right" in name, "bad": ["Deployment/web is in_sync"], "got": "", "err": ""}
    for name in names
    for engine in options["--engine"].split(",")
]
if names:
    pathlib.Path(options["--json"]).write_text(json.dumps(results))
else:
    sys.exit("no such case")
"""


class FakeCluster:
    """Grants a token."""

    server = "https://127.0.0.1:6443"
    certificate_authority = Path("/ca.crt")

    def kubectl(self, *_: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, stdout="token\n")


def test_there_are_cases(field_cases: Path) -> None:
    """Fifty and more, each with what is expected of it."""
    assert len(case_names(field_cases)) > 50


@pytest.mark.parametrize(
    ("case", "says"), [("1-right", None), ("2-wrong", "Deployment/web is in_sync"), ("3-none", "no such case")]
)
def test_what_is_wrong_with_a_case_is_told(tmp_path: Path, case: str, says: str | None) -> None:
    """Also where the runner itself fails; and not what is wrong with another case whose name begins the same."""
    (tmp_path / "run.py").write_text(RUNNER)
    (tmp_path / case).mkdir()
    cluster: Any = FakeCluster()
    outcome = CaseRunner(tmp_path, cluster, tmp_path, tmp_path).run([case])
    assert list(outcome) == [(case, "client"), (case, "server")]
    for mistakes in outcome.values():
        assert says in "\n".join(mistakes) if says else mistakes == []
