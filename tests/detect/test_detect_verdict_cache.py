"""What was found stands for as long as neither side of an object has changed."""

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


class Stamps:
    """The live side: each object's version, by its name."""

    def __init__(self) -> None:
        self.versions: dict[str, str | None] = {"a": "1", "b": "1"}

    def version_of(self, one: MappedManifest) -> str | None:
        return self.versions[one.manifest.ref.name]


def wanted(name: str, **data: str) -> MappedManifest:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}, "data": data}
    return MappedManifest(Manifest.of(body, Source("app.yaml", 1)), CONFIG_MAPS)


def ref(name: str) -> ResourceRef:
    return ResourceRef("", "ConfigMap", "web", name)


def names(some: Iterable[MappedManifest]) -> list[str]:
    return [one.manifest.ref.name for one in some]


class App:
    """An app of two ConfigMaps, looked at by a memory."""

    def __init__(self) -> None:
        self.live = Stamps()
        self.placement = RestMapping([wanted("a"), wanted("b")])
        self.memory = VerdictCache()
        self.standing: list[str] = []

    def suspects(
        self, changed: set[ResourceRef] | None, commit: str = "c1", types: SchemaAnswers = TYPES
    ) -> list[MappedManifest]:
        found = self.memory.stale(self.placement, commit, self.live, types, changed)  # type: ignore[arg-type]
        self.standing = [one.verdict.ref.name for one in found[1]]
        return found[0]

    def look(self, some: Iterable[MappedManifest], status: Status = Status.IN_SYNC) -> None:
        some = list(some)
        verdicts = [Verdict(one.manifest.ref, "v1", status) for one in some]
        judged = [Assessment(one, verdict) for one, verdict in zip(some, verdicts, strict=True)]
        self.memory.update(judged, [self.live.version_of(one) for one in some], verdicts)

    @property
    def statuses(self) -> list[Status]:
        return [verdict.status for verdict in self.memory.verdicts]


@pytest.fixture
def app() -> App:
    """One whose objects have all been found in sync."""
    made = App()
    assert made.suspects(set()) == list(made.placement.mapped)
    made.look(made.placement.mapped)
    return made


def test_what_was_never_judged_is_unknown() -> None:
    """Never in sync."""
    made = App()
    made.suspects(None)
    assert made.statuses == [Status.UNKNOWN, Status.UNKNOWN]


def test_only_what_the_watches_tell_of_is_judged_again(app: App) -> None:
    """Nothing where they tell of nothing, or of what the app does not declare."""
    assert app.suspects(set()) == []
    assert names(app.suspects({ref("b"), ref("other")})) == ["b"]


def test_a_look_at_everything_judges_what_is_not_the_same(app: App) -> None:
    """Another version of the live object, or one that nothing vouches for."""
    assert app.suspects(None) == []
    app.live.versions["b"] = "2"
    assert names(app.suspects(None)) == ["b"]
    app.live.versions["b"] = None
    assert names(app.suspects(None)) == ["b"]


def test_another_commit_is_no_reason_to_look_at_what_it_does_not_concern(app: App) -> None:
    """What is in sync stays so where the manifest is the same, and the watches tell nothing of the live object."""
    assert app.suspects(set(), commit="c2") == []
    assert names(app.suspects({ref("a")}, commit="c3")) == ["a"]
    assert app.standing == []


def test_what_differs_as_before_from_another_commit_is_not_judged_again(app: App) -> None:
    """But Git's history of it may be another one: what can be told of that is told anew. What is unknown is judged."""
    app.look(app.suspects({ref("a")}), Status.MISSING)
    app.look(app.suspects({ref("b")}), Status.UNKNOWN)
    assert names(app.suspects(set(), commit="c2")) == ["b"]
    assert app.standing == ["a"]
    assert names(app.suspects({ref("a")}, commit="c3")) == ["a", "b"]
    assert app.standing == []


def test_a_commit_that_changes_brings_and_takes_objects_costs_these() -> None:
    """Whatever stands before and behind them."""
    app = App()
    app.placement = RestMapping([wanted(name) for name in "abcd"])
    app.live.versions = dict.fromkeys("abcdef", "1")
    app.look(app.suspects(None))
    app.look(app.suspects({ref("d")}), Status.MISSING)
    a, _, c, d = app.placement.mapped
    app.placement = RestMapping([a, wanted("b", key="new"), c, d])
    assert names(app.suspects(set(), commit="c2")) == ["b"]
    assert (app.standing, app.statuses[3]) == (["d"], Status.MISSING)
    app.placement = RestMapping([wanted("e"), a, c, d, wanted("f")])
    assert names(app.suspects(set(), commit="c3")) == ["e", "f"]
    assert app.standing == ["d"]
    assert app.statuses == [Status.UNKNOWN, Status.IN_SYNC, Status.IN_SYNC, Status.MISSING, Status.UNKNOWN]


def test_what_changes_with_a_commit_is_judged_again(app: App) -> None:
    """Even where its version is the one that was seen: the watches say so."""
    assert names(app.suspects({ref("b")}, commit="c2")) == ["b"]


def test_another_manifest_is_judged_again(app: App) -> None:
    """And nothing of the manifest before stays."""
    app.placement = RestMapping([*list(app.placement.mapped)[:1], wanted("b", key="new")])
    assert names(app.suspects(set())) == ["b"]
    app.placement = RestMapping([wanted("b", key="newer")])
    assert names(app.suspects(set())) == ["b"]
    assert len(app.statuses) == 1


@pytest.mark.parametrize("changed", [set(), None])
def test_copies_of_the_manifests_are_not_judged_again(app: App, changed: set[ResourceRef] | None) -> None:
    """Neither where all are copied, nor where an object comes or goes as well."""
    app.placement = RestMapping([wanted("a"), wanted("b")])
    assert app.suspects(changed, commit="c2") == []
    app.live.versions["c"] = "1"
    app.placement = RestMapping([wanted("c"), wanted("a"), wanted("b")])
    assert names(app.suspects(changed, commit="c3")) == ["c"]


def test_a_copy_from_another_place_or_for_another_resource_is_judged_again(app: App) -> None:
    """The line in Git is part of a verdict, and so is the version of the API."""
    a, b = app.placement.mapped
    moved = replace(b, manifest=replace(b.manifest, source=Source("app.yaml", 2)))
    app.placement = RestMapping([a, moved])
    assert names(app.suspects(set(), commit="c2")) == ["b"]
    app.look([moved])
    served = replace(CONFIG_MAPS, version="v2")
    app.placement = RestMapping([a, replace(moved, resource=served)])
    assert names(app.suspects(set(), commit="c2")) == ["b"]


def test_what_is_not_in_sync_is_judged_again_by_each_look_at_everything(app: App) -> None:
    """More than its two sides may count: an autoscaler."""
    app.look(app.suspects({ref("a")}), Status.DRIFTED)
    assert app.statuses == [Status.DRIFTED, Status.IN_SYNC]
    assert app.suspects(set()) == []
    assert names(app.suspects(None)) == ["a"]


def test_other_types_are_a_reason_to_judge_everything_again(app: App) -> None:
    """A changed CRD, or a schema that cannot be read any more."""
    assert names(app.suspects(set(), types={CONFIG_MAPS: KubeError("gone")})) == ["a", "b"]
