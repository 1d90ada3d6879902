"""The hash of many verdicts is updated from those that changed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from driftd.model.drift import Behind, Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.fingerprint import Fingerprints, verdict_identity
from driftd.model.resource import ResourceRef, Source
from driftd.model.revision import GitLine, Revision


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


TIME = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
GRACE = FieldOwner("kubectl", "Update", "scale", "grace", TIME, "10.0.0.7", "patch")
LINE = GitLine("app/web.yaml", 7, "b" * 40, "ada", TIME, "Deploy")
DEPLOYED = Revision("a" * 40, "ada", TIME, "Deploy", "main")
REPLICAS = ("spec", "replicas")
DRIFTED = Verdict(
    ResourceRef("apps", "Deployment", "web", "web"), "apps/v1", Status.DRIFTED, Source("app/web.yaml", 3),
    (
        FieldDrift(REPLICAS, Change.CHANGED, 1, 3, REPLICAS, GRACE, LINE),
        FieldDrift(("metadata", "labels", "x"), Change.REMOVED, "y", None, ("metadata",), behind=True),
    ),
    behind=Behind(2, DEPLOYED),
)  # fmt: skip
MISSING = Verdict(
    ResourceRef("", "ConfigMap", "web", "gone"), "v1", Status.MISSING, Source("app/gone.yaml", 1),
    by=FieldOwner("kubectl", "Delete", None, "grace", TIME, "10.0.0.7", "delete"),
)  # fmt: skip
UNKNOWN = Verdict(
    ResourceRef("", "ConfigMap", "web", "unread"), "v1", Status.UNKNOWN, Source("app/unread.yaml", 1), error="forbidden"
)
ORPHANED = Verdict(ResourceRef("", "Namespace", None, "old"), "v1", Status.ORPHANED, Source("app/old.yaml", 1))
IN_SYNC = Verdict(ResourceRef("", "ConfigMap", "web", "fine"), "v1", Status.IN_SYNC, Source("app/fine.yaml", 1))
IGNORED = Verdict(
    ResourceRef("", "ConfigMap", "web", "ig"), "v1", Status.IGNORED, Source("app/ig.yaml", 1),
    ignored=(FieldDrift(("data", "a"), Change.CHANGED, 1, 1.0, ("data", "a")),),
)  # fmt: skip
WRITTEN = {
    DRIFTED: (
        "4d73b958affdc9ea",
        "12d7e07751b8170c",
    ),
    MISSING: (
        "f7998ca67ac57370",
        "c93844137f02e94f",
    ),
    UNKNOWN: (
        "22d285dd6d55ece9",
        "5c177190eebbbcff",
    ),
    ORPHANED: (
        "041fac4bce6bcb70",
        "ec15be0754720063",
    ),
    IN_SYNC: (
        "3917b93546c6bd44",
        "0000000000000000",
    ),
    IGNORED: (
        "ae452f6f7f554c83",
        "f10d95369f46799c",
    ),
}
"""How the fingerprints begin that version 0.1 stored of these, with and without the user."""


@pytest.mark.parametrize("verdict", WRITTEN, ids=lambda verdict: verdict.status)
def test_a_stored_fingerprint_stays_what_it_was(verdict: Verdict) -> None:
    """An upgrade is no reason to notify anybody."""
    computed = [Fingerprints(partial(verdict_identity, with_user=user)).of([verdict]) for user in (True, False)]
    assert tuple(fingerprint[:16] for fingerprint in computed) == WRITTEN[verdict]


def test_who_did_it_counts_for_an_incident_and_not_for_the_history() -> None:
    """When it was done, and which line of Git says otherwise, count for neither."""
    stranger, later = replace(GRACE, user="ada"), replace(GRACE, time=TIME.replace(hour=10))
    for owner, same_incident in ((stranger, False), (later, True)):
        field = replace(DRIFTED.fields[0], by=owner, git=None)
        other = replace(DRIFTED, fields=(field, *DRIFTED.fields[1:]), behind=None)
        assert verdict_identity(other, with_user=False) == verdict_identity(DRIFTED, with_user=False)
        equal = verdict_identity(other, with_user=True) == verdict_identity(DRIFTED, with_user=True)
        assert equal is same_incident
