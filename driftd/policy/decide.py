"""From what is known of an app to what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.drift import Status, Verdict
from driftd.model.plan import Mode
from driftd.model.report import Report


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdicts to act on. Empty means: write nothing, for `reason`."""

    act_on: tuple[Verdict, ...]
    reason: str


def decide(mode: Mode, report: Report) -> Decision:
    """What driftd does by itself after a pass.

    Only `heal` acts unasked. A manifest that does not parse stops it for the whole app: half of what Git declares is
    not what Git declares. An object that could not be judged is left alone; the others are not.
    """
    if mode is not Mode.HEAL:
        return Decision((), f"the mode is {mode}")
    return sync_decision(report)


def sync_decision(report: Report) -> Decision:
    """What a person who asks for a sync gets: all that differs, whatever the mode."""
    if report.error is not None:
        return Decision((), report.error)
    differing = tuple(verdict for verdict in report.notable if _can_be_applied(verdict))
    return Decision(differing, "" if differing else "nothing differs")


def _can_be_applied(verdict: Verdict) -> bool:
    """Whether applying the manifest puts something right: what is only in the pods, it does not."""
    if verdict.status is Status.MISSING:
        return True
    only_pods = bool(verdict.fields) and all(field.of_pods for field in verdict.fields)
    return verdict.status is Status.DRIFTED and not only_pods
