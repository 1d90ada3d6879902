"""Two apps that declare one object: known from Git alone, in one process and across several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.reconcile.declared_objects import Declaration, DeclaredObjects, describe_shared, tells
from driftd.reconcile.leases import DURATION, Leases
from driftd.reconcile.other_apps import OtherApps
from driftd.store import Store

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
    sentence = (
        "ConfigMap/web/shared is declared by several apps, and written for none of them: "
        "platform (platform/b.yaml:3), web (web/a.yaml:3)"
    )
    assert describe_shared("web", web, shared) == {SHARED: sentence}
    assert describe_shared("platform", platform, objects.declare(app("platform"), platform)) == {SHARED: sentence}
    assert not tells("web", shared[SHARED])
    assert tells("platform", objects.declare(app("platform"), platform)[SHARED])


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


class OtherProcess:
    """Another process on the same store, which makes passes over the app `platform`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.leases = Leases(store, "other/1/")

    async def passes(self, *verdicts: Verdict, error: str | None = None) -> None:
        assert await self.leases.acquire("platform")
        await self.store.record_report(Report("platform", "prod", None, verdicts, datetime.now(UTC), error))


def verdict(ref: ResourceRef, status: Status = Status.IN_SYNC) -> Verdict:
    return Verdict(ref, "v1", status, Source("platform/b.yaml", 7))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    await opened.close()


async def test_what_another_process_declares_is_known_from_its_last_pass(store: Store) -> None:
    """With file and line; an orphan is not declared, and what cannot be rendered for now is still."""
    objects, other = DeclaredObjects(), OtherProcess(store)
    apps = OtherApps(store, Leases(store, "this/1/"), objects, ["web"])
    web = declares("web/a.yaml", OWN, SHARED)
    objects.declare(app("web"), web)
    await other.passes(verdict(SHARED), verdict(OWN, Status.ORPHANED))
    await apps.look()
    shared = objects.declare(app("web"), web)
    assert shared == {SHARED: (Declaration("platform", "platform/b.yaml", 7),)}
    assert not tells("web", shared[SHARED]), "the other process does"
    await other.passes(error="platform/b.yaml: it is no YAML")
    await apps.look()
    assert objects.declare(app("web"), web).keys() == {SHARED}
    await other.passes(verdict(OWN))
    await apps.look()
    assert objects.declare(app("web"), web).keys() == {OWN}


async def test_a_process_that_has_ended_holds_nothing_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has not renewed its lease for all of its duration, by a clock that nobody sets."""
    seconds = [0.0]
    monkeypatch.setattr("driftd.reconcile.leases.boottime", lambda: seconds[0])
    objects, other = DeclaredObjects(), OtherProcess(store)
    apps = OtherApps(store, Leases(store, "this/1/"), objects, ["web"])
    web = declares("web/a.yaml", SHARED)
    objects.declare(app("web"), web)
    await other.passes(verdict(SHARED))
    await apps.look()
    assert objects.declare(app("web"), web).keys() == {SHARED}
    seconds[0] = DURATION.total_seconds()
    await other.leases.renew()
    await apps.look()
    assert objects.declare(app("web"), web).keys() == {SHARED}
    seconds[0] *= 2
    await apps.look()
    assert objects.declare(app("web"), web) == {}


async def test_after_a_restart_the_store_says_what_an_app_declares_until_it_has_been_read(store: Store) -> None:
    """The first pass does not write what another app declares, too; and tells, if no one else does."""
    await OtherProcess(store).passes(verdict(SHARED))
    await store.release_leases("other/1/")
    objects = DeclaredObjects()
    apps = OtherApps(store, Leases(store, "this/1/"), objects, ["web", "platform"])
    await apps.look()
    web = declares("web/a.yaml", SHARED)
    shared = objects.declare(app("web"), web)
    assert shared == {SHARED: (Declaration("platform", "platform/b.yaml", 7, at_work=False),)}
    assert tells("web", shared[SHARED])
    objects.declare(app("platform"), declares("platform/b.yaml", OWN))
    await apps.look()
    assert objects.declare(app("web"), web) == {}


async def test_an_app_that_another_process_has_taken_over_counts_as_the_store_has_it(store: Store) -> None:
    """What this one read of it before is out of date."""
    objects, other = DeclaredObjects(), OtherProcess(store)
    apps = OtherApps(store, Leases(store, "this/1/"), objects, ["web", "platform"])
    web = declares("web/a.yaml", OWN, SHARED)
    objects.declare(app("web"), web)
    objects.declare(app("platform"), declares("platform/b.yaml", OWN))
    await other.passes(verdict(SHARED))
    await apps.look()
    assert objects.declare(app("web"), web).keys() == {SHARED}
