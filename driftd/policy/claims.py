"""What is left to other deployers, by their claims on the objects of an app that driftd deploys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from driftd.model.claim import Claim
from driftd.model.drift import Status, Verdict
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.policy.decide import Left

_SHARED_KINDS = frozenset({"Namespace"})
"""What several deployers declare in peace: whose the rest of an app is, does not follow from it."""

_THERE = (Status.IN_SYNC, Status.IGNORED, Status.DRIFTED)


def left_to_deployers(
    report: Report, *, take_over: bool, returned: Collection[Claim] = ()
) -> Mapping[ResourceRef, Left]:
    """What differs and is left to whoever keeps it; with `take_over`, only what `returned` ones keep.

    An object that is not there has no marks. It is left to the deployer that keeps the rest of the app, if at least
    half of what is there is another's: what is missing may be what that one is about to create, or has just pruned.
    """
    kept = {one.ref: claim for one in report.claimed if (claim := _left_claim(one, take_over, returned)) is not None}
    left = {one.ref: Left(_left_to(kept[one.ref], take_over=take_over)) for one in report.drifted if one.ref in kept}
    others = sum(report.counts[status] for status in _THERE) - len(kept)
    whose = Counter([claim for ref, claim in kept.items() if ref.kind not in _SHARED_KINDS])
    if whose.total() >= max(others, 1):
        rest = Left(_left_to(whose.most_common(1)[0][0], take_over=take_over, rest=True))
        left |= {one.ref: rest for one in report.drifted if one.status is Status.MISSING}
    return left


def kept_by_others(report: Report, *, take_over: bool, returned: Collection[Claim] = ()) -> Verdict | None:
    """The first object of an app that is left to another deployer, drifted or not: then no revision is driftd's to take
    back. Namespaces do not count."""
    kept = (one for one in report.claimed if _left_claim(one, take_over, returned) is not None)
    return next((one for one in kept if one.ref.kind not in _SHARED_KINDS), None)


def _left_claim(verdict: Verdict, take_over: bool, returned: Collection[Claim]) -> Claim | None:
    """The claim on an object that is not taken over."""
    return None if take_over and verdict.claim not in returned else verdict.claim


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
