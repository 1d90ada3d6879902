"""Events that have arrived together."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.coalescing import EventCoalescer
from driftd.kube.watch import EventType, WatchEvent

happenings = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([EventType.ADDED, EventType.MODIFIED, EventType.DELETED]),
        st.sampled_from(["shop", "hand"]),
        st.booleans(),
    ),
    max_size=200,
)


def told(version: int, name: str, kind: EventType, manager: str, *, more: bool) -> WatchEvent:
    """An event in which a manager's entry stands beside the report of a controller."""
    managed = [{"manager": manager}, {"manager": "controller", "subresource": "status", "time": version}]
    metadata: dict[str, Any] = {"name": name, "uid": name, "managedFields": managed}
    return WatchEvent(kind, {"metadata": metadata}, str(version), more)


@given(happenings)
def test_nothing_that_counts_is_left_out_or_turned_round(script: list[tuple[str, EventType, str, bool]]) -> None:
    """Each object ends as it was last told, its goings are all there, and so is every hand, in order."""
    sent = [
        told(version, name, kind, manager, more=more and version < len(script))
        for version, (name, kind, manager, more) in enumerate(script, start=1)
    ]
    burst = EventCoalescer()
    taken = [one for event in sent for one in burst.add(event)]
    assert not burst
    for name in "abc":
        of_it = [event for event in sent if event.object["metadata"]["name"] == name]
        left = [event for event in taken if event.object["metadata"]["name"] == name]
        assert left[-1:] == of_it[-1:]
        assert [one.resource_version for one in left] == sorted((one.resource_version for one in left), key=int)
        assert _hands(left) == _hands(of_it)


def _hands(events: list[WatchEvent]) -> list[tuple[bool, str]]:
    """What was at work, without the same once more."""
    found: list[tuple[bool, str]] = []
    for event in events:
        hand = (event.type is EventType.DELETED, event.object["metadata"]["managedFields"][0]["manager"])
        if hand[0] or not found or found[-1] != hand:
            found.append(hand)
    return found


def test_a_flood_is_taken_in_bit_by_bit() -> None:
    """However much has arrived, no more than 64 objects are taken in before others have their turn."""
    burst = EventCoalescer()
    sizes = [len(burst.add(told(n, f"m{n}", EventType.ADDED, "shop", more=n < 1000))) for n in range(1, 1001)]
    assert max(sizes) == 64
    assert sum(sizes) == 1000
