"""The versions that declared objects had between two passes: a pass compares only the last of them.

What a hand changes and the app's deployer puts back within seconds is only in those before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from driftd.kube.cached_object import CachedObject
from driftd.kube.object_store import ObjectChange
from driftd.kube.resource_version import is_newer
from driftd.model.resource import ResourceRef

_MAX_PER_OBJECT = 16
"""Maximum number of versions kept of an object, the latest ones."""

_MAX_OBJECTS = 2048
"""Maximum number of objects of which versions are kept, the most recently changed ones."""

_MAX_AGE = 120.0
"""Seconds after which a version is too old to say anything: no pass has come, since another process makes them."""


@dataclass(frozen=True, slots=True)
class SeenVersion:
    """A version of an object; `cached` is None where it was not there. It came at `time`, `arrived` (seconds) on the
    monotonic clock."""

    cached: CachedObject | None
    arrived: float
    time: datetime


_Key = tuple[str, ResourceRef]


class VersionLog:
    """The latest versions of the objects of each app that its passes have not taken in. Status updates make no version.

    Bounded in versions and in time. Where versions may be missing in between, none are kept.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._versions: OrderedDict[_Key, list[SeenVersion]] = OrderedDict()
        self._ahead: set[_Key] = set()

    def __len__(self) -> int:
        """Number of versions kept."""
        return sum(map(len, self._versions.values()))

    def record(self, apps: Iterable[str], change: ObjectChange) -> None:
        """Takes in a change of an object that some apps declare."""
        old, new = change.old, change.new
        if change.listed or _is_incomplete(old) or _is_incomplete(new):
            for app in apps:
                self._versions.pop((app, change.ref), None)
            return
        if old is not None and new is not None and new.is_as(old):
            return
        seen = SeenVersion(new, self._monotonic(), self._now())
        for app in apps:
            self._append((app, change.ref), old, seen)

    def take(self, app: str, ref: ResourceRef, version: str | None) -> tuple[SeenVersion, ...]:
        """The versions of an object that came after the last one that was taken, which is the first of them, up to a
        resource version; None for one that is not there. Later ones stay. Empty where there are none."""
        versions = self._versions.pop((app, ref), None)
        is_ahead = (app, ref) in self._ahead
        self._ahead.discard((app, ref))
        if versions is None or is_ahead:
            return ()
        count = _count_up_to(versions, version)
        if count < len(versions):
            self._versions[app, ref] = versions[max(0, count - 1) :]
        taken = versions[:count] if count > 1 else []
        oldest = self._monotonic() - _MAX_AGE
        return tuple(taken) if taken and taken[1].arrived >= oldest else ()

    def pass_is_ahead(self, app: str, ref: ResourceRef) -> None:
        """Says that a pass has seen a later version than the watch has brought: which of the next ones are new to it
        cannot be told, and they are not taken."""
        self._ahead.add((app, ref))

    def forget(self, app: str, ref: ResourceRef) -> None:
        """Drops what is kept of an object."""
        self._versions.pop((app, ref), None)
        self._ahead.discard((app, ref))

    def _append(self, key: _Key, old: CachedObject | None, seen: SeenVersion) -> None:
        versions = self._versions.get(key)
        if versions is None or not _continues(versions[-1].cached, old):
            versions = self._versions[key] = [SeenVersion(old, seen.arrived, seen.time)]
            if len(self._versions) > _MAX_OBJECTS:
                self._versions.popitem(last=False)
        versions.append(seen)
        self._versions.move_to_end(key)
        del versions[:-_MAX_PER_OBJECT]


def _is_incomplete(cached: CachedObject | None) -> bool:
    return cached is not None and cached.metadata_only


def _continues(last: CachedObject | None, old: CachedObject | None) -> bool:
    """Whether the version before a change is the last one that was kept."""
    if last is None or old is None:
        return last is old
    return old.is_as(last)


def _count_up_to(versions: list[SeenVersion], version: str | None) -> int:
    """How many of some versions are not later than a resource version, or than that the object was not there."""
    count, last = 0, 0
    for number, seen in enumerate(versions, start=1):
        if seen.cached is None:
            last = number if version is None else last
            continue
        if version is not None and not is_newer(seen.cached.resource_version, version):
            count = number
    return last if version is None else count
