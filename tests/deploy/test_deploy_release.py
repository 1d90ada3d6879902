"""The workflows have no mistake that a linter sees, and what of a release needs no registry does what it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from driftd import __version__
from tests.deploy.chart import template
from tests.deploy.manifests import ROOT, single
from tools.release import ReleaseError, check_version, manifests

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
IMAGE, DIGEST = "registry.example.com/platform/driftd", f"sha256:{'ab' * 32}"
_DOCKER = """\
#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$*" in
	"buildx imagetools inspect"*) echo "${BASE-sha256:base}" ;;
	"buildx build"*)
		while [ "$1" != --metadata-file ]; do shift; done
		echo '{"containerimage.digest": "sha256:built"}' >"$2" ;;
esac
"""


def test_the_workflows_have_no_mistake(chart_tools: Path):
    """By actionlint: syntax, expressions, inputs of actions, types of contexts."""
    done = subprocess.run(
        [chart_tools / "actionlint", "-no-color", *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit_and_nothing_is_allowed_that_is_not_named(workflow: Path):
    text = workflow.read_text()
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_no_step_pastes_a_context_into_its_script():
    """A tag or a repository may be named like a command: scripts get them as variables."""
    for workflow in WORKFLOWS:
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []


def test_every_tool_that_a_workflow_calls_is_there():
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    for module in re.findall(r"-m (tools\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
    for script in re.findall(r"tools/\w+\.sh", text):
        assert os.access(ROOT / script, os.X_OK)


def test_a_tag_that_is_not_the_version_is_no_release():
    check_version(f"v{__version__}")
    with pytest.raises(ReleaseError, match=r"v0\.0\.9 is not"):
        check_version("v0.0.9")


def test_the_released_chart_and_file_have_the_image_by_its_digest(assets: Path, tmp_path: Path):
    """The chart as `helm package` packs it, without a value."""
    manifests(IMAGE, DIGEST, tmp_path)
    package = [assets / "helm", "package", tmp_path / "driftd", "--destination", tmp_path]
    subprocess.run(package, check=True, capture_output=True)
    packed = tmp_path / f"driftd-{__version__}.tgz"
    for text in (template(assets / "helm", chart=packed), (tmp_path / "install.yaml").read_text()):
        (container,) = single(text, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{IMAGE}@{DIGEST}"


@pytest.mark.parametrize("digest", ["", "latest", "sha256:ab"])
def test_nothing_is_released_without_a_digest(tmp_path: Path, digest: str):
    with pytest.raises(ReleaseError, match="not a digest"):
        manifests(IMAGE, digest, tmp_path)


def test_the_image_is_built_on_bases_by_digest_with_sbom_and_provenance(tmp_path: Path):
    """With a stand-in for docker, which writes down how it is called."""
    done = _release_image(tmp_path)
    assert (done.returncode, done.stdout) == (0, "sha256:built\n"), done.stderr
    *_, build = (tmp_path / "calls").read_text().splitlines()
    for option in ("linux/amd64,linux/arm64", "--sbom=true", "--provenance=mode=max", "--push", "VERSION=1.2.3"):
        assert option in build
    for name in ("PYTHON_IMAGE=python:", "GO_IMAGE=golang:"):
        assert re.search(rf"--build-arg {name}\S+@sha256:base ", build)


def test_no_image_is_built_where_a_base_has_no_digest(tmp_path: Path):
    done = _release_image(tmp_path, BASE="<no value>")
    assert done.returncode != 0
    assert "no digest of python:" in done.stderr
    assert "buildx build" not in (tmp_path / "calls").read_text()


def _release_image(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    docker = folder / "docker"
    docker.write_text(_DOCKER)
    docker.chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    return subprocess.run(
        [ROOT / "tools" / "release_image.sh", IMAGE, "1.2.3", "4f0c1a2b"],
        env={**os.environ, "PATH": path, "CALLS": str(folder / "calls"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
