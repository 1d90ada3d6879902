"""What docs/install.md tells to type, as far as it needs neither a registry nor a release."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from driftd.cli.kubectl import arguments
from driftd.cli.main import app
from tests.deploy.chart import template
from tests.deploy.manifests import DEPLOY, ROOT, build, objects
from tests.docs.pages import blocks, commands
from tests.docs.reference import DOCS

PAGE = DOCS / "install.md"
COMMANDS = [
    shlex.split(line, comments=True)
    for block in blocks("sh")
    if block.page == PAGE
    for line in commands(block.text)
    if not any("OWNER" in word for word in line.split())
]


def _beginning_with(*words: str) -> list[list[str]]:
    found = [command for command in COMMANDS if tuple(command[: len(words)]) == words]
    assert found, words
    return found


@pytest.mark.parametrize("command", _beginning_with("helm", "install"), ids=" ".join)
def test_helm_installs_by_the_command_as_it_is(command: list[str], assets: Path):
    """Rendered; the tests of the chart install it."""
    words = [word for word in command[2:] if word != "--create-namespace"]
    done = subprocess.run([assets / "helm", "template", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert objects(done.stdout)


def test_the_values_of_the_page_give_what_the_page_says(assets: Path):
    (block,) = [block for block in blocks("yaml") if block.page == PAGE]
    manifests = objects(template(assets / "helm", yaml.safe_load(block.text)))
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in manifests}
    assert names >= {
        ("ClusterRole", "driftd-read-secrets"),
        ("ClusterRole", "driftd-read-custom"),
        ("RoleBinding", "driftd-heal"),
        ("ServiceMonitor", "driftd"),
        ("NetworkPolicy", "driftd"),
    }


@pytest.mark.parametrize("command", _beginning_with("kubectl", "apply"), ids=" ".join)
def test_every_folder_and_file_that_is_applied_is_there(command: list[str], assets: Path):
    path = Path(command[-1])
    if "-k" in command:
        assert objects(build(assets, DEPLOY.parent / path))
    else:
        assert objects((DEPLOY.parent / path).read_text())


@pytest.mark.parametrize("command", _beginning_with("kubectl", "drift"), ids=" ".join)
def test_every_command_of_the_plugin_is_one_of_driftds(command: list[str]):
    name, *rest = arguments(command[2:])
    typer.main.get_command(app).commands[name].make_context(name, rest)  # type: ignore[attr-defined]
