"""Decides which verdicts of an app to act on."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.drift import Status, Verdict
from driftd.model.plan import Mode
from driftd.model.report import Report


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdicts to act on; if there are none, the reason why nothing is written."""

    act_on: tuple[Verdict, ...]
    reason: str


def decide(mode: Mode, report: Report) -> Decision:
    """What driftd does on its own after a pass.

    Only the mode `heal` acts without a command. A manifest that does not parse stops it for the whole app, as an
    incomplete desired state is not what Git declares. An UNKNOWN object is left alone; the others are not.
    """
    if mode is not Mode.HEAL:
        return Decision((), f"the mode is {mode}")
    return sync_decision(report)


def sync_decision(report: Report) -> Decision:
    """What a sync command does: it acts on everything that differs, in every mode."""
    if report.error is not None:
        return Decision((), report.error)
    differing = tuple(verdict for verdict in report.notable if _can_be_applied(verdict))
    return Decision(differing, "" if differing else "nothing differs")


def _can_be_applied(verdict: Verdict) -> bool:
    """Whether applying the manifest mends anything: it does not, if only the pods differ."""
    if verdict.status is Status.MISSING:
        return True
    only_pods = bool(verdict.fields) and all(field.of_pods for field in verdict.fields)
    return verdict.status is Status.DRIFTED and not only_pods
