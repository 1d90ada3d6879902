"""The Git worker: its results are those that this process would have had without it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from driftd.config.secret import SecretEnv, SecretFile
from driftd.desired.provider import InProcessProvider
from driftd.desired.state import Desired
from driftd.desired.worker import FetchRequest, git_worker
from driftd.git.source import Auth, BasicAuth, GitSource, TokenAuth
from driftd.model.app import App
from tests.support.gitserver import GitRepo, git_processes, silent_server
from tests.support.world import config_map

SCRIPT = """
    import asyncio, json, os, sys
    os.sched_getaffinity = lambda _: {0, 1}  # however many there are
    from multiprocessing import active_children
    from pathlib import Path
    from driftd.desired.worker import git_worker
    what, url, path, cache = sys.argv[1:]
    if what == "defect":
        from driftd.desired import worker_parsing
        worker_parsing.render_parts = None

    with git_worker(Path(cache)) as git:
        from driftd.git.source import GitSource
        from driftd.model.errors import DriftdError
        from driftd.model.app import App
        from driftd.render import manifests

        children = active_children()
        parsed, first = [], []
        read = manifests.read_manifests
        manifests.read_manifests = lambda data, file: parsed.append(file) or read(data, file)

        async def render():
            source = GitSource("shop", url, allow_file=True)
            for _ in range(100 if what == "stealing" else 0):
                git.steal_work()
            revision = await git.fetch(source)
            if what == "killed":
                children[0].kill()
                children[0].join()
            for folder in path.split(","):
                app = App("web", "shop", "prod", path=folder)
                desired = await git.desired(source, app, revision, None, lambda batch: first.append(len(batch)))
            return revision, desired

        try:
            revision, desired = asyncio.run(render())
            result = {
                "sha": revision.sha,
                "errors": list(desired.errors),
                "manifests": [[m.source.file, m.source.line, m.ref.name, m.body] for m in desired.manifests],
            }
        except DriftdError as error:
            result = {"raised": [type(error).__name__, str(error)]}
    print(json.dumps({**result, "workers": len(children), "left": len(active_children()), "parsed": len(parsed),
                      "first": first, "gone": git._gone}))
"""


def by_worker(repository: GitRepo, cache: Path, *, path: str = "app", what: str = "", url: str = "") -> dict[str, Any]:
    """The desired state as a process with a worker gets it."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT), what, url or repository.url, path, str(cache)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    *logged, last = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(last)
    assert (result.pop("workers"), result.pop("left")) == (1, 0)
    assert result.pop("gone") is bool(logged) is (what in ("killed", "defect"))
    return result


def in_process(repository: GitRepo, cache: Path, path: str = "app") -> dict[str, Any]:
    """The same, from this process alone."""

    async def render() -> Desired:
        git, source = InProcessProvider(cache), GitSource("shop", repository.url, allow_file=True)
        return await git.desired(source, App("web", "shop", "prod", path=path), await git.fetch(source))

    desired = asyncio.run(render())
    return {
        "sha": desired.revision.sha,
        "errors": list(desired.errors),
        "manifests": [[m.source.file, m.source.line, m.ref.name, m.body] for m in desired.manifests],
    }


@pytest.fixture
def shop(tmp_path: Path) -> GitRepo:
    """Some hundred files, two of them with mistakes, and one with an object of another one."""
    files = {f"app/{number:04}.yaml": config_map(name=f"c-{number}") for number in range(600)}
    files |= {"app/0007.yaml": "kind: [\n", "app/0500.yaml": "a: 1\n", "app/0501.yaml": config_map(name="c-2")}
    repository = GitRepo(tmp_path / "repository").write({**files, "other/one.yaml": config_map(name="one")})
    repository.commit("Declare it")
    return repository


def until(holds: Callable[[], bool], what: str) -> None:
    within = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < within, what
        time.sleep(0.02)


@pytest.mark.parametrize("what", ["", "stealing"])
def test_a_worker_gives_the_same_result_as_one_process(shop: GitRepo, tmp_path: Path, what: str) -> None:
    """In the same order, with the same errors and positions; and the worker ends.

    This process parses files only if it steals work, and never all of them, however often it offers to.
    """
    result = by_worker(shop, tmp_path / "worker", what=what)
    parsed = result.pop("parsed")
    assert 0 < parsed < 600 if what == "stealing" else parsed == 0
    assert result.pop("first")[0] >= 40
    assert result == in_process(shop, tmp_path / "process")
    assert len(result["errors"]) == 3
    assert len(result["manifests"]) == 597


def test_one_worker_renders_several_apps(shop: GitRepo, tmp_path: Path) -> None:
    """One after the other, and work is stolen from all of them."""
    result = by_worker(shop, tmp_path / "worker", path="app,other,app,other", what="stealing")
    assert [name for _, _, name, _ in result["manifests"]] == ["one"]
    assert len(result["first"]) == 4


@pytest.mark.parametrize("what", ["killed", "defect"])
def test_if_the_worker_dies_the_work_is_done_in_process(shop: GitRepo, tmp_path: Path, what: str) -> None:
    """The worker is the process that can be spared when memory runs out; and a defect is reported by this process."""
    result = by_worker(shop, tmp_path / "worker", what=what)
    result.pop("parsed"), result.pop("first")
    assert result == in_process(shop, tmp_path / "process")


def test_an_error_of_git_in_the_worker_is_raised_in_this_process(shop: GitRepo, tmp_path: Path) -> None:
    """With the same type and text, from a fetch and from a rendering."""
    assert by_worker(shop, tmp_path / "1", path="nowhere")["raised"] == [
        "PathNotFound",
        "there is no nowhere in this revision",
    ]
    [kind, text] = by_worker(shop, tmp_path / "2", url=str(tmp_path / "away"))["raised"]
    assert kind == "SourceUnreachable"
    assert "check the url" in text


@pytest.mark.parametrize(
    "auth",
    [
        None,
        TokenAuth(SecretEnv("sources[0].auth.token", "TOKEN")),
        BasicAuth("ann", SecretFile("sources[0].auth.password", Path("/run/password"))),
    ],
    ids=["none", "token", "password"],
)
def test_a_source_is_sent_to_the_worker_unchanged(auth: Auth | None) -> None:
    """The worker reads its secrets: their values are not sent."""
    source = GitSource("shop", "https://example.com/shop", auth=auth)
    assert pickle.loads(pickle.dumps(FetchRequest(source))) == FetchRequest(source)


def test_with_one_core_there_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would only take turns with this process."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it is forked"))
    with git_worker(tmp_path) as git:
        assert git is None


def test_a_process_with_threads_is_not_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would be held for ever in the worker."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with git_worker(tmp_path) as git:
            assert git is None
    finally:
        done.set()
        thread.join()


def test_if_no_process_can_be_started_there_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may limit the number of processes."""

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with git_worker(tmp_path) as git:
        assert git is None


WAITING = """
    import asyncio, os, signal, sys
    os.sched_getaffinity = lambda _: {0, 1}  # however many there are
    from multiprocessing import active_children
    from pathlib import Path
    from driftd.desired.worker import git_worker

    async def fetch(git):
        from driftd.git.source import GitSource
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asyncio.current_task().cancel)
        await git.fetch(GitSource("shop", sys.argv[1], timeout=100))

    with git_worker(Path(sys.argv[2])) as git:
        print(*[child.pid for child in active_children()], flush=True)
        try:
            asyncio.run(fetch(git))
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.parametrize("end", [subprocess.Popen.kill, lambda process: process.send_signal(2)], ids=["kill", "Ctrl-C"])
def test_the_worker_ends_with_its_parent_however_that_ends(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    """And so does a Git process that waits for a server: nothing else would end it."""
    with silent_server() as port:
        marker = f":{port}/shop"
        with subprocess.Popen(
            [sys.executable, "-c", dedent(WAITING), f"https://127.0.0.1{marker}", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            until(lambda: any("remote-https" in line for line in git_processes(marker)), "Git has not started")
            end(process)
            _, errors = process.communicate()
            assert errors == ""
        until(lambda: not Path(f"/proc/{child}").exists(), "the process is still there")
        until(lambda: not git_processes(marker), "Git is still there")
