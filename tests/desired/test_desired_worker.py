"""Git's side of a look in a process of its own: what it says is what would have been said here."""

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
        here, first = [], []
        read = manifests.read_manifests
        manifests.read_manifests = lambda data, file: here.append(file) or read(data, file)

        async def look():
            source = GitSource("shop", url, allow_file=True)
            for _ in range(100 if what == "lent" else 0):
                git.steal_work()
            revision = await git.fetch(source)
            if what == "killed":
                children[0].kill()
                children[0].join()
            for folder in path.split(","):
                app = App("web", "shop", "prod", path=folder)
                found = await git.desired(source, app, revision, lambda some: first.append(len(some)))
            return revision, found

        try:
            revision, found = asyncio.run(look())
            said = {
                "sha": revision.sha,
                "errors": list(found.errors),
                "found": [[m.source.file, m.source.line, m.ref.name, m.body] for m in found.manifests],
            }
        except DriftdError as error:
            said = {"raised": [type(error).__name__, str(error)]}
    print(json.dumps({**said, "beside": len(children), "left": len(active_children()), "here": len(here),
                      "first": first, "gone": git._gone}))
"""


def told(repository: GitRepo, cache: Path, *, path: str = "app", what: str = "", url: str = "") -> dict[str, Any]:
    """What a process says that has a second one beside it."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT), what, url or repository.url, path, str(cache)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    *logged, last = done.stdout.splitlines()
    said: dict[str, Any] = json.loads(last)
    assert (said.pop("beside"), said.pop("left")) == (1, 0)
    assert said.pop("gone") is bool(logged) is (what in ("killed", "defect"))
    return said


def said_here(repository: GitRepo, cache: Path, path: str = "app") -> dict[str, Any]:
    """The same, said by this process alone."""

    async def look() -> Desired:
        git, source = InProcessProvider(cache), GitSource("shop", repository.url, allow_file=True)
        return await git.desired(source, App("web", "shop", "prod", path=path), await git.fetch(source))

    found = asyncio.run(look())
    return {
        "sha": found.revision.sha,
        "errors": list(found.errors),
        "found": [[m.source.file, m.source.line, m.ref.name, m.body] for m in found.manifests],
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


@pytest.mark.parametrize("what", ["", "lent"])
def test_two_processes_say_what_one_says(shop: GitRepo, tmp_path: Path, what: str) -> None:
    """In the same order, mistakes and their places included; and nothing of the second one stays.

    Files are parsed on this side only once it has the time, and never all of them, however often it says so.
    """
    said = told(shop, tmp_path / "beside", what=what)
    parsed_here = said.pop("here")
    assert 0 < parsed_here < 600 if what == "lent" else parsed_here == 0
    assert said.pop("first")[0] >= 40
    assert said == said_here(shop, tmp_path / "here")
    assert len(said["errors"]) == 3
    assert len(said["found"]) == 597


def test_a_second_app_is_told_of_as_the_first_was(shop: GitRepo, tmp_path: Path) -> None:
    """By the same process, and a hand that was lent stays lent."""
    said = told(shop, tmp_path / "beside", path="app,other,app,other", what="lent")
    assert [name for _, _, name, _ in said["found"]] == ["one"]
    assert len(said["first"]) == 4


@pytest.mark.parametrize("what", ["killed", "defect"])
def test_what_the_other_process_does_not_answer_is_done_here(shop: GitRepo, tmp_path: Path, what: str) -> None:
    """Whoever runs out of memory first is the one that can be spared; and a defect is told of where it can be."""
    said = told(shop, tmp_path / "beside", what=what)
    said.pop("here"), said.pop("first")
    assert said == said_here(shop, tmp_path / "here")


def test_what_git_refuses_is_told_as_it_is_told_here(shop: GitRepo, tmp_path: Path) -> None:
    """The same error with the same text, from a fetch and from a look at a folder."""
    assert told(shop, tmp_path / "1", path="nowhere")["raised"] == [
        "PathNotFound",
        "there is no nowhere in this revision",
    ]
    [kind, text] = told(shop, tmp_path / "2", url=str(tmp_path / "away"))["raised"]
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
def test_a_source_goes_over_as_it_is(auth: Auth | None) -> None:
    """What it has for secrets is read over there: they are not sent."""
    source = GitSource("shop", "https://example.com/shop", auth=auth)
    assert pickle.loads(pickle.dumps(FetchRequest(source))) == FetchRequest(source)


def test_where_there_is_one_core_for_all_there_is_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would only take turns with this one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it is forked"))
    with git_worker(tmp_path) as git:
        assert git is None


def test_a_process_with_threads_is_not_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would be held for ever over there."""
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


def test_where_there_may_be_no_more_processes_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have a limit."""

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

    async def look(git):
        from driftd.git.source import GitSource
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asyncio.current_task().cancel)
        await git.fetch(GitSource("shop", sys.argv[1], timeout=100))

    with git_worker(Path(sys.argv[2])) as git:
        print(*[child.pid for child in active_children()], flush=True)
        try:
            asyncio.run(look(git))
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.parametrize("end", [subprocess.Popen.kill, lambda process: process.send_signal(2)], ids=["kill", "Ctrl-C"])
def test_the_second_process_ends_with_the_first_however_that_ends(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    """And the Git that waits for a server does, too: nobody would be there to end it."""
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
