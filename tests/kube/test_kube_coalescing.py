"""Coalescing of events that were received together."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.coalescing import EventCoalescer
from driftd.kube.watch import EventType, WatchEvent

scripts = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([EventType.ADDED, EventType.MODIFIED, EventType.DELETED]),
        st.sampled_from(["shop", "kubectl"]),
        st.booleans(),
    ),
    max_size=200,
)


def changed(version: int, name: str, kind: EventType, manager: str, *, more: bool) -> WatchEvent:
    """An event with a field owner and a status update of a controller."""
    managed = [{"manager": manager}, {"manager": "controller", "subresource": "status", "time": version}]
    metadata: dict[str, Any] = {"name": name, "uid": name, "managedFields": managed}
    return WatchEvent(kind, {"metadata": metadata}, str(version), more)


@given(scripts)
def test_coalescing_keeps_deletes_field_owners_and_order(script: list[tuple[str, EventType, str, bool]]) -> None:
    """Each object ends in its last version, with all deletes and changes of field owners, in order."""
    sent = [
        changed(version, name, kind, manager, more=more and version < len(script))
        for version, (name, kind, manager, more) in enumerate(script, start=1)
    ]
    coalescer = EventCoalescer()
    handled = [complete for event in sent for complete in coalescer.add(event)]
    assert not coalescer
    for name in "abc":
        before = [event for event in sent if event.object["metadata"]["name"] == name]
        after = [event for event in handled if event.object["metadata"]["name"] == name]
        assert after[-1:] == before[-1:]
        assert [event.resource_version for event in after] == sorted(
            (event.resource_version for event in after), key=int
        )
        assert _owners(after) == _owners(before)


def _owners(events: list[WatchEvent]) -> list[tuple[bool, str]]:
    """Deletes and field owners, without repetitions."""
    owners: list[tuple[bool, str]] = []
    for event in events:
        owner = (event.type is EventType.DELETED, event.object["metadata"]["managedFields"][0]["manager"])
        if owner[0] or not owners or owners[-1] != owner:
            owners.append(owner)
    return owners


def test_batches_are_limited() -> None:
    """At most 64 events at a time, however many are buffered."""
    coalescer = EventCoalescer()
    sizes = [len(coalescer.add(changed(n, f"m{n}", EventType.ADDED, "shop", more=n < 1000))) for n in range(1, 1001)]
    assert max(sizes) == 64
    assert sum(sizes) == 1000
