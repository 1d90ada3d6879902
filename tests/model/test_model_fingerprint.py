"""The hash of many verdicts is updated from those that changed."""

from __future__ import annotations

import random

from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.resource import ResourceRef


def verdict(name: str, status: Status = Status.DRIFTED) -> Verdict:
    return Verdict(ResourceRef("", "ConfigMap", "web", name), "v1", status)


def essence(one: Verdict) -> object:
    return None if one.status is Status.IN_SYNC else [one.ref.name, one.status]


def test_only_new_verdicts_are_hashed_again() -> None:
    """Verdicts are recognised by identity: an equal one that is another object is hashed again."""
    seen: list[str] = []

    def noted(one: Verdict) -> object:
        seen.append(one.ref.name)
        return essence(one)

    prints = Fingerprints(noted)
    a, b = verdict("a"), verdict("b")
    before = prints.of([a, b])
    assert prints.of([a, b]) == before
    assert seen == ["a", "b"]
    assert prints.of([a, verdict("b", Status.MISSING)]) != before
    assert prints.of([a, verdict("b")]) == before
    assert seen == ["a", "b", "b", "b"]


def test_the_hash_does_not_depend_on_what_was_hashed_before() -> None:
    """However verdicts are changed, added and removed, at one position or many."""
    chance = random.Random(7)
    prints = Fingerprints(essence)
    verdicts = [verdict(str(number), chance.choice(list(Status))) for number in range(30)]
    for _ in range(300):
        match chance.randrange(4):
            case 0 if verdicts:
                verdicts.pop(chance.randrange(len(verdicts)))
            case 1:
                verdicts.insert(chance.randint(0, len(verdicts)), verdict(str(chance.random())))
            case 2:
                chance.shuffle(verdicts)
            case _ if verdicts:
                place = chance.randrange(len(verdicts))
                verdicts[place] = verdict(verdicts[place].ref.name, chance.choice(list(Status)))
        assert prints.of(tuple(verdicts)) == Fingerprints(essence).of(tuple(verdicts))


def test_removed_verdicts_are_not_kept() -> None:
    """No hash is kept of an object that is in sync again."""
    prints = Fingerprints(essence)
    empty = prints.of([])
    prints.of([verdict("a"), verdict("b")])
    assert prints.of([verdict("a", Status.IN_SYNC), verdict("b", Status.IN_SYNC)]) == empty
    assert prints.of([]) == empty
    assert prints._hashes == []
