"""Whether many verdicts still say the same is told from those that are new."""

from __future__ import annotations

from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.resource import ResourceRef


def verdict(name: str, status: Status = Status.DRIFTED) -> Verdict:
    return Verdict(ResourceRef("", "ConfigMap", "web", name), "v1", status)


def test_only_what_is_another_verdict_is_hashed_again() -> None:
    """An equal one that is another object may say something else: it is looked at."""
    seen: list[str] = []

    def essence(one: Verdict) -> object:
        seen.append(one.ref.name)
        return [one.ref.name, one.status]

    prints = Fingerprints(essence)
    a, b = verdict("a"), verdict("b")
    before = prints.of([a, b])
    assert prints.of([a, b]) == before
    assert seen == ["a", "b"]
    after = prints.of([a, verdict("b", Status.MISSING)])
    assert (after[0], seen) == (before[0], ["a", "b", "b"])
    assert after[1] != before[1]


def test_what_is_gone_is_forgotten() -> None:
    """Nothing is kept of an object that does not differ any more."""
    prints = Fingerprints(lambda one: one.ref.name)
    prints.of([verdict("a"), verdict("b")])
    prints.of([])
    assert prints._known == {}
