"""The inventory: objects that only earlier revisions declared, without reading all of these again."""

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
    """The revisions in a store; it counts reads."""

    def __init__(self) -> None:
        self.revisions: dict[str, tuple[Manifest, ...]] = {}
        self.reads = 0

    async def difference(self, name: str, others: Collection[bytes]) -> tuple[tuple[Manifest, ...], set[bytes]]:
        self.reads += 1
        own = {manifest.digest: manifest for manifest in self.revisions[name]}
        return tuple([manifest for key, manifest in own.items() if key not in others]), {*others} - own.keys()

    async def last_report(self, _app: str) -> None:
        return None


class Cluster:
    """Serves ConfigMaps only."""

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
    lambda values: tuple([MANIFESTS[item] for item in values.items()])
)
STEPS = st.lists(st.tuples(REVISIONS, st.lists(st.integers(0, 9), max_size=4)), min_size=1, max_size=8)


@given(STEPS)
@settings(deadline=None)
async def test_an_object_of_an_applied_revision_that_the_current_one_lacks_is_no_longer_declared(
    steps: list[tuple[tuple[Manifest, ...], list[int]]],
) -> None:
    """By the latest manifest, in whatever order revisions come, go, and come back."""
    history = History()
    tested = inventory(history)
    digests: list[str] = []
    for declared, offsets in steps:
        current = digest(declared)
        history.revisions[current] = declared
        digests.append(current)
        applied = list(dict.fromkeys(digests[-1 - offset % len(digests)] for offset in offsets))
        mapping = RestMapping([MappedManifest(manifest, CONFIG_MAPS) for manifest in declared])
        expected: dict[object, Manifest] = {}
        for name in applied:
            for earlier in history.revisions[name]:
                if earlier.ref not in mapping.by_ref:
                    expected.setdefault(earlier.ref, earlier)
        items = await tested.no_longer_declared(mapping, current, applied)
        assert {item.manifest.ref: item.manifest for item in items} == expected


async def test_a_restart_makes_no_difference_for_an_object_without_a_namespace() -> None:
    """It counts as declared if one of its name is, whether its manifest is in memory or in the store."""

    def namespaced(namespace: str | None, into: str) -> Manifest:
        metadata = {"name": "a"} if namespace is None else {"name": "a", "namespace": namespace}
        parsed = Manifest.of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, Source("app.yaml", 1))
        return parsed.packed(DictionaryBuilder()).in_namespace(into)

    history = History()
    before, after = namespaced(None, "default"), namespaced("web", "web")
    history.revisions = {
        digest([before]): (before.with_declared_namespace(),),
        digest([after]): (after.with_declared_namespace(),),
    }
    running, restarted = inventory(history), inventory(history)
    first, second = (RestMapping([MappedManifest(manifest, CONFIG_MAPS)]) for manifest in (before, after))
    await running.no_longer_declared(first, digest([before]), [])
    for tested in (running, restarted):
        assert await tested.no_longer_declared(second, digest([after]), [digest([before])]) == ()


async def test_a_new_revision_is_not_read_from_the_store() -> None:
    """The revision before it is in memory."""
    history = History()
    tested = inventory(history)
    applied: list[str] = []
    for value in range(2):
        declared = (MANIFESTS["a", value], MANIFESTS["b", 0])
        mapping = RestMapping([MappedManifest(manifest, CONFIG_MAPS) for manifest in declared])
        assert await tested.no_longer_declared(mapping, digest(declared), applied) == ()
        applied.insert(0, digest(declared))
    assert history.reads == 0
