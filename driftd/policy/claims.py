"""What is left to other deployers, by their claims on the objects of an app that driftd deploys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from driftd.model.claim import Claim
from driftd.model.drift import Status, Verdict
from driftd.model.resource import ResourceRef
from driftd.policy.decide import Left

_SHARED_KINDS = frozenset({"Namespace"})
"""What several deployers declare in peace: whose the rest of an app is, does not follow from it."""


def left_to_deployers(
    verdicts: Iterable[Verdict], *, take_over: bool, returned: Collection[Claim] = ()
) -> Mapping[ResourceRef, Left]:
    """What differs and is left to whoever keeps it; with `take_over`, only what `returned` ones keep.

    An object that is not there has no marks. It is left to the deployer that keeps the rest of the app, if at least
    half of what is there is another's: what is missing may be what that one is about to create, or has just pruned.
    """
    kept = Counter[Claim]()
    others, missing, left = 0, list[ResourceRef](), dict[ResourceRef, Left]()
    for verdict in verdicts:
        claim = verdict.claim
        if claim is not None and take_over and claim not in returned:
            claim = None
        if verdict.status is Status.MISSING:
            missing.append(verdict.ref)
        elif claim is not None and verdict.status is Status.DRIFTED:
            left[verdict.ref] = Left(_left_to(claim, take_over=take_over))
        if verdict.ref.kind in _SHARED_KINDS or verdict.status in (Status.MISSING, Status.ORPHANED, Status.UNKNOWN):
            continue
        if claim is not None:
            kept[claim] += 1
        else:
            others += 1
    if missing and kept.total() >= max(others, 1):
        claim, _ = kept.most_common(1)[0]
        left |= dict.fromkeys(missing, Left(_left_to(claim, take_over=take_over, rest=True)))
    return left


def kept_by_others(verdicts: Iterable[Verdict], *, take_over: bool, returned: Collection[Claim] = ()) -> Verdict | None:
    """The first object of an app that is left to another deployer, drifted or not: then no revision is driftd's to take
    back. Namespaces do not count."""
    for verdict in verdicts:
        claim = verdict.claim
        if claim is not None and verdict.ref.kind not in _SHARED_KINDS and (not take_over or claim in returned):
            return verdict
    return None


def describe_returned(ref: ResourceRef, claim: Claim, app: str) -> str:
    """A sentence about an object that driftd has taken over, and that its deployer has taken back."""
    return (
        f"{ref}: {claim} deploys it again since driftd took it over: it is left to it while its marks are there, "
        f"unless a person takes it over anew by `driftd sync {app}`"
    )


def refusal(kept: Verdict) -> str:
    """Why a revision is not rolled back, `kept` being left to its deployer."""
    return f"{kept.ref} is left to {kept.claim}: its deployer rolls it back"


def _left_to(claim: Claim, *, take_over: bool, rest: bool = False) -> str:
    whom = f"{claim}, which keeps the rest of the app" if rest else str(claim)
    if take_over:
        return f"{whom}: it deploys it again since driftd took it over"
    return f"{whom}: set takeOver: true to let driftd deploy it"
