"""Two apps that declare one object: known from Git alone."""

from __future__ import annotations

from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.app import App
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.reconcile.declared_objects import Declaration, DeclaredObjects, describe_shared

SHARED = ResourceRef("", "ConfigMap", "web", "shared")
OWN = ResourceRef("", "ConfigMap", "web", "own")


def declares(file: str, *refs: ResourceRef) -> RestMapping:
    return RestMapping(
        MappedManifest(
            Manifest.of(
                {"apiVersion": "v1", "kind": ref.kind, "metadata": {"name": ref.name, "namespace": ref.namespace}},
                Source(file, 3),
            ),
            None,
        )
        for ref in refs
    )


def app(name: str, cluster: str = "prod") -> App:
    return App(name, "shop", cluster)


def test_an_object_of_two_apps_is_known_to_both_and_told_by_one() -> None:
    """One sentence, with both files."""
    objects, changed = DeclaredObjects(), list[str]()
    objects.on_change = changed.append
    web = declares("web/a.yaml", OWN, SHARED)
    assert objects.declare(app("web"), web) == {}
    platform = declares("platform/b.yaml", SHARED)
    assert objects.declare(app("platform"), platform) == {SHARED: (Declaration("web", "web/a.yaml", 3),)}
    shared = objects.declare(app("web"), web)
    assert shared == {SHARED: (Declaration("platform", "platform/b.yaml", 3),)}
    assert sorted(changed) == ["platform", "web"], "each gets a pass in which it knows"
    assert describe_shared("web", web, shared) == ()
    (sentence,) = describe_shared("platform", platform, objects.declare(app("platform"), platform))
    assert sentence == (
        "ConfigMap/web/shared is declared by several apps, and written for none of them: "
        "platform (platform/b.yaml:3), web (web/a.yaml:3)"
    )


def test_it_is_over_when_one_leaves_the_object_out_or_is_gone() -> None:
    """The other one gets a pass, and is at work again."""
    objects, changed = DeclaredObjects(), list[str]()
    web = declares("web/a.yaml", SHARED)
    objects.declare(app("web"), web)
    objects.declare(app("platform"), declares("platform/b.yaml", SHARED))
    objects.on_change = changed.append
    objects.declare(app("platform"), declares("platform/b.yaml", OWN))
    assert sorted(changed) == ["platform", "web"]
    assert objects.declare(app("web"), web) == {}
    objects.declare(app("platform"), declares("platform/b.yaml", SHARED))
    objects.forget("platform")
    assert objects.declare(app("web"), web) == {}


def test_objects_of_one_name_on_two_clusters_are_two() -> None:
    """The usual case: one folder for staging and one for production."""
    objects = DeclaredObjects()
    objects.declare(app("web", "staging"), declares("web/a.yaml", SHARED))
    assert objects.declare(app("platform", "prod"), declares("platform/b.yaml", SHARED)) == {}
