"""`driftd check`: its exit codes, its formats, and what it says when it cannot tell."""

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

from driftd.cli.check import CheckRequest, run_check
from driftd.cli.output import Format
from driftd.desired.provider import InProcessProvider, OnFirstBatch
from driftd.desired.state import Desired
from driftd.git.source import GitSource
from driftd.kube.discovery import ApiResource
from driftd.kube.rest_client import Cluster
from driftd.live import api_reader
from driftd.model.app import App
from driftd.model.revision import Revision
from tests.cli.conftest import SECRET, Answer, World, config_map
from tests.cli.contract import DOCUMENT

FORMATS = [str(one) for one in Format]


def document(answer: Answer) -> Any:
    """The JSON document, which keeps the contract."""
    found = json.loads(answer.out)
    jsonschema.validate(found, DOCUMENT)
    return found


def in_order(world: World) -> None:
    """What Git declares is what is live."""
    world.commit(web=config_map(), login=SECRET)
    world.apply(config_map())
    world.apply(SECRET)


@pytest.mark.parametrize("output", FORMATS)
def test_the_exit_code_is_the_verdict_in_every_format(world: World, output: str) -> None:
    """0 in sync, 1 drift, 2 could not tell, which wins; and the output is whole each time."""
    in_order(world)
    assert world.check("-o", output).code == 0
    world.apply(config_map(value="two"), manager="somebody")
    drifted = world.check("-o", output)
    assert drifted.code == 1
    assert "two" in drifted.out
    world.sandbox.faults.forbid("*", "secrets")
    unknown = world.check("-o", output)
    assert unknown.code == 2
    assert "two" in unknown.out, "what could be told is told"
    for answer in (drifted, unknown):
        assert answer.err == ""
        if output == "json":
            document(answer)
        elif output == "sarif":
            assert json.loads(answer.out)["version"] == "2.1.0"
        elif output == "junit":
            assert ET.fromstring(answer.out).tag == "testsuites"


def test_the_json_document_says_what_who_and_where(world: World) -> None:
    """As the contract has it, key by key; and no secret is in it."""
    in_order(world)
    sha = world.repository.head
    world.apply(config_map(value="two"), manager="kubectl-edit")
    world.apply(SECRET.replace("in-git", "by-hand"), manager="kubectl-edit")
    answer = world.check("-o", "json")
    (app,) = document(answer)["apps"]
    assert (app["app"], app["revision"], app["in_sync"]) == ("app", sha, False)
    assert app["counts"] == {"in_sync": 0, "drifted": 2, "missing": 0, "orphaned": 0, "ignored": 0, "unknown": 0}
    resources = {one["kind"]: one for one in app["resources"]}
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
    """Neither Git's nor the live one, in clear or in base64."""
    in_order(world)
    world.apply(SECRET.replace("in-git", "by-hand"), manager="kubectl-edit")
    answer = world.check("-o", output, "--all")
    for shown in ("CANARY", "Q0FOQVJZ"):
        assert shown not in answer.out + answer.err
    assert answer.code == 1


@pytest.mark.parametrize("engine", ["client", "server"])
def test_both_engines_come_to_the_same_verdict(world: World, engine: str) -> None:
    """And neither writes."""
    in_order(world)
    before = world.sandbox.resource_version
    world.commit(web=config_map(value="two"))
    (app,) = document(world.check("-o", "json", "--engine", engine))["apps"]
    assert app["counts"]["drifted"] == 1
    assert app["counts"]["in_sync"] == 1
    assert world.sandbox.resource_version == before


def test_a_path_is_taken_as_one_types_it(world: World) -> None:
    """`.`, a slash too many, and a branch, tag or commit."""
    in_order(world)
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
        answer = world.driftd(*repo, "--revision", revision, *kubeconfig)
        assert (answer.code, document(answer)["apps"][0]["revision"]) == (0, first)


def test_in_a_configuration_every_app_is_checked_and_one_s_trouble_is_its_own(world: World, tmp_path: Path) -> None:
    """Broken YAML in one, a source that is away in another: the third is judged, and the exit code is 2."""
    in_order(world)
    world.repository.write({"broken/a.yaml": "kind: [\n"}).commit("Slip")
    config = world.configure(
        {"name": "web", "path": "app"}, {"name": "slip", "path": "broken"}, {"name": "away", "source": "gone"},
        sources=[{"name": "shop", "url": world.repository.url}, {"name": "gone", "url": str(tmp_path / "gone")}],
    )  # fmt: skip
    answer = world.driftd("check", *config, "-o", "json")
    assert answer.code == 2
    apps = {app["app"]: app for app in document(answer)["apps"]}
    assert apps["web"]["in_sync"] is True
    assert apps["slip"]["in_sync"] is False
    assert apps["slip"]["error"].startswith("broken/a.yaml:")
    assert apps["away"]["in_sync"] is False
    assert "gone" in apps["away"]["error"]
    assert "broken/a.yaml:" in world.driftd("check", *config).out
    assert world.driftd("check", *config, "web").code == 0


def test_a_folder_without_manifests_is_not_in_sync(world: World) -> None:
    """It is more likely the wrong folder than an app that declares nothing."""
    world.repository.write({"app/README": "nothing yet"}).commit("Begin")
    answer = world.check("-o", "json")
    assert answer.code == 2
    assert "no manifests here" in document(answer)["apps"][0]["error"]


def refused(answer: Answer, *words: str) -> None:
    """Exit 2, one message on standard error that has these words in it, and nothing on standard output."""
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.strip()
    assert "Traceback" not in answer.err
    assert len(answer.err.strip().splitlines()) == 1, answer.err
    for word in words:
        assert word in answer.err, answer.err


def test_what_is_asked_for_wrongly_is_said_in_one_line(world: World, tmp_path: Path) -> None:
    """What, where, and what to do about it."""
    in_order(world)
    repo = ("check", "--repo", world.repository.url)
    config = world.configure({"name": "web", "path": "app"})
    refused(world.driftd("check"), "--repo", "--config")
    refused(world.driftd("check", "web", "--repo", "x"), "--repo", "--config")
    refused(world.driftd(*repo, *config), "give one of the two")
    refused(world.driftd("check", *config, "shop"), "no app 'shop'", "web")
    refused(world.driftd("check", "--config", str(tmp_path / "none.yaml")), "none.yaml", "no such file")
    refused(world.driftd("check", "--repo", str(tmp_path / "none")), str(tmp_path / "none"), "git repository")
    refused(world.driftd(*repo, "--revision", "nope"), "no branch, tag or commit 'nope'", "main")
    refused(world.driftd(*repo, "--revision=--upload-pack=x"), "--upload-pack=x")
    refused(world.driftd(*repo, "--kubeconfig", str(tmp_path / "none")), str(tmp_path / "none"))
    refused(world.driftd(*repo, "--kubeconfig", str(world.kubeconfig), "--context", "x"), "context 'x'", "sandbox")


@pytest.mark.parametrize(
    ("path", "says"), [("nope", "nope"), ("../elsewhere", "leads out of the repository"), ("app/web.yaml/x", "x")]
)
def test_a_folder_that_is_not_there_is_said_and_nothing_is_in_sync(world: World, path: str, says: str) -> None:
    """The revision is known, the folder is not: exit 2, in the document too."""
    in_order(world)
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
    in_order(world)
    world.sandbox.faults.refusing = True
    answer = world.check("-o", "json")
    assert answer.code == 2
    (app,) = document(answer)["apps"]
    assert app["counts"]["unknown"] == 2
    assert world.sandbox.url in app["resources"][0]["error"]
    world.sandbox.faults.refusing = False


def test_a_manifest_that_does_not_parse_names_its_place_and_the_rest_is_shown(world: World) -> None:
    """File, line and column."""
    in_order(world)
    world.commit(slip="apiVersion: v1\nkind: [\n")
    answer = world.check()
    assert answer.code == 2
    assert "app/slip.yaml:" in answer.out


def test_as_a_process_it_says_the_same_and_copies_no_repository_of_this_machine(world: World) -> None:
    """There it has a second process for what is to be parsed; a mistake and drift are told as ever."""
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


def test_another_process_sees_to_git() -> None:
    """While this one starts, and talks to the cluster."""
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


def test_the_cluster_is_asked_while_files_are_still_parsed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the first manifests show to be wanted is there by the time that all of them are known."""
    world.commit(**{name: config_map(name) for name in "abcdef"})
    for name in "abcdef":
        world.apply(config_map(name))
    begun: list[str] = []
    asked = asyncio.Event()
    begin_list = api_reader.start_list

    def noted(cluster: Cluster, resource: ApiResource, namespace: str | None) -> asyncio.Task[Any]:
        begun.append(f"{resource.plural} in {namespace}")
        asked.set()
        return begin_list(cluster, resource, namespace)

    class Slow(InProcessProvider):
        async def desired(
            self, source: GitSource, app: App, revision: Revision, seen: OnFirstBatch | None = None
        ) -> Desired:
            found = await super().desired(source, app, revision)
            assert seen is not None
            await asyncio.to_thread(seen, found.manifests[:4])
            await asyncio.wait_for(asked.wait(), 20)
            return found

    monkeypatch.setattr(api_reader, "start_list", noted)
    request = CheckRequest((), str(world.repository.folder), None, "app", "web", world.kubeconfig, None, None, None)
    assert asyncio.run(run_check(request, Format.JSON, show_all=False, provider=Slow(tmp_path / "mirrors"))) == 0
    assert begun == ["configmaps in web"]
