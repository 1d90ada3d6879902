"""A verdict stands for as long as its inputs have not changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from driftd.detect.assessor import Assessment, SchemaAnswers
from driftd.detect.verdict_cache import VerdictCache
from driftd.kube.discovery import ApiResource
from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.drift import Status, Verdict
from driftd.model.errors import KubeError
from driftd.model.resource import Manifest, ResourceRef, Source

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))
TYPES: SchemaAnswers = {CONFIG_MAPS: None}


class Versions:
    """A reader that only has the version of each object, by its name."""

    def __init__(self) -> None:
        self.versions: dict[str, str | None] = {"a": "1", "b": "1"}

    def version_of(self, item: MappedManifest) -> str | None:
        return self.versions[item.manifest.ref.name]


def config(name: str, **data: str) -> MappedManifest:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}, "data": data}
    return MappedManifest(Manifest.of(body, Source("app.yaml", 1)), CONFIG_MAPS)


def ref(name: str) -> ResourceRef:
    return ResourceRef("", "ConfigMap", "web", name)


def names(items: Iterable[MappedManifest]) -> list[str]:
    return [item.manifest.ref.name for item in items]


class App:
    """An app of two ConfigMaps with its verdict cache."""

    def __init__(self) -> None:
        self.live = Versions()
        self.mapping = RestMapping([config("a"), config("b")])
        self.cache = VerdictCache()
        self.unchanged: list[str] = []

    def stale(
        self, changed: set[ResourceRef] | None, commit: str = "c1", types: SchemaAnswers = TYPES
    ) -> list[MappedManifest]:
        stale, unchanged = self.cache.stale(self.mapping, commit, self.live, types, changed)  # type: ignore[arg-type]
        self.unchanged = [assessment.verdict.ref.name for assessment in unchanged]
        return stale

    def assess(self, items: Iterable[MappedManifest], status: Status = Status.IN_SYNC) -> None:
        items = list(items)
        verdicts = [Verdict(item.manifest.ref, "v1", status) for item in items]
        assessments = [Assessment(item, verdict) for item, verdict in zip(items, verdicts, strict=True)]
        self.cache.update(assessments, [self.live.version_of(item) for item in items], verdicts)

    @property
    def statuses(self) -> list[Status]:
        return [verdict.status for verdict in self.cache.verdicts]


@pytest.fixture
def app() -> App:
    """An app whose objects are all in sync."""
    created = App()
    assert created.stale(set()) == list(created.mapping.mapped)
    created.assess(created.mapping.mapped)
    return created


def test_an_object_that_was_never_assessed_is_unknown() -> None:
    """Never in sync."""
    created = App()
    created.stale(None)
    assert created.statuses == [Status.UNKNOWN, Status.UNKNOWN]


def test_only_objects_with_watch_events_are_assessed_again(app: App) -> None:
    """None without events, or for objects that the app does not declare."""
    assert app.stale(set()) == []
    assert names(app.stale({ref("b"), ref("other")})) == ["b"]


def test_a_full_pass_assesses_objects_that_may_have_changed(app: App) -> None:
    """Those with another version of the live object, or with an unknown one."""
    assert app.stale(None) == []
    app.live.versions["b"] = "2"
    assert names(app.stale(None)) == ["b"]
    app.live.versions["b"] = None
    assert names(app.stale(None)) == ["b"]


def test_another_commit_is_no_reason_to_assess_objects_that_it_does_not_change(app: App) -> None:
    """An object stays in sync if its manifest is the same and it has no watch events."""
    assert app.stale(set(), commit="c2") == []
    assert names(app.stale({ref("a")}, commit="c3")) == ["a"]
    assert app.unchanged == []


def test_an_unchanged_difference_from_another_commit_is_not_assessed_again(app: App) -> None:
    """But its attribution may have changed: it is enriched again. An unknown object is assessed again."""
    app.assess(app.stale({ref("a")}), Status.MISSING)
    app.assess(app.stale({ref("b")}), Status.UNKNOWN)
    assert names(app.stale(set(), commit="c2")) == ["b"]
    assert app.unchanged == ["a"]
    assert names(app.stale({ref("a")}, commit="c3")) == ["a", "b"]
    assert app.unchanged == []


def test_a_commit_that_changes_adds_and_removes_objects_costs_these() -> None:
    """Whatever their positions are."""
    app = App()
    app.mapping = RestMapping([config(name) for name in "abcd"])
    app.live.versions = dict.fromkeys("abcdef", "1")
    app.assess(app.stale(None))
    app.assess(app.stale({ref("d")}), Status.MISSING)
    a, _, c, d = app.mapping.mapped
    app.mapping = RestMapping([a, config("b", key="new"), c, d])
    assert names(app.stale(set(), commit="c2")) == ["b"]
    assert (app.unchanged, app.statuses[3]) == (["d"], Status.MISSING)
    app.mapping = RestMapping([config("e"), a, c, d, config("f")])
    assert names(app.stale(set(), commit="c3")) == ["e", "f"]
    assert app.unchanged == ["d"]
    assert app.statuses == [Status.UNKNOWN, Status.IN_SYNC, Status.IN_SYNC, Status.MISSING, Status.UNKNOWN]


def test_an_object_that_changes_with_a_commit_is_assessed_again(app: App) -> None:
    """Even if its version is the same: it has a watch event."""
    assert names(app.stale({ref("b")}, commit="c2")) == ["b"]


def test_another_manifest_is_assessed_again(app: App) -> None:
    """And the verdict on the manifest before is dropped."""
    app.mapping = RestMapping([*list(app.mapping.mapped)[:1], config("b", key="new")])
    assert names(app.stale(set())) == ["b"]
    app.mapping = RestMapping([config("b", key="newer")])
    assert names(app.stale(set())) == ["b"]
    assert len(app.statuses) == 1


@pytest.mark.parametrize("changed", [set(), None])
def test_copies_of_the_manifests_are_not_assessed_again(app: App, changed: set[ResourceRef] | None) -> None:
    """Whether all are copied, or an object is added or removed as well."""
    app.mapping = RestMapping([config("a"), config("b")])
    assert app.stale(changed, commit="c2") == []
    app.live.versions["c"] = "1"
    app.mapping = RestMapping([config("c"), config("a"), config("b")])
    assert names(app.stale(changed, commit="c3")) == ["c"]


def test_a_copy_from_another_line_or_for_another_resource_is_assessed_again(app: App) -> None:
    """The line in Git is part of a verdict, and so is the API version."""
    a, b = app.mapping.mapped
    moved = replace(b, manifest=replace(b.manifest, source=Source("app.yaml", 2)))
    app.mapping = RestMapping([a, moved])
    assert names(app.stale(set(), commit="c2")) == ["b"]
    app.assess([moved])
    served = replace(CONFIG_MAPS, version="v2")
    app.mapping = RestMapping([a, replace(moved, resource=served)])
    assert names(app.stale(set(), commit="c2")) == ["b"]


def test_an_object_that_is_not_in_sync_is_assessed_again_by_each_full_pass(app: App) -> None:
    """Its verdict may depend on another object: an autoscaler."""
    app.assess(app.stale({ref("a")}), Status.DRIFTED)
    assert app.statuses == [Status.DRIFTED, Status.IN_SYNC]
    assert app.stale(set()) == []
    assert names(app.stale(None)) == ["a"]


def test_changed_schemas_are_a_reason_to_assess_everything_again(app: App) -> None:
    """A changed CRD, or a schema that cannot be read any more."""
    assert names(app.stale(set(), types={CONFIG_MAPS: KubeError("gone")})) == ["a", "b"]
