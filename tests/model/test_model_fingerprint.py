"""Whether many verdicts still say the same is told from those that are new."""

from __future__ import annotations

import random

from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.resource import ResourceRef


def verdict(name: str, status: Status = Status.DRIFTED) -> Verdict:
    return Verdict(ResourceRef("", "ConfigMap", "web", name), "v1", status)


def essence(one: Verdict) -> object:
    return None if one.status is Status.IN_SYNC else [one.ref.name, one.status]


def test_only_what_is_another_verdict_is_hashed_again() -> None:
    """An equal one that is another object may say something else: it is looked at."""
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


def test_the_hash_is_that_of_the_verdicts_whatever_was_hashed_before() -> None:
    """However the verdicts changed, came and went, in one place or in many."""
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


def test_what_is_gone_is_forgotten() -> None:
    """Nothing is kept of an object that does not differ any more."""
    prints = Fingerprints(essence)
    empty = prints.of([])
    prints.of([verdict("a"), verdict("b")])
    assert prints.of([verdict("a", Status.IN_SYNC), verdict("b", Status.IN_SYNC)]) == empty
    assert prints.of([]) == empty
    assert prints._hashes == []
