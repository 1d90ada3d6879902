"""Lag is not drift: where live is what an earlier commit declared, Git has moved on, and nobody's hand was at work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, EarlierDeclaration, LagExplanation
from driftd.attribution.history import AppHistory, LagKey
from driftd.detect.assessor import Assessment
from driftd.diff.compare import Comparison
from driftd.diff.deployer import Deployer, find_deployer
from driftd.diff.ownership import managed_fields
from driftd.model.drift import FieldDrift, Status, Verdict
from driftd.model.errors import GitError
from driftd.model.path import FieldPath
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision

_NEAR_COMMITS = 4
_REACHES = (1, _NEAR_COMMITS, MAX_COMMITS)
"""So many commits are looked back at, the more only where fewer explain too little."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An object that may be behind: with those of its fields that nobody's hand is known to have changed."""

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
    """The verdicts, with those that are behind said to be so. `past` has seen what is in the cluster.

    Costs nothing where nothing differs, or only by hands that are known; else a few runs of Git or of the program that
    renders, once for each revision, and a comparison with each state that Git had of the object, once for each state
    that the cluster has of it.
    """
    cases = [case for one in assessments if (case := _candidate(one, comparison, history)) is not None]
    try:
        lags = await _explanations(cases, comparison, history, revision)
    except GitError:
        lags = {}  # no history is no reason to lose a verdict
    return tuple(
        lags[one.verdict.ref].marked(one.verdict) if one.verdict.ref in lags else one.verdict for one in assessments
    )


async def _explanations(
    cases: Sequence[_Candidate], comparison: Comparison, past: AppHistory, revision: Revision
) -> dict[ResourceRef, LagExplanation]:
    lags: dict[ResourceRef, LagExplanation] = {}
    fresh = []
    for case in cases:
        look, lag = past.explained.get(case.ref, (None, None))
        if look != case.key(revision):
            fresh.append(case)
        elif lag is not None:
            lags[case.ref] = lag
    waiting = fresh
    for reach in _REACHES:
        if not waiting:
            break
        history = await past.earlier_declarations(revision, [case.manifest for case in waiting], reach)
        found = {case.ref: _explanation(case, history[case.ref], comparison) for case in waiting}
        lags |= {ref: lag for ref, lag in found.items() if lag is not None}
        waiting = [case for case in waiting if case.ref not in lags or lags[case.ref].fields != case.fields]
    for case in fresh:
        if not case.missing:
            past.explained[case.ref] = (case.key(revision), lags.get(case.ref))
        elif case.ref in lags and await _was_deleted(case, lags[case.ref].earlier.position, past, revision):
            del lags[case.ref]
    return lags


def _candidate(one: Assessment, comparison: Comparison, past: AppHistory) -> _Candidate | None:
    verdict = one.verdict
    if verdict.source is None:
        return None
    if verdict.status is Status.MISSING:
        return _Candidate(one) if verdict.by is None and past.may_never_have_existed(verdict.ref) else None
    if verdict.status is not Status.DRIFTED or one.live is None:
        return None
    deployed_by = _deployer(one, one.mapped.manifest, comparison)
    fields = frozenset(f.path for f in verdict.fields if not f.of_pods and _by_deployer(f, deployed_by))
    return _Candidate(one, fields) if fields else None


def _explanation(
    case: _Candidate, history: Sequence[EarlierDeclaration], comparison: Comparison
) -> LagExplanation | None:
    """The earlier revision that explains most; of several, the newest."""
    if case.missing:
        return next((LagExplanation(earlier) for earlier in history if earlier.manifest is None), None)
    best: LagExplanation | None = None
    for earlier in history:
        fields = _explained(case, earlier.manifest, comparison) if earlier.manifest is not None else frozenset()
        if len(fields) > (len(best.fields) if best else 0):
            best = LagExplanation(earlier, fields)
        if fields == case.fields:
            break
    return best


def _explained(case: _Candidate, manifest: Manifest, comparison: Comparison) -> frozenset[FieldPath]:
    """The fields that do not differ from what an earlier revision declared.

    None, where the deployer has brought something in since: where live agrees with Git now and not with what was
    declared then, that was not the revision that was deployed last.
    """
    then = _then(case.assessment, manifest, comparison)
    if then.status is Status.UNKNOWN:
        return frozenset()
    now = {field.path for field in case.assessment.verdict.fields}
    still = {field.path for field in then.fields}
    deployed_by = _deployer(case.assessment, manifest, comparison)
    if any(_by_deployer(field, deployed_by) and not _is_among(field.path, now) for field in then.fields):
        return frozenset()
    return frozenset(
        field.path
        for field in case.assessment.verdict.fields
        if field.path in case.fields and not _is_among(field.path, still) and _by_deployer(field, deployed_by)
    )


async def _was_deleted(case: _Candidate, absent: int, past: AppHistory, revision: Revision) -> bool:
    """Whether a missing object was not left out: a commit was applied that declares it, as every later one than the
    one at `absent` does."""
    for reach in sorted({min(_NEAR_COMMITS, absent), absent}):
        if await past.was_applied(revision, case.manifest, reach):
            return True
    return False


def _then(one: Assessment, manifest: Manifest, comparison: Comparison) -> Verdict:
    resource = one.mapped.resource
    return comparison.verdict(
        manifest, one.live, one.schema, status_is_server_owned=resource is None or resource.has_status
    )


def _deployer(one: Assessment, manifest: Manifest, comparison: Comparison) -> Deployer:
    live = one.live or {}
    return find_deployer(live, manifest.body, one.schema, managed_fields(live), comparison.managers)


def _by_deployer(field: FieldDrift, deployed_by: Deployer) -> bool:
    """A hand that put an older value back is a hand all the same."""
    by = field.by
    if by is None:
        return True
    return (by.manager, by.operation, by.subresource) == (deployed_by.manager, deployed_by.operation, None)


def _is_among(path: FieldPath, others: Collection[FieldPath]) -> bool:
    """Whether it is one of these fields, or inside of one, or around one."""
    return any(path[: len(other)] == other[: len(path)] for other in others)
