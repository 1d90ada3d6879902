"""Verdicts on what a reader tells, in whatever order and however often it tells it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import Any, cast

from driftd.detect.assessor import Assessment, Assessor
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.live.api_reader import ReadResult, ReadResults
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status
from driftd.model.engine import Engine
from tests.kube.scripted import CONFIG_MAPS, config_map
from tests.support.samples import manifest


def wanted(name: str, **values: str) -> MappedManifest:
    return MappedManifest(manifest("ConfigMap", name, data=values).in_namespace("shop"), CONFIG_MAPS)


async def judged(among: Sequence[MappedManifest], *parts: ReadResults) -> list[Assessment]:
    """What is said where a reader tells these parts."""

    async def told(_wanted: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        for part in parts:
            yield part

    async def no_schema(_resource: object) -> None:
        return None

    view, reader = SimpleNamespace(schema=no_schema), SimpleNamespace(stream=told)
    judge = Assessor(cast("Any", view), Comparison(Redactor(b"k" * 32)), Engine.CLIENT)
    return await judge.assess(among, cast("Any", reader))


async def test_an_object_that_is_declared_twice_is_compared_with_each_declaration() -> None:
    """Both may be placed in one namespace, which only the cluster tells; none hides what the other one says."""
    first, second = wanted("a", key="1"), wanted("a", key="2")
    found = await judged([first, second], {first.manifest.ref: ReadResult(config_map("a", 1, key="2"))})
    assert [one.mapped for one in found] == [first, second]
    assert [one.verdict.status for one in found] == [Status.DRIFTED, Status.IN_SYNC]


async def test_what_is_told_last_counts() -> None:
    """A list that starts anew tells again of what it has told before."""
    one = wanted("a", key="1")
    ref = one.manifest.ref
    before, after = ReadResult(config_map("a", 1, key="1")), ReadResult(config_map("a", 2, key="2"))
    assert [each.verdict.status for each in await judged([one], {ref: before}, {ref: after})] == [Status.DRIFTED]
    assert [each.verdict.status for each in await judged([one], {ref: after}, {ref: ReadResult(None)})] == [
        Status.MISSING
    ]
    assert [each.verdict.status for each in await judged([one], {ref: before}, {ref: ReadResult(None, "gone")})] == [
        Status.UNKNOWN
    ]


async def test_of_what_is_in_sync_nobody_keeps_who_holds_which_field() -> None:
    """It is half of an object, and a look holds all of them; the object that was read stays as it is."""
    one, other = wanted("a", key="1"), wanted("b", key="1")
    bodies = [config_map("a", 1, key="1"), config_map("b", 1, key="2")]
    for body in bodies:
        body["metadata"]["managedFields"] = [{"manager": "x"}]
    parts = {each.manifest.ref: ReadResult(body) for each, body in zip((one, other), bodies, strict=True)}
    same, differs = await judged([one, other], parts)
    assert same.live is not None
    assert differs.live is not None
    assert "managedFields" not in same.live["metadata"]
    assert "managedFields" in differs.live["metadata"]
    assert "managedFields" in bodies[0]["metadata"]
