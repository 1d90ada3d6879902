"""A pass costs what has changed since the one before, whoever copies the manifests on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from driftd.desired.provider import InProcessProvider
from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment
from driftd.detect.detector import Detector
from driftd.kube.cache import LiveCache
from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest
from driftd.live.watches import ClusterWatches
from driftd.model.plan import Mode
from driftd.reconcile.reconciler import Reconciler
from driftd.reconcile.scan import Background
from driftd.render.parser import CachingParser, Parser, UncachedParser
from tests.support.world import World, config_map
from tests.support.worlds import OpenWorld


@pytest.fixture
def assessed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of each object that is assessed."""
    names: list[str] = []
    assess = Detector.assess

    async def counted(detector: Detector, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        names.extend(f"{one.manifest.ref.kind}/{one.manifest.ref.name}" for one in items)
        return await assess(detector, items, reader)

    monkeypatch.setattr(Detector, "assess", counted)
    return names


@asynccontextmanager
async def _watched(world: World, parser: Callable[[], Parser] = CachingParser) -> AsyncIterator[Reconciler]:
    """The app in sync and under watch, after a pass that assessed all of it."""
    await world.settle()
    watches = ClusterWatches(lambda *told: LiveCache(world.cluster, *told), lambda _app: None, world.clock)
    runner = world.make_runner(Background(watches, lambda: None, asyncio.Lock()))
    _forget_files(runner, parser)
    world.runner = runner
    try:
        assert (await runner.run()).report.in_sync
        await runner.run()
        yield runner
    finally:
        await watches.close()


def _forget_files(runner: Reconciler, parser: Callable[[], Parser]) -> None:
    """Makes the next revision be parsed as a whole."""
    provider = runner.source._provider
    assert isinstance(provider, InProcessProvider)
    provider._parser = parser()
    provider._renderers.clear()


def _copy(runner: Reconciler) -> None:
    """Copies what the last revision declares, as a stage behind the renderer would."""
    desired = runner._desired
    assert desired is not None
    runner._desired = Desired(desired.revision, tuple([replace(one) for one in desired.manifests]), desired.errors)


@pytest.mark.parametrize("everything", [False, True])
async def test_copies_of_an_unchanged_revision_are_not_assessed_again(
    open_world: OpenWorld, assessed: list[str], everything: bool
) -> None:
    """Neither by a pass over what the watches tell of, nor by one over everything."""
    async with open_world(mode=Mode.HEAL) as world, _watched(world) as runner:
        assessed.clear()
        for _ in range(2):
            _copy(runner)
            if everything:
                runner.request_full_pass()
            assert (await runner.run()).report.in_sync
        assert assessed == []


@pytest.mark.parametrize("parser", [CachingParser, UncachedParser])
async def test_files_that_are_parsed_again_are_not_assessed_again(
    open_world: OpenWorld, assessed: list[str], parser: Callable[[], Parser]
) -> None:
    """A commit costs the objects that it changes, even where no file is known again."""
    async with open_world(mode=Mode.HEAL) as world, _watched(world, parser) as runner:
        assessed.clear()
        before = runner._desired
        _forget_files(runner, parser)
        await world.commit({"notes.md": "Nothing that is declared\n"}, "Write notes")
        assert (await runner.run()).report.in_sync
        assert before is not None
        assert runner._desired is not None
        assert not {id(one) for one in before.manifests}.intersection(id(one) for one in runner._desired.manifests)
        assert assessed == []
        _forget_files(runner, parser)
        await world.commit({"other.yaml": config_map("other", a="1")}, "Add another one")
        await runner.run()
        assert set(assessed) == {"ConfigMap/other"}
