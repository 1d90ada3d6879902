"""What earlier revisions declared, and the current one does not, is known without reading all of them again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.kube.discovery import ApiResource
from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.app import App
from driftd.model.packing import DictionaryBuilder
from driftd.model.resource import Manifest, Source, digest
from driftd.repair.inventory import Inventory

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))

NAMES = "abcd"


def manifest(name: str, value: int) -> Manifest:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}, "value": value}
    return Manifest.of(body, Source("app.yaml", 1))


MANIFESTS = {(name, value): manifest(name, value) for name in NAMES for value in range(2)}


class History:
    """The revisions that a store keeps; it counts how often one is read."""

    def __init__(self) -> None:
        self.revisions: dict[str, tuple[Manifest, ...]] = {}
        self.reads = 0

    async def difference(self, name: str, others: Collection[bytes]) -> tuple[tuple[Manifest, ...], set[bytes]]:
        self.reads += 1
        here = {one.digest: one for one in self.revisions[name]}
        return tuple([one for key, one in here.items() if key not in others]), {*others} - here.keys()


class Cluster:
    """It serves ConfigMaps."""

    namespace = "default"
    cluster = property(lambda self: self)

    async def discovery(self) -> None:
        return None

    async def resource(self, _api_version: str, _kind: str) -> ApiResource:
        return CONFIG_MAPS


def inventory(history: History) -> Inventory:
    app = App(name="web", source="shop", cluster="prod", path="app")
    return Inventory(app, cast("Any", Cluster()), cast("Any", history))


REVISIONS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1)).map(
    lambda chosen: tuple([MANIFESTS[one] for one in chosen.items()])
)
STEPS = st.lists(st.tuples(REVISIONS, st.lists(st.integers(0, 9), max_size=4)), min_size=1, max_size=8)


@given(STEPS)
@settings(deadline=None)
async def test_what_is_dropped_is_what_some_applied_revision_declared_and_the_current_does_not(
    steps: list[tuple[tuple[Manifest, ...], list[int]]],
) -> None:
    """By the latest manifest, however revisions come, go, and come back."""
    history = History()
    asked = inventory(history)
    seen: list[str] = []
    for declared, chosen in steps:
        current = digest(declared)
        history.revisions[current] = declared
        seen.append(current)
        applied = list(dict.fromkeys(seen[-1 - number % len(seen)] for number in chosen))
        placement = RestMapping([MappedManifest(one, CONFIG_MAPS) for one in declared])
        expected: dict[object, Manifest] = {}
        for name in applied:
            for one in history.revisions[name]:
                if one.ref not in placement.by_ref:
                    expected.setdefault(one.ref, one)
        found = await asked.no_longer_declared(placement, current, applied)
        assert {one.manifest.ref: one.manifest for one in found} == expected


async def test_an_object_that_named_no_namespace_is_the_same_from_memory_and_from_history() -> None:
    """It counts as declared where one of its name is: before a restart as after it."""

    def placed(namespace: str | None, into: str) -> Manifest:
        metadata = {"name": "a"} if namespace is None else {"name": "a", "namespace": namespace}
        read = Manifest.of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, Source("app.yaml", 1))
        return read.packed(DictionaryBuilder()).in_namespace(into)

    history = History()
    before, after = placed(None, "default"), placed("web", "web")
    history.revisions = {
        digest([before]): (before.with_declared_namespace(),),
        digest([after]): (after.with_declared_namespace(),),
    }
    lived = inventory(history)
    first, second = (RestMapping([MappedManifest(one, CONFIG_MAPS)]) for one in (before, after))
    await lived.no_longer_declared(first, digest([before]), [])
    found = [
        await one.no_longer_declared(second, digest([after]), [digest([before])]) for one in (lived, inventory(history))
    ]
    assert found == [(), ()]


async def test_a_new_revision_is_not_read_from_the_history() -> None:
    """What was declared a moment ago is known."""
    history = History()
    asked = inventory(history)
    applied: list[str] = []
    for value in range(2):
        declared = (MANIFESTS["a", value], MANIFESTS["b", 0])
        placement = RestMapping([MappedManifest(one, CONFIG_MAPS) for one in declared])
        assert await asked.no_longer_declared(placement, digest(declared), applied) == ()
        applied.insert(0, digest(declared))
    assert history.reads == 0
