"""What an app's deployer is bringing in is no drift; what a hand has done is, whatever is to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from driftd.desired.state import Desired
from driftd.detect.next_deployment import made_by_deployer, without_next
from driftd.diff.rules.field_managers import built_in_managers
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.model.revision import Revision

REF = ResourceRef("", "ConfigMap", "web", "settings")
FLUX = FieldOwner("kustomize-controller", "Apply", None, None)
HAND = FieldOwner("kubectl-edit", "Update", None, None)


def field(key: str, by: FieldOwner | None, live: Any = "new", change: Change = Change.CHANGED) -> FieldDrift:
    return FieldDrift(("data", key), change, "old", live, ("data", key), by)


def verdict(*fields: FieldDrift, status: Status = Status.DRIFTED, **more: Any) -> Verdict:
    return Verdict(REF, "v1", status, Source("a.yaml", 1), fields, **more)


def desired(*names: str, errors: tuple[str, ...] = ()) -> Desired:
    manifests = tuple(
        Manifest(ResourceRef("", "ConfigMap", "web", name), "v1", {"metadata": {"name": name}}, Source("a.yaml", 1))
        for name in names
    )
    return Desired(Revision("b" * 40, "Ada", datetime(2026, 1, 1, tzinfo=UTC), "Next", "main"), manifests, errors)


async def remaining(now: Verdict, then: Verdict | None, next_desired: Desired | None = None) -> Verdict:
    """The verdict on an object that is to be as `then` says; None where it is to be there no more."""

    async def judge_by(manifests: Sequence[Manifest]) -> Mapping[ResourceRef, Verdict]:
        return {each.ref: then for each in manifests if then is not None}

    next_desired = next_desired or desired(*([] if then is None else ["settings"]))
    found = await without_next([now], next_desired, judge_by, built_in_managers())
    return found.get(REF, now)


async def test_what_the_deployer_has_brought_in_already_is_in_sync() -> None:
    """Also what it has taken out, which nobody owns."""
    now = verdict(field("color", FLUX), field("size", None, None, Change.REMOVED))
    new = await remaining(now, verdict(status=Status.IN_SYNC))
    assert (new.status, new.fields) == (Status.IN_SYNC, ())


async def test_a_hand_that_did_the_same_is_told() -> None:
    """It was not the deployer."""
    now = verdict(field("color", HAND))
    assert await remaining(now, verdict(status=Status.IN_SYNC)) is now


async def test_only_what_a_hand_did_is_left_of_an_object_that_is_being_deployed() -> None:
    """The rest of it is as it is to be."""
    hand = field("size", HAND, "huge")
    new = await remaining(verdict(field("color", FLUX), hand), verdict(hand))
    assert (new.status, new.fields) == (Status.DRIFTED, (hand,))


async def test_what_the_deployer_wrote_and_is_not_to_come_either_is_told() -> None:
    """Such as what it had written by another revision."""
    now = verdict(field("color", FLUX))
    assert await remaining(now, verdict(field("color", FLUX))) is now
    assert await remaining(now, verdict(status=Status.UNKNOWN)) is now


async def test_what_could_not_be_judged_of_an_object_stays_unknown() -> None:
    """Nothing is in sync of which a part was not compared."""
    new = await remaining(verdict(field("color", FLUX), error="no pods"), verdict(status=Status.IN_SYNC))
    assert (new.status, new.error) == (Status.UNKNOWN, "no pods")


async def test_an_object_that_is_gone_and_is_not_to_be_there_is_not_missing() -> None:
    """Unless a person has deleted it, or not all is known of what is to come."""
    missing = verdict(status=Status.MISSING)
    assert (await remaining(missing, None)).status is Status.IN_SYNC
    assert await remaining(missing, missing) is missing
    assert await remaining(missing, None, desired(errors=("a.yaml: no YAML",))) is missing
    by_hand = verdict(status=Status.MISSING, by=HAND)
    assert await remaining(by_hand, None) is by_hand


def test_only_drift_that_is_a_deployers_as_a_whole_is_held_back() -> None:
    """People hear of a hand at once."""
    managers = built_in_managers()
    assert made_by_deployer(verdict(field("color", FLUX)), managers)
    assert not made_by_deployer(verdict(field("color", FLUX), field("size", HAND)), managers)
    assert not made_by_deployer(
        verdict(field("color", FieldOwner("kubectl-client-side-apply", "Update", None, None))), managers
    )
