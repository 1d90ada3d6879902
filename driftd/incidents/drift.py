"""Following the drift of one app: what people are told of it, and what of it is over. Pure.

People are told of drift in an incident that is open for as long as any of it lasts. What they were told stays in that
incident, with its end, and so does what came and went of the same objects. Drift of other objects that was put back
before people were told of it gets an incident of its own, from its beginning to its end (docs/adr/0022).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.incidents.endings import Evidence, over, untold
from driftd.incidents.findings import Finding
from driftd.incidents.quiet import QuietPeriods
from driftd.incidents.transitions import overall, passed, transition
from driftd.model.drift import Verdict
from driftd.model.incident import Ended, Incident, IncidentEvent, IncidentType
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.store.incidents import Step


@dataclass(frozen=True, slots=True)
class DriftPass:
    """Drift as a pass left it: `finding` is what of it lasts, by object in `current`.

    `moments` is drift that is over, as driftd's writes or earlier passes had it, whether or not people were told of it.
    `evidence` tells how it ended.
    """

    report: Report
    finding: Finding | None
    current: Mapping[ResourceRef, Verdict]
    moments: Sequence[Verdict]
    evidence: Evidence
    quiet: QuietPeriods
    now: datetime

    def steps(self, known: Incident | None) -> list[Step]:
        """What becomes of the open incident, and of what people were not told of."""
        told = {verdict.ref: verdict for verdict in known.resources} if known is not None else {}
        moments = [part for one in self.moments if (part := untold(one, told.get(one.ref))) is not None]
        steps = self._passed([one for one in moments if one.ref not in told])
        ended = [self.evidence.ended(one, self.now) for one in (*self._over(known), *moments) if one.ref in told]
        step = transition(known, self.finding, self.now, overall(ended), ended)
        if step is not None and not (self.quiet.remaining(known, self.now) and _is_change(step) and not _by_us(ended)):
            steps.append(step)
        return steps

    def _passed(self, drift: Sequence[Verdict]) -> list[Step]:
        """An incident of its own for drift of objects that no open incident speaks of."""
        if not drift:
            return []
        cause = uuid.uuid4().hex
        app, cluster, revision = self.report.app, self.report.cluster, self.report.revision
        sha = revision.sha if revision is not None else None
        finding = Finding(IncidentType.DRIFT, app, cluster, sha, tuple(drift), cause=cause)
        return [passed(finding, [self.evidence.ended(one, self.now) for one in drift], self.now)]

    def _over(self, known: Incident | None) -> list[Verdict]:
        """What of the open incident is over."""
        if known is None:
            return []
        parts = [over(verdict, self.current.get(verdict.ref)) for verdict in known.resources]
        return [part for part in parts if part is not None]


def _is_change(step: Step) -> bool:
    return any(notification.event is IncidentEvent.CHANGED for notification in step[1])


def _by_us(ended: Sequence[Ended]) -> bool:
    """Whether driftd ended any of it: the next pass would not know of that."""
    return any(one.operation is not None for one in ended)


def merged(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """One verdict for each object, with the fields of all."""
    by_ref: dict[ResourceRef, Verdict] = {}
    for verdict in verdicts:
        known = by_ref.get(verdict.ref)
        if known is None or known.status is not verdict.status:
            by_ref[verdict.ref] = verdict
        elif (new := untold(verdict, known)) is not None and new is not verdict:
            by_ref[verdict.ref] = replace(known, fields=(*known.fields, *new.fields))
    return list(by_ref.values())
