"""Lag is not drift: a live object that is as an earlier commit declared it was not changed, Git has moved on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, EarlierDeclaration, LagExplanation
from driftd.attribution.history import AppHistory, LagKey
from driftd.detect.assessor import Assessment
from driftd.diff.compare import Comparison
from driftd.diff.deployer import Deployer, find_deployer
from driftd.diff.ownership import managed_fields
from driftd.model.drift import FIELD_MANAGER, FieldDrift, Status, Verdict
from driftd.model.errors import GitError
from driftd.model.path import FieldPath, PathSet
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision

_NEAR_COMMITS = 4
_REACHES = (1, _NEAR_COMMITS, MAX_COMMITS)
"""Numbers of earlier commits to search: more only if fewer do not explain all fields."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An object that may be behind, with those of its fields that only the deployer is known to have changed."""

    assessment: Assessment
    fields: frozenset[FieldPath] = frozenset()

    @property
    def ref(self) -> ResourceRef:
        return self.assessment.verdict.ref

    @property
    def manifest(self) -> Manifest:
        return self.assessment.mapped.manifest

    @property
    def missing(self) -> bool:
        return self.assessment.live is None

    def key(self, revision: Revision) -> LagKey:
        metadata = self.assessment.live["metadata"] if self.assessment.live is not None else {}
        return revision.sha, self.assessment.verdict, metadata.get("resourceVersion")


async def mark_lag(
    assessments: Sequence[Assessment], comparison: Comparison, history: AppHistory, revision: Revision
) -> tuple[Verdict, ...]:
    """The verdicts, with objects and fields that are behind marked. `history` has observed the live objects.

    Costs nothing if nothing differs, or if the actors of all differences are known; else a few runs of Git or of the
    rendering program, once per revision, and a comparison with each earlier declaration of the object, once per
    version of the live object.
    """
    candidates = [case for one in assessments if (case := _candidate(one, comparison, history)) is not None]
    try:
        lags = await _explanations(candidates, comparison, history, revision)
    except GitError:
        lags = {}  # no history is no reason to lose a verdict
    return tuple(
        lags[one.verdict.ref].marked(one.verdict) if one.verdict.ref in lags else one.verdict for one in assessments
    )


async def _explanations(
    candidates: Sequence[_Candidate], comparison: Comparison, history: AppHistory, revision: Revision
) -> dict[ResourceRef, LagExplanation]:
    lags: dict[ResourceRef, LagExplanation] = {}
    fresh = []
    for case in candidates:
        key, lag = history.explained.get(case.ref, (None, None))
        if key != case.key(revision):
            fresh.append(case)
        elif lag is not None:
            lags[case.ref] = lag
    unexplained = fresh
    for reach in _REACHES:
        if not unexplained:
            break
        declarations = await history.earlier_declarations(revision, [case.manifest for case in unexplained], reach)
        explanations = {case.ref: _explanation(case, declarations[case.ref], comparison) for case in unexplained}
        lags |= {ref: lag for ref, lag in explanations.items() if lag is not None}
        unexplained = [case for case in unexplained if case.ref not in lags or lags[case.ref].fields != case.fields]
    for case in fresh:
        if not case.missing:
            history.explained[case.ref] = (case.key(revision), lags.get(case.ref))
        elif case.ref in lags and await _was_deleted(case, lags[case.ref].earlier.position, history, revision):
            del lags[case.ref]
    return lags


def _candidate(assessment: Assessment, comparison: Comparison, history: AppHistory) -> _Candidate | None:
    verdict = assessment.verdict
    if verdict.source is None:
        return None
    if verdict.status is Status.MISSING:
        may_lag = verdict.by is None and history.may_never_have_existed(verdict.ref)
        return _Candidate(assessment) if may_lag else None
    if verdict.status is not Status.DRIFTED or assessment.live is None:
        return None
    deployed_by = deployer_of(assessment, assessment.mapped.manifest, comparison)
    fields = frozenset(f.path for f in verdict.fields if not f.of_pods and by_deployer(f, deployed_by))
    return _Candidate(assessment, fields) if fields else None


def _explanation(
    case: _Candidate, declarations: Sequence[EarlierDeclaration], comparison: Comparison
) -> LagExplanation | None:
    """The earlier declaration that explains most fields; of several, the newest."""
    if case.missing:
        return next((LagExplanation(earlier) for earlier in declarations if earlier.manifest is None), None)
    best: LagExplanation | None = None
    for earlier in declarations:
        fields = _explained(case, earlier.manifest, comparison) if earlier.manifest is not None else frozenset()
        if len(fields) > (len(best.fields) if best else 0):
            best = LagExplanation(earlier, fields)
        if fields == case.fields:
            break
    return best


def _explained(case: _Candidate, manifest: Manifest, comparison: Comparison) -> frozenset[FieldPath]:
    """The fields that do not differ from an earlier declaration.

    None if the deployer has applied a later one: a live field that is as Git declares it now, and not as it did then,
    shows that this was not the revision that was deployed last.
    """
    then = earlier_verdict(case.assessment, manifest, comparison)
    if then.status is Status.UNKNOWN:
        return frozenset()
    differing_now = PathSet(field.path for field in case.assessment.verdict.fields)
    differing_then = PathSet(field.path for field in then.fields)
    deployed_by = deployer_of(case.assessment, manifest, comparison)
    if any(by_deployer(field, deployed_by) and not differing_now.overlaps(field.path) for field in then.fields):
        return frozenset()
    return frozenset(
        field.path
        for field in case.assessment.verdict.fields
        if field.path in case.fields and not differing_then.overlaps(field.path) and by_deployer(field, deployed_by)
    )


async def _was_deleted(case: _Candidate, absent: int, history: AppHistory, revision: Revision) -> bool:
    """Whether a missing object was applied before: a commit was applied that declares it, as every later one than the
    one at `absent` does."""
    for reach in sorted({min(_NEAR_COMMITS, absent), absent}):
        if await history.was_applied(revision, case.manifest, reach):
            return True
    return False


def earlier_verdict(assessment: Assessment, manifest: Manifest, comparison: Comparison) -> Verdict:
    """The verdict on the live object against an earlier manifest."""
    resource = assessment.mapped.resource
    return comparison.verdict(
        manifest, assessment.live, assessment.schema,
        status_is_server_owned=resource is None or resource.has_status,
    )  # fmt: skip


def deployer_of(assessment: Assessment, manifest: Manifest, comparison: Comparison) -> Deployer:
    live = assessment.live or {}
    return find_deployer(live, manifest.body, assessment.schema, managed_fields(live), comparison.managers)


def by_deployer(field: FieldDrift, deployed_by: Deployer) -> bool:
    """Whether the deployer may have written a field: an older value that somebody else wrote is drift, not lag.

    What driftd wrote was what Git declared then. An object of which it put much right may have it as the deployer.
    """
    by = field.by
    if by is None or by.manager == FIELD_MANAGER:
        return True
    entries = [entry for entry in (deployed_by.entry, deployed_by.creator) if entry is not None]
    return any(
        (by.manager, by.operation, by.subresource) == (e.owner.manager, e.owner.operation, None) for e in entries
    )
