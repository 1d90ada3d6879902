"""The versions that an object had between two passes."""

from __future__ import annotations

from datetime import UTC, datetime

from driftd.kube.cached_object import CachedObject
from driftd.kube.object_store import ObjectChange
from driftd.live.version_log import SeenVersion, VersionLog
from driftd.model.resource import ResourceRef

REF = ResourceRef("", "ConfigMap", "shop", "web")
T0 = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class Watch:
    """What a watch brings of one object that the app `web` declares. Versions are numbered from 1."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.log = VersionLog(lambda: T0, lambda: self.seconds)
        self.live: CachedObject | None = None
        self.number = 0
        self.write()

    def write(self, manager: str = "argocd-controller", *, generation: int = 1, listed: bool = False) -> str:
        """A write that changes nothing but what is told. Returns: the resource version."""
        self.number += 1
        entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:data": {}}}
        metadata = {
            "name": "web", "resourceVersion": str(self.number), "managedFields": [entry], "generation": generation,
        }  # fmt: skip
        new = CachedObject(REF, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        if self.live is not None or self.number > 1:
            self.log.record(["web"], ObjectChange(REF, self.live, new, listed=listed))
        self.live = new
        return str(self.number)

    def delete(self) -> None:
        self.log.record(["web"], ObjectChange(REF, self.live, None))
        self.live = None

    def take(self, version: str | None) -> list[str | None]:
        return [_number(seen) for seen in self.log.take("web", REF, version)]


def _number(seen: SeenVersion) -> str | None:
    return seen.cached.resource_version if seen.cached is not None else None


def test_versions_are_taken_once_and_from_the_last_one_that_was_taken() -> None:
    """Each belongs to one pass; the first of them is the one that the pass before has seen."""
    watch = Watch()
    watch.write("hand")
    assert watch.take(watch.write()) == ["1", "2", "3"]
    assert watch.take("3") == []
    assert watch.take(watch.write("hand")) == ["3", "4"]


def test_what_comes_while_a_pass_reads_is_for_the_next_one() -> None:
    """The pass tells which version it has read."""
    watch = Watch()
    seen = watch.write("hand")
    watch.write()
    assert watch.take(seen) == ["1", "2"]
    assert watch.take("3") == ["2", "3"]


def test_status_updates_cost_nothing() -> None:
    """Nothing is kept of them; a later version says the same of everything else."""
    watch = Watch()
    for _ in range(100):
        watch.write()
    assert len(watch.log) == 0
    watch.write("hand")
    for _ in range(100):
        watch.write("hand")
    assert len(watch.log) == 2


def test_a_change_of_the_spec_under_the_same_owners_is_a_version() -> None:
    """`kubectl scale` twice: its entry has no time."""
    watch = Watch()
    watch.write(generation=2)
    assert watch.take(watch.write(generation=3)) == ["1", "2", "3"]


def test_a_list_ends_what_is_known() -> None:
    """It jumps over versions: others may have come in between."""
    watch = Watch()
    watch.write("hand")
    assert watch.take(watch.write(listed=True)) == []
    assert watch.take(watch.write("hand")) == ["3", "4"]


def test_what_the_watch_has_not_brought_in_one_line_is_not_kept() -> None:
    """A version that is missing in between would be taken for somebody's write."""
    watch = Watch()
    watch.write("hand")
    watch.live = CachedObject(REF, {"metadata": {"name": "web", "resourceVersion": "9", "managedFields": [{}]}})
    assert watch.take(watch.write()) == ["9", "3"]


def test_an_object_that_was_deleted_and_created_again_was_gone_in_between() -> None:
    """A pass may come before, in between, or after."""
    watch = Watch()
    watch.delete()
    assert watch.take(watch.write()) == ["1", None, "2"]
    watch.delete()
    assert watch.take(None) == ["2", None]
    assert watch.take(watch.write()) == [None, "3"]


def test_a_pass_that_is_ahead_of_the_watch_leaves_it_unknown_what_it_has_seen() -> None:
    """It has asked the API server."""
    watch = Watch()
    watch.log.pass_is_ahead("web", REF)
    watch.write("hand")
    assert watch.take(watch.write()) == []
    watch.write("hand")
    assert watch.take(watch.write()) == ["3", "4", "5"]


def test_what_no_pass_comes_for_is_bounded() -> None:
    """Another process makes the passes: the latest versions are kept, and not believed for long."""
    watch = Watch()
    for number in range(1000):
        watch.write(f"hand-{number}")
    assert len(watch.log) == 16
    watch.seconds += 1000
    assert watch.take(str(watch.number)) == []


def test_objects_are_bounded() -> None:
    """Those that changed last are kept."""
    log = VersionLog(lambda: T0, lambda: 0.0)
    for number in range(5000):
        ref = ResourceRef("", "ConfigMap", "shop", f"web-{number}")
        body = {"metadata": {"name": ref.name, "resourceVersion": "1"}}
        log.record(["web"], ObjectChange(ref, None, CachedObject(ref, body)))
    assert len(log) == 2 * 2048
