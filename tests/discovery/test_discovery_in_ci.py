"""The action for GitHub and the job for GitLab, run as their runners run them, on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.discovery.ci_jobs import ROOT, GitHubRunner, GitLab, run_gitlab_job, runner_environment
from tests.discovery.conftest import CONFIG, Deployed
from tests.support.gitserver import GitRepo

pytestmark = pytest.mark.timeout(240)

MARKER = "<!-- driftd before the merge: driftd -->"


@pytest.fixture
def environment(deployed: Deployed, tmp_path: Path) -> dict[str, str]:
    """That of a runner, with a kubeconfig that may read."""
    home = tmp_path / "home"
    home.mkdir()
    return runner_environment(home, deployed.cluster.kubeconfig(), deployed.assets, deployed.ca_file)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "docs/examples/github-pull-request.yaml"),
        ("vendor.gitlab-ci", "docs/examples/gitlab-ci.yaml"),
    ],
)
def test_the_examples_are_what_the_services_read(schema: str, file: str) -> None:
    """By the schemas that editors and linters have of them."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_action_keeps_one_comment_on_a_pull_request_up_to_date(
    deployed: Deployed, checkout: GitRepo, environment: dict[str, str], tmp_path: Path
) -> None:
    """The first run writes it, the next one writes it anew; what other people and bots say stays."""
    deployed.cluster.kubectl("-n", "shop", "patch", "cm", "settings", "-p", '{"data": {"color": "black"}}')
    checkout.write({"apps/plain/settings.yaml": CONFIG.replace("blue", "white")}).commit("Paint it white")
    runner = GitHubRunner(tmp_path, checkout.folder, environment, {})
    known = [{"id": 1, "type": "User", "body": f"{MARKER} typed by somebody"}, {"id": 2, "type": "Bot", "body": "hi"}]
    runner.comments.write_text(json.dumps(known))
    assert runner.run() == 0
    *others, comment = runner.bodies()
    first, title, *_ = comment.splitlines()
    assert (len(others), first) == (2, MARKER)
    assert title == "### ⚠️ driftd: deploying this undoes 1 edit by hand"
    assert "`kubectl-patch (Update)`" in comment
    assert comment == f"{MARKER}\n{runner.summary}"
    assert runner.outputs["exit-code"] == "1"
    installed = (tmp_path / "pip.log").read_text()
    assert "--require-hashes --requirement" in installed
    assert installed.rstrip().endswith(f"install --no-deps --no-build-isolation {ROOT}")

    checkout.write({"apps/plain/settings.yaml": CONFIG}).commit("Leave it blue")
    again = tmp_path / "again"
    again.mkdir()
    (again / "comments.json").write_text(runner.comments.read_text())
    runner = GitHubRunner(again, checkout.folder, environment, {})
    assert runner.run() == 0
    assert runner.bodies()[:2] == others
    [comment] = runner.bodies()[2:]
    assert "### ✅ driftd: deploying this changes nothing that is live" in comment


def test_the_action_fails_where_it_cannot_tell_and_says_why(
    deployed: Deployed, checkout: GitRepo, environment: dict[str, str], tmp_path: Path
) -> None:
    """A folder that is not deployed by anybody known, and a cluster that is not there."""
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(deployed.cluster.kubeconfig().read_text().replace("127.0.0.1:", "127.0.0.1:1"))
    options = {"discover": "", "options": "--path apps/plain --namespace shop", "id": "prod; $(reboot)"}
    runner = GitHubRunner(tmp_path, checkout.folder, {**environment, "KUBECONFIG": str(nowhere)}, options)
    assert runner.run() == 1
    [comment] = runner.bodies()
    assert comment.startswith("<!-- driftd before the merge: prodreboot -->\n### ❔ driftd")
    assert runner.outputs["exit-code"] == "2"


def test_the_job_keeps_one_note_on_a_merge_request_up_to_date(
    deployed: Deployed, checkout: GitRepo, environment: dict[str, str], tmp_path: Path
) -> None:
    """On whichever page of the notes it is; one that somebody else has written stays."""
    deployed.cluster.kubectl("-n", "shop", "patch", "cm", "settings", "-p", '{"data": {"color": "black"}}')
    checkout.git("remote", "set-url", "origin", deployed.url)
    checkout.git("update-ref", "-d", "refs/remotes/origin/main")
    checkout.write({"apps/plain/settings.yaml": CONFIG.replace("blue", "white")}).commit("Paint it white")
    marker = "<!-- driftd before the merge -->"
    others = [{"id": n + 1, "author": {"id": 7}, "body": text} for n, text in enumerate((marker, "two", "three"))]
    with GitLab(notes=list(others)).serve() as gitlab:
        done = run_gitlab_job(tmp_path, checkout.folder, environment, gitlab)
        assert done.returncode == 0, done.stderr
        done = run_gitlab_job(tmp_path, checkout.folder, environment, gitlab)
        assert done.returncode == 0, done.stderr
        assert gitlab.writes == ["POST", "PUT"]
        assert gitlab.notes[:3] == others
        [note] = gitlab.notes[3:]
        assert note["body"].startswith(f"{marker}\n### ⚠️ driftd: deploying this undoes 1 edit by hand")
        broken = {**environment, "KUBECONFIG": "/nowhere"}
        done = run_gitlab_job(tmp_path, checkout.folder, broken, gitlab)
        assert done.returncode == 2
        assert "### ❔ driftd could not tell" in gitlab.notes[3]["body"]
