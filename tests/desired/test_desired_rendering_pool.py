"""The daemon renders in other processes: what a repository holds spoils its own app, and nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from driftd.desired import rendering_pool
from driftd.desired.renderer import Renderer, render_in_thread
from driftd.desired.rendering_pool import RenderingPool
from driftd.git.mirror import Mirror
from driftd.git.source import GitSource
from driftd.model.app import App, RenderOptions
from driftd.model.errors import GitError, PathNotFound, RenderError
from driftd.render.parser import CachingParser, UncachedParser
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

OPTIONS = RenderOptions(namespace="shop")


@pytest.fixture
async def pool() -> AsyncIterator[RenderingPool]:
    started = RenderingPool(memory=256 << 20)
    yield started
    await started.close()


@pytest.fixture
def repository(tmp_path: Path) -> GitRepo:
    files = {f"app/{number}.yaml": config_map(f"c{number}", a="1") for number in range(250)}
    repository = GitRepo(tmp_path / "repository")
    repository.write({**files, "app/bad.yaml": "a: [", "big/a.yaml": f"a: {'x' * (31 << 20)}\n"}).commit()
    return repository


@pytest.fixture
def mirror(tmp_path: Path, repository: GitRepo) -> Mirror:
    return Mirror(GitSource("shop", repository.url, allow_file=True), tmp_path / "mirror")


async def test_another_process_renders_the_same(pool: RenderingPool, mirror: Mirror) -> None:
    """Manifests, errors and inputs, in the same order."""
    tree = await mirror.tree((await mirror.fetch()).sha, "app")
    here, paths_read = await render_in_thread(tree, OPTIONS, UncachedParser())
    there, paths_read_there = await pool.render(tree, OPTIONS, UncachedParser())
    assert [manifest.key for manifest in there.manifests] == [manifest.key for manifest in here.manifests]
    assert list(map(str, there.errors)) == list(map(str, here.errors))
    assert len(there.errors) == 1
    assert paths_read_there == paths_read


async def test_a_commit_costs_the_files_that_it_changes(
    pool: RenderingPool, mirror: Mirror, repository: GitRepo
) -> None:
    """The manifests of the others are those that the daemon has: they are neither parsed nor sent again."""
    parser = CachingParser()
    first, _ = await pool.render(await mirror.tree((await mirror.fetch()).sha, "app"), OPTIONS, parser)
    repository.write({"app/7.yaml": config_map("c7", a="2")}).commit()
    second, _ = await pool.render(await mirror.tree((await mirror.fetch()).sha, "app"), OPTIONS, parser)
    assert len(second.manifests) == len(first.manifests) == 250
    assert len({id(manifest) for manifest in second.manifests} - {id(manifest) for manifest in first.manifests}) == 1


async def test_too_much_memory_is_the_error_of_its_app(tmp_path: Path, mirror: Mirror) -> None:
    """Others are rendered as before, by another process."""
    pool = RenderingPool(memory=130 << 20)
    sha = (await mirror.fetch()).sha
    with pytest.raises(RenderError, match=r"^big: rendering was stopped: it needs more than 130 MiB of memory"):
        await pool.render(await mirror.tree(sha, "big"), OPTIONS, UncachedParser())
    rendering, _ = await pool.render(await mirror.tree(sha, "app"), OPTIONS, UncachedParser())
    assert len(rendering.manifests) == 250
    await pool.close()


@pytest.mark.parametrize(("limit", "value"), [("_MAX_MANIFESTS", 249), ("_MAX_BYTES", 10_000)])
async def test_more_than_the_daemon_can_keep_is_the_error_of_its_app(
    pool: RenderingPool, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """What renders has limits of its own, and hands on what it has piece by piece: thousands of large files, too."""
    tree = await mirror.tree((await mirror.fetch()).sha, "app")
    with monkeypatch.context() as patch:
        patch.setattr(rendering_pool, limit, value)
        with pytest.raises(RenderError, match=r"^app: this declares more than .*: make it several apps$"):
            await pool.render(tree, OPTIONS, UncachedParser())
    rendering, _ = await pool.render(tree, OPTIONS, UncachedParser())
    assert len(rendering.manifests) == 250


@pytest.mark.usefixtures("confinement")
async def test_a_rendering_reads_the_mirror_of_its_source_and_nothing_else(
    pool: RenderingPool, mirror: Mirror, tmp_path: Path
) -> None:
    """Whatever driftd would overlook: here the mirror's objects lie elsewhere, by a link."""
    tree = replace(await mirror.tree((await mirror.fetch()).sha, "app"), _listing=None)
    objects = tree.folder.repository / "objects"
    objects.rename(tmp_path / "elsewhere")
    objects.symlink_to(tmp_path / "elsewhere")
    here, _ = await render_in_thread(tree, OPTIONS, UncachedParser())
    assert len(here.manifests) == 250
    with pytest.raises(GitError):
        await pool.render(tree, OPTIONS, UncachedParser())


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_cancelled_rendering_ends_what_it_runs_at_once(
    pool: RenderingPool, mirror: Mirror, repository: GitRepo, tmp_path: Path, elsewhere: bool
) -> None:
    """driftd stops while kustomize is at work: it does not wait, and nothing is left running."""
    render = pool.render if elsewhere else render_in_thread
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\n/bin/sleep 62.{os.getpid()}\n")
    slow.chmod(0o755)
    repository.write({"slow/kustomization.yaml": "{}"}).commit()
    tree = await mirror.tree((await mirror.fetch()).sha, "slow")
    rendering = asyncio.create_task(render(tree, replace(OPTIONS, kustomize=str(slow)), UncachedParser()))
    await _until_running(f"62.{os.getpid()}", running=True)
    started = time.monotonic()
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    assert time.monotonic() - started < 2
    await _until_running(f"62.{os.getpid()}", running=False)


async def test_what_was_stopped_is_an_error_and_rests(
    mirror: Mirror, repository: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rendering that took long and failed is not made again before a change, so that it cannot take all the time."""
    calls = 0
    now = 0.0

    async def stopped(*_: object) -> None:
        nonlocal calls, now
        calls += 1
        now += 60
        raise RenderError("it took too long", file="app")

    monkeypatch.setattr("driftd.desired.renderer.time.monotonic", lambda: now)
    renderer = Renderer(App("web", "shop", "prod", path="app"), mirror, None, stopped)  # type: ignore[arg-type]
    revision = await mirror.fetch()
    for _ in range(3):
        assert (await renderer.desired(revision)).errors == ("app: it took too long",)
    assert calls == 1
    repository.write({"elsewhere": "x"}).commit()
    await renderer.desired(await mirror.fetch())
    assert calls == 2
    now += 601
    await renderer.desired(await mirror.fetch())
    assert calls == 3


async def test_a_file_that_is_gone_is_an_error_of_git(pool: RenderingPool, mirror: Mirror) -> None:
    """The process that reads it goes on: the error is no failure of it."""
    tree = await mirror.tree((await mirror.fetch()).sha, "app")
    lost = replace(tree, path="nowhere", _listing=None)
    with pytest.raises(PathNotFound):
        await pool.render(lost, OPTIONS, UncachedParser())
    rendering, _ = await pool.render(tree, OPTIONS, UncachedParser())
    assert rendering.manifests


async def _until_running(argument: str, *, running: bool) -> None:
    """Waits until a program with this argument runs, or no longer does."""
    for _ in range(600):
        if _is_running(argument) is running:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(argument)


def _is_running(argument: str) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in file.read_bytes().split(b"\0"):
                return True
    return False
