"""Situations from public bug reports, which are not part of the checkout, run by the program that comes with them.

They are read from the folder `DRIFTD_FIELD_CASES`, by default `../shared/cases` next to the checkout. Without it, the
tests that need them are deselected, which the summary reports; with CI=true or `--require field_cases` they fail.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import FIELD_CASES, TIERS
from tests.support.controlplane import ControlPlane
from tests.support.deselection import deselect_unless_required

VARIABLE = "DRIFTD_FIELD_CASES"
ENGINES = ("client", "server")

_DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "cases"
_RUNNER = "run.py"
_AT_A_TIME = 4
"""Cases mostly wait: for times of managedFields to differ, and for controllers."""
_WHOLE_CLUSTER = re.compile(r"^kind: *APIService\b", re.MULTILINE)
"""What the other cases would notice while it lasts: discovery is incomplete."""


def field_cases_folder() -> Path:
    """The folder with the cases; it may be missing."""
    return Path(os.environ.get(VARIABLE) or _DEFAULT)


def case_names(folder: Path) -> list[str]:
    """The names of all cases, in order."""
    return sorted(file.parent.name for file in folder.glob("*/expect.json"))


def missing(folder: Path) -> str | None:
    """The reason why there are no cases to run; None if there are."""
    if (folder / _RUNNER).is_file() and case_names(folder):
        return None
    return f"{folder} has no {_RUNNER} and no cases (set {VARIABLE} to a folder that has)"


@pytest.fixture(scope="session")
def field_cases() -> Path:
    """The folder with cases from the field (see `tests/field_cases/README.md`). Marks the tests that use it."""
    folder = field_cases_folder()
    reason = missing(folder)
    if reason is not None:
        pytest.fail(f"No cases from the field to test with: {reason}", pytrace=False)
    return folder


@dataclass(frozen=True, slots=True)
class CaseRunner:
    """Runs cases on a cluster with driftd as it is installed here. `home` is an empty folder of their own."""

    folder: Path
    cluster: ControlPlane
    assets: Path
    home: Path

    def run(self, names: Sequence[str]) -> Mapping[tuple[str, str], list[str]]:
        """What is wrong with the outcome of each case, by its name and engine; nothing where it is as expected."""
        self._write_kubeconfig()
        self._write_kubectl()
        alone = [name for name in names if self._touches_whole_cluster(name)]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            outcomes = list(pool.map(self._run, [name for name in names if name not in alone]))
        outcomes += [self._run(name) for name in alone]
        return {key: mistakes for outcome in outcomes for key, mistakes in outcome.items()}

    def _touches_whole_cluster(self, name: str) -> bool:
        return any(
            _WHOLE_CLUSTER.search(file.read_text(errors="replace")) for file in (self.folder / name).rglob("*.yaml")
        )

    def _run(self, name: str) -> dict[tuple[str, str], list[str]]:
        answer = self.home / f"{name}.json"
        driftd = f"{shlex.quote(sys.executable)} -m driftd"
        runner, kubeconfig = str(self.folder / _RUNNER), str(self.home / "kubeconfig")
        command = [sys.executable, runner, "--kubeconfig", kubeconfig, "--driftd", driftd]
        options = ["--engine", ",".join(ENGINES), "--only", name, "--json", str(answer)]
        path = os.pathsep.join([str(self.home), str(self.assets), os.environ.get("PATH", os.defpath)])
        done = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env={"PATH": path, "HOME": str(self.home), "TMPDIR": str(self.home)},
        )
        if not answer.exists():
            return {(name, engine): [f"{_RUNNER} ended with {done.returncode}: {done.stderr}"] for engine in ENGINES}
        # `--only` takes beginnings of names, so that a result may be another case's.
        results = [result for result in json.loads(answer.read_text()) if result["case"] == name]
        return {(name, result["engine"]): _mistakes(result, done.stdout) for result in results}

    def _write_kubeconfig(self) -> None:
        """With a token and files: some cases send requests by themselves, and can use nothing else."""
        self.cluster.kubectl("create", "serviceaccount", "--namespace=kube-system", "cases")
        self.cluster.kubectl(
            "create", "clusterrolebinding", "cases", "--clusterrole=cluster-admin", "--serviceaccount=kube-system:cases"
        )
        token = self.cluster.kubectl("create", "token", "--namespace=kube-system", "cases").stdout.strip()
        server = {"server": self.cluster.server, "certificate-authority": str(self.cluster.certificate_authority)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cases", "cluster": server}],
            "users": [{"name": "cases", "user": {"token": token}}],
            "contexts": [{"name": "cases", "context": {"cluster": "cases", "user": "cases"}}],
            "current-context": "cases",
        }
        (self.home / "kubeconfig").write_text(json.dumps(document))

    def _write_kubectl(self) -> None:
        """kubectl without `--flatten`, which would replace the authority's file by its content."""
        script = self.home / "kubectl"
        kubectl = shlex.quote(str(self.assets / "kubectl"))
        script.write_text(
            "#!/bin/bash\n"
            "arguments=()\n"
            'for each in "$@"; do [ "$each" = --flatten ] || arguments+=("$each"); done\n'
            f'exec {kubectl} "${{arguments[@]}}"\n'
        )
        script.chmod(0o755)


def _mistakes(result: Mapping[str, Any], output: str) -> list[str]:
    """What the runner says of a result; where there is something, with what driftd said and what the steps said."""
    if result["ok"]:
        return []
    return [*result["bad"], f"got: {result['got']}", f"stderr: {result['err']}", f"{_RUNNER}: {output}"]


def pytest_configure(config: pytest.Config) -> None:
    deselect_unless_required(config, FIELD_CASES, TIERS[FIELD_CASES].title, missing(field_cases_folder()))
