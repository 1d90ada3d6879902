"""What an app waits for before it writes an object that others may declare, too."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftd.model.app import App
from driftd.model.resource import ResourceRef, Source
from driftd.reconcile.declared_objects import DeclaredObjects, StoredDeclarations
from driftd.reconcile.unread_apps import UnreadApps

OLD, NEW = (ResourceRef("", "ConfigMap", "web", name) for name in ("old", "new"))
WEB, SHOP = App("web", "shop", "prod"), App("shop", "shop", "prod")
PLATFORM, FAR = App("platform", "platform", "prod"), App("far", "shop", "edge")


@dataclass
class Waiting:
    """What the app `web` waits for, and the clock by which it does."""

    declared: DeclaredObjects = field(default_factory=DeclaredObjects)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.unread = UnreadApps(self.declared, (WEB, SHOP, PLATFORM, FAR), lambda: self.now)

    def awaited(self, revision: str, *to_write: ResourceRef) -> list[str]:
        return self.unread.awaited(WEB, revision, {OLD, NEW}, set(to_write))


def test_nothing_is_written_before_every_app_of_the_cluster_was_read_or_found_unreadable() -> None:
    """The object may be theirs as well. One of another cluster does not matter."""
    web = Waiting()
    assert web.awaited("1", NEW) == ["shop", "platform"]
    assert web.awaited("1") == [], "there is nothing to write"
    web.unread.record_read("shop", "1")
    web.unread.record_read("platform", None)
    assert web.awaited("1", NEW) == []


def test_a_commit_may_declare_a_new_object_in_two_apps_of_its_source() -> None:
    """So each of them is read at that commit first. What was declared before is written at once."""
    web = Waiting()
    web.unread.record_read("shop", "1")
    web.unread.record_read("platform", "a")
    assert web.unread.awaited(WEB, "1", {OLD}, {OLD}) == []
    assert web.awaited("2", OLD) == []
    assert web.awaited("2", OLD, NEW) == ["shop"]
    web.unread.record_read("shop", "2")
    assert web.awaited("2", OLD, NEW) == []
    assert web.awaited("3", OLD, NEW) == [], "both are known by now"


def test_what_an_earlier_process_knew_is_not_waited_for() -> None:
    """Objects that the app declared then; apps of other sources that were read then. Of its own source, a commit may
    have come since."""
    web = Waiting()
    source = Source("a.yaml", 1)
    stored = {name: StoredDeclarations("prod", {OLD: source}, at_work=False) for name in ("web", "shop", "platform")}
    web.declared.set_stored(stored)
    assert web.awaited("1", OLD) == []
    assert web.awaited("1", NEW) == ["shop"]


def test_an_app_of_another_process_is_known_from_the_store() -> None:
    """That one makes its passes, and this one reads of them."""
    web = Waiting()
    elsewhere = StoredDeclarations("prod", {}, at_work=True)
    web.declared.set_stored({"shop": elsewhere, "platform": elsewhere})
    assert web.awaited("1", NEW) == []


def test_an_app_that_hangs_holds_the_others_up_for_a_minute_and_not_for_good() -> None:
    """At each revision anew: by then it may be well again."""
    web = Waiting()
    assert web.awaited("1", NEW) == ["shop", "platform"]
    web.now = 59
    assert web.awaited("1", NEW) == ["shop", "platform"]
    web.now = 60
    assert web.awaited("1", NEW) == []
    assert web.awaited("1", NEW) == []
