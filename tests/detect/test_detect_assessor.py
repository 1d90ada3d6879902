"""Verdicts on streamed objects, in whatever order and however often they come."""

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


def config(name: str, **values: str) -> MappedManifest:
    return MappedManifest(manifest("ConfigMap", name, data=values).in_namespace("shop"), CONFIG_MAPS)


async def assessed(items: Sequence[MappedManifest], *batches: ReadResults) -> list[Assessment]:
    """The assessments for a reader that streams these batches."""

    async def stream(_items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        for batch in batches:
            yield batch

    async def no_schema(_resource: object) -> None:
        return None

    view, reader = SimpleNamespace(schema=no_schema), SimpleNamespace(stream=stream)
    assessor = Assessor(cast("Any", view), Comparison(Redactor(b"k" * 32)), Engine.CLIENT)
    return await assessor.assess(items, cast("Any", reader))


async def test_an_object_that_is_declared_twice_is_compared_with_each_declaration() -> None:
    """Both may get the same namespace, which only the cluster defines; neither verdict hides the other."""
    first, second = config("a", key="1"), config("a", key="2")
    result = await assessed([first, second], {first.manifest.ref: ReadResult(config_map("a", 1, key="2"))})
    assert [assessment.mapped for assessment in result] == [first, second]
    assert [assessment.verdict.status for assessment in result] == [Status.DRIFTED, Status.IN_SYNC]


async def test_the_last_result_of_an_object_counts() -> None:
    """A list that starts again streams an object a second time."""
    item = config("a", key="1")
    ref = item.manifest.ref
    before, after = ReadResult(config_map("a", 1, key="1")), ReadResult(config_map("a", 2, key="2"))

    async def status(first: ReadResult, second: ReadResult) -> Status:
        [assessment] = await assessed([item], {ref: first}, {ref: second})
        return assessment.verdict.status

    assert await status(before, after) is Status.DRIFTED
    assert await status(after, ReadResult(None)) is Status.MISSING
    assert await status(before, ReadResult(None, "gone")) is Status.UNKNOWN


async def test_managed_fields_of_an_object_in_sync_are_not_kept() -> None:
    """They are half of an object, and a pass holds all objects; the object that was read stays unchanged."""
    items = [config("a", key="1"), config("b", key="1")]
    bodies = [config_map("a", 1, key="1"), config_map("b", 1, key="2")]
    for body in bodies:
        body["metadata"]["managedFields"] = [{"manager": "x"}]
    results = {item.manifest.ref: ReadResult(body) for item, body in zip(items, bodies, strict=True)}
    same, differs = await assessed(items, results)
    assert same.live is not None
    assert differs.live is not None
    assert "managedFields" not in same.live["metadata"]
    assert "managedFields" in differs.live["metadata"]
    assert "managedFields" in bodies[0]["metadata"]
