"""`driftd check`: its exit codes, its formats, and its messages when it cannot tell."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from driftd.cli.check import run_check
from driftd.cli.checked_apps import CheckRequest
from driftd.cli.output import Format
from driftd.desired.provider import InProcessProvider, OnFirstBatch
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.git.source import GitSource
from driftd.kube.discovery import ApiResource
from driftd.kube.rest_client import Cluster
from driftd.live import api_reader
from driftd.model.app import App
from driftd.model.revision import Revision
from tests.cli.conftest import SECRET, CommandResult, World, config_map
from tests.cli.contract import DOCUMENT

FORMATS = [str(format_) for format_ in Format]


def document(result: CommandResult) -> Any:
    """The JSON document, valid by the contract."""
    parsed = json.loads(result.out)
    jsonschema.validate(parsed, DOCUMENT)
    return parsed


def in_sync(world: World) -> None:
    """Git declares what is live."""
    world.commit(web=config_map(), login=SECRET)
    world.apply(config_map())
    world.apply(SECRET)


@pytest.mark.parametrize("output", FORMATS)
def test_the_exit_code_is_the_verdict_in_every_format(world: World, output: str) -> None:
    """0 in sync, 1 drift, 2 could not tell, which wins; and the output is complete each time."""
    in_sync(world)
    assert world.check("-o", output).code == 0
    world.apply(config_map(value="two"), manager="somebody")
    drifted = world.check("-o", output)
    assert drifted.code == 1
    assert "two" in drifted.out
    world.sandbox.faults.forbid("*", "secrets")
    unknown = world.check("-o", output)
    assert unknown.code == 2
    assert "two" in unknown.out, "known drift is still printed"
    for result in (drifted, unknown):
        assert result.err == ""
        if output == "json":
            document(result)
        elif output == "sarif":
            assert json.loads(result.out)["version"] == "2.1.0"
        elif output == "junit":
            assert ET.fromstring(result.out).tag == "testsuites"


def test_the_json_document_has_the_change_its_actor_and_its_line(world: World) -> None:
    """By the contract, key by key; and without secrets."""
    in_sync(world)
    sha = world.repository.head
    world.apply(config_map(value="two"), manager="kubectl-edit")
    world.apply(SECRET.replace("in-git", "by-hand"), manager="kubectl-edit")
    result = world.check("-o", "json")
    (app,) = document(result)["apps"]
    assert (app["app"], app["revision"], app["in_sync"]) == ("app", sha, False)
    assert app["counts"] == {"in_sync": 0, "drifted": 2, "missing": 0, "orphaned": 0, "ignored": 0, "unknown": 0}
    resources = {resource["kind"]: resource for resource in app["resources"]}
    (field,) = resources["ConfigMap"]["fields"]
    assert resources["ConfigMap"]["source"] == {"file": "app/web.yaml", "line": 1}
    assert (field["path"], field["change"], field["desired"], field["live"]) == ("data.a", "changed", "one", "two")
    assert (field["by"]["manager"], field["by"]["operation"]) == ("kubectl-edit", "Apply")
    assert (field["git"]["file"], field["git"]["line"], field["git"]["commit"]) == ("app/web.yaml", 6, sha)
    assert (field["git"]["author"], field["git"]["subject"]) == ("Ann Author", "Change things")
    (secret,) = resources["Secret"]["fields"]
    assert secret["desired"].startswith("<redacted:")
    assert secret["live"].startswith("<redacted:")
    assert secret["desired"] != secret["live"]


@pytest.mark.parametrize("output", FORMATS)
def test_no_format_shows_a_secret(world: World, output: str) -> None:
    """Neither Git's nor the live value, in clear or in base64."""
    in_sync(world)
    world.apply(SECRET.replace("in-git", "by-hand"), manager="kubectl-edit")
    result = world.check("-o", output, "--all")
    for shown in ("CANARY", "Q0FOQVJZ"):
        assert shown not in result.out + result.err
    assert result.code == 1


@pytest.mark.parametrize("engine", ["client", "server"])
def test_both_engines_come_to_the_same_verdict(world: World, engine: str) -> None:
    """And neither writes."""
    in_sync(world)
    before = world.sandbox.resource_version
    world.commit(web=config_map(value="two"))
    (app,) = document(world.check("-o", "json", "--engine", engine))["apps"]
    assert app["counts"]["drifted"] == 1
    assert app["counts"]["in_sync"] == 1
    assert world.sandbox.resource_version == before


def test_a_path_is_taken_as_one_types_it(world: World) -> None:
    """`.`, a slash too many, and a branch, tag or commit."""
    in_sync(world)
    first = world.repository.head
    world.repository.tag("v1")
    world.commit(web=config_map(value="two"))
    kubeconfig = ("--kubeconfig", str(world.kubeconfig), "-n", "web", "-o", "json")
    repo = ("check", "--repo", world.repository.url)
    for path, name in (("./app/", "app"), (".", "repository"), ("", "repository")):
        (app,) = document(world.driftd(*repo, "--path", path, *kubeconfig))["apps"]
        assert app["app"] == name
        assert app["counts"]["drifted"] == 1
    for revision in ("v1", first, first[:8]):
        result = world.driftd(*repo, "--revision", revision, *kubeconfig)
        assert (result.code, document(result)["apps"][0]["revision"]) == (0, first)


def test_every_app_of_a_configuration_is_checked_whatever_fails_in_others(world: World, tmp_path: Path) -> None:
    """Broken YAML in one, an unreachable source in another: the third is checked, and the exit code is 2."""
    in_sync(world)
    world.repository.write({"broken/a.yaml": "kind: [\n"}).commit("Slip")
    config = world.configure(
        {"name": "web", "path": "app"}, {"name": "slip", "path": "broken"}, {"name": "away", "source": "gone"},
        sources=[{"name": "shop", "url": world.repository.url}, {"name": "gone", "url": str(tmp_path / "gone")}],
    )  # fmt: skip
    result = world.driftd("check", *config, "-o", "json")
    assert result.code == 2
    apps = {app["app"]: app for app in document(result)["apps"]}
    assert apps["web"]["in_sync"] is True
    assert apps["slip"]["in_sync"] is False
    assert apps["slip"]["error"].startswith("broken/a.yaml:")
    assert apps["away"]["in_sync"] is False
    assert "gone" in apps["away"]["error"]
    assert "broken/a.yaml:" in world.driftd("check", *config).out
    assert world.driftd("check", *config, "web").code == 0


def test_what_only_the_daemon_finds_is_no_nothing_to_check(world: World) -> None:
    """A check of a configuration leaves out what `discover` finds, and says so: "all is in sync" would be no answer."""
    in_sync(world)
    result = world.driftd("check", *world.configure(discover=["argo", "flux"]))
    refused(result, "has no apps of its own: driftd check --discover argo,flux checks what is found in the cluster")
    result = world.driftd("check", *world.configure({"name": "web", "path": "app"}, discover=["argo"]))
    assert result.code == 0
    assert "not checked: apps that `discover` finds; driftd check --discover argo checks" in result.err


def test_a_folder_without_manifests_is_not_in_sync(world: World) -> None:
    """It is more likely the wrong folder than an app that declares nothing."""
    world.repository.write({"app/README": "nothing yet"}).commit("Begin")
    result = world.check("-o", "json")
    assert result.code == 2
    assert "no manifests here" in document(result)["apps"][0]["error"]


def refused(result: CommandResult, *words: str) -> None:
    """Exit 2, one message on standard error with these words, and nothing on standard output."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.strip()
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err
    for word in words:
        assert word in result.err, result.err


def test_a_wrong_argument_is_reported_in_one_line(world: World, tmp_path: Path) -> None:
    """What, where, and what to do about it."""
    in_sync(world)
    repo = ("check", "--repo", world.repository.url)
    config = world.configure({"name": "web", "path": "app"})
    refused(world.driftd("check"), "--repo", "--config")
    refused(world.driftd("check", "web", "--repo", "x"), "--repo", "--config")
    refused(world.driftd(*repo, *config), "give one of the two")
    refused(world.driftd("check", *config, "shop"), "no app 'shop'", "web")
    refused(world.driftd("check", "--config", str(tmp_path / "none.yaml")), "none.yaml", "no such file")
    refused(world.driftd("check", "--repo", str(tmp_path / "none")), str(tmp_path / "none"), "no such folder")
    refused(world.driftd(*repo, "--revision", "nope"), "no branch, tag or commit 'nope'", "main")
    refused(world.driftd(*repo, "--revision=--upload-pack=x"), "--upload-pack=x")
    refused(world.driftd(*repo, "--kubeconfig", str(tmp_path / "none")), str(tmp_path / "none"))
    refused(world.driftd(*repo, "--kubeconfig", str(world.kubeconfig), "--context", "x"), "context 'x'", "sandbox")


@pytest.mark.parametrize(
    ("path", "says"), [("nope", "nope"), ("../elsewhere", "leads out of the repository"), ("app/web.yaml/x", "x")]
)
def test_a_folder_that_does_not_exist_is_reported_and_not_in_sync(world: World, path: str, says: str) -> None:
    """The revision is known, the folder is not: exit 2, in the document too."""
    in_sync(world)
    arguments = ("check", "--repo", world.repository.url, "--path", path, "--kubeconfig", str(world.kubeconfig))
    table = world.driftd(*arguments)
    assert (table.code, table.err) == (2, "")
    assert says in table.out
    assert "could not tell" in table.out
    (app,) = document(world.driftd(*arguments, "-o", "json"))["apps"]
    assert app["in_sync"] is False
    assert says in app["error"]


def test_a_cluster_that_does_not_answer_leaves_every_object_unknown(world: World) -> None:
    """With its address, and the exit code 2."""
    in_sync(world)
    world.sandbox.faults.refusing = True
    result = world.check("-o", "json")
    assert result.code == 2
    (app,) = document(result)["apps"]
    assert app["counts"]["unknown"] == 2
    assert world.sandbox.url in app["resources"][0]["error"]
    world.sandbox.faults.refusing = False


def test_a_manifest_that_does_not_parse_is_reported_with_its_position(world: World) -> None:
    """File, line and column."""
    in_sync(world)
    world.commit(slip="apiVersion: v1\nkind: [\n")
    result = world.check()
    assert result.code == 2
    assert "app/slip.yaml:" in result.out


def test_as_a_process_it_prints_the_same_and_copies_no_local_repository(world: World) -> None:
    """Then it has a worker for parsing; an error and drift are reported as without one."""
    world.commit(broken="a: [\n", **{f"c{number}": config_map(f"c{number}") for number in range(120)})
    world.apply(config_map("c7"))
    world.apply(config_map("c100", value="two"), manager="somebody")
    arguments = ["check", "--repo", world.repository.url, "--path", "app", "-n", "web", "-o", "json"]
    command = [sys.executable, "-m", "driftd", *arguments, "--kubeconfig", str(world.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    [app] = json.loads(done.stdout)["apps"]
    assert "broken.yaml:2" in app["error"]
    assert (app["counts"]["missing"], app["counts"]["drifted"], app["counts"]["in_sync"]) == (118, 1, 1)
    assert done.stdout == world.check("-o", "json").out
    assert list(world.folder.rglob("repository.git/objects/info/alternates"))
    assert not list(world.folder.rglob("repository.git/objects/pack/*.pack"))


def test_a_check_uses_a_worker_for_git() -> None:
    """While its own process starts, and talks to the cluster."""
    program = """
import os
os.sched_getaffinity = lambda _: {0, 1}  # however many there are
from driftd.cli import check
async def run_check(request, output, *, show_all, provider):
    print(type(provider).__name__)
    return 0
check.run_check = run_check
from driftd.cli.main import app
app(["check", "--repo", "."])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "GitWorker\n", "")


def test_the_cluster_is_read_while_files_are_still_parsed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lists that the first manifests need are requested before all manifests are known."""
    world.commit(**{name: config_map(name) for name in "abcdef"})
    for name in "abcdef":
        world.apply(config_map(name))
    lists: list[str] = []
    requested = asyncio.Event()
    start_list = api_reader.start_list

    def recorded(cluster: Cluster, resource: ApiResource, namespace: str | None) -> asyncio.Task[Any]:
        lists.append(f"{resource.plural} in {namespace}")
        requested.set()
        return start_list(cluster, resource, namespace)

    class Slow(InProcessProvider):
        async def desired(
            self,
            source: GitSource,
            app: App,
            revision: Revision,
            capabilities: CapabilitiesSource | None = None,
            on_first_batch: OnFirstBatch | None = None,
        ) -> Desired:
            desired = await super().desired(source, app, revision, capabilities)
            assert on_first_batch is not None
            await asyncio.to_thread(on_first_batch, desired.manifests[:4])
            await asyncio.wait_for(requested.wait(), 20)
            return desired

    monkeypatch.setattr(api_reader, "start_list", recorded)
    request = CheckRequest((), str(world.repository.folder), None, "app", "web", world.kubeconfig, None, None, None)
    assert asyncio.run(run_check(request, Format.JSON, show_all=False, provider=Slow(tmp_path / "mirrors"))) == 0
    assert lists == ["configmaps in web"]
