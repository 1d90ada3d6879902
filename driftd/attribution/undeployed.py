"""What of a difference may be a later change in Git that the app's deployer has not rolled out.

Asked where driftd does not deploy an app: it puts back what hands have changed, and what it writes has been deployed
before. Lag (see `lag.py`) is one answer, and not all of it: a hand may have changed a field that Git has changed, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, EarlierDeclaration
from driftd.attribution.history import AppHistory
from driftd.attribution.lag import by_deployer, deployer_of, earlier_verdict
from driftd.detect.assessor import Assessment
from driftd.diff.compare import Comparison
from driftd.model.drift import FIELD_MANAGER, FieldDrift, Status, Verdict
from driftd.model.errors import GitError
from driftd.model.path import FieldPath
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.policy.decide import LAG, Left

_BY_DEPLOYER = "the app's deployer, which has set it"
_DELETED_BY_DEPLOYER = "the app's deployer, which has deleted it"
_NEVER_DEPLOYED = "the app's deployer: as Git declares it, it has not been seen deployed"


@dataclass(frozen=True, slots=True)
class Undeployed:
    """An object that differs. `is_deployed`: all of its manifest has been in the cluster. `before` is the verdict on it
    by the manifest that was deployed before, where that is another one and known."""

    assessment: Assessment
    is_deployed: bool
    before: Verdict | None = None

    @property
    def ref(self) -> ResourceRef:
        return self.assessment.verdict.ref


async def left_to_deployer(
    objects: Sequence[Undeployed],
    comparison: Comparison,
    history: AppHistory,
    revision: Revision,
    *,
    infer: bool,
) -> dict[ResourceRef, Left]:
    """What of these objects is left to the app's deployer.

    What is not known to have been deployed is; a field is known to have been if each of the earlier declarations that
    are searched has it as the current one. `infer`: or if another object shows, by being in sync, that a revision was
    deployed which is no older than its change.
    """
    left: dict[ResourceRef, Left] = {}
    unsure: dict[ResourceRef, tuple[Undeployed, list[FieldDrift]]] = {}
    for each in objects:
        if each.assessment.verdict.status is Status.MISSING:
            left[each.ref] = Left(whole=_why_missing(each, comparison))
            continue
        fields = _by_owner(each, comparison)
        left[each.ref] = Left(fields=fields)
        rest = [one for one in each.assessment.verdict.fields if one.path not in fields]
        if undecided := [one for one in rest if not _is_deployed(one, each)]:
            unsure[each.ref] = (each, undecided)
    search = _Search(comparison, history, revision, infer)
    for ref, undeployed in (await search.undeployed(unsure)).items():
        left[ref] = Left(fields={**left[ref].fields, **dict.fromkeys(undeployed, _NEVER_DEPLOYED)})
    return left


def _why_missing(missing: Undeployed, comparison: Comparison) -> str | None:
    by = missing.assessment.verdict.by
    if by is not None and comparison.managers.is_deployer(by) and not comparison.managers.is_of_people(by):
        return _DELETED_BY_DEPLOYER
    return None if missing.is_deployed else _NEVER_DEPLOYED


def _by_owner(drifted: Undeployed, comparison: Comparison) -> dict[FieldPath, str]:
    """The fields that somebody else than a hand has set: a deployer, maybe to what a revision declares that driftd does
    not know yet, or driftd itself, to what Git declared then."""
    assessment = drifted.assessment
    deployed_by = deployer_of(assessment, assessment.mapped.manifest, comparison)
    fields = {}
    for one in assessment.verdict.fields:
        if one.by is None:
            continue
        by_program = comparison.managers.is_deployer(one.by) and not comparison.managers.is_of_people(one.by)
        if one.by.manager == FIELD_MANAGER:
            fields[one.path] = LAG
        elif by_program or by_deployer(one, deployed_by):
            fields[one.path] = _BY_DEPLOYER
    return fields


def _is_deployed(one: FieldDrift, drifted: Undeployed) -> bool:
    """Whether the declared value of a field has been in the cluster."""
    return drifted.is_deployed or (drifted.before is not None and _has(drifted.before, one))


def _has(verdict: Verdict, one: FieldDrift) -> bool:
    """Whether a verdict by another manifest has the same difference: both declare the same."""
    return any((one.path, one.change, one.desired) == (x.path, x.change, x.desired) for x in verdict.fields)


@dataclass(frozen=True, slots=True)
class _Search:
    """A search of Git's history before a revision, for what was declared of some objects."""

    comparison: Comparison
    history: AppHistory
    revision: Revision
    infer: bool

    async def undeployed(
        self, unsure: Mapping[ResourceRef, tuple[Undeployed, Sequence[FieldDrift]]]
    ) -> Mapping[ResourceRef, Sequence[FieldPath]]:
        """Those of some fields that are not known to have been deployed as they are declared now."""
        if not unsure:
            return {}
        manifests = [each.assessment.mapped.manifest for each, _ in unsure.values()]
        try:
            declared = await self.history.earlier_declarations(self.revision, manifests, MAX_COMMITS)
            return {
                ref: [one.path for one in fields if not await self._was_deployed(one, each.assessment, declared[ref])]
                for ref, (each, fields) in unsure.items()
            }
        except GitError:  # then it is not known of any
            return {ref: [one.path for one in fields] for ref, (_, fields) in unsure.items()}

    async def _was_deployed(
        self, one: FieldDrift, assessment: Assessment, declared: Sequence[EarlierDeclaration]
    ) -> bool:
        for earlier in declared:
            verdict = self._verdict_by(earlier, assessment)
            if verdict is None or not _has(verdict, one):
                return self.infer and await self.history.was_applied(
                    self.revision, assessment.mapped.manifest, earlier.position
                )
        return True

    def _verdict_by(self, earlier: EarlierDeclaration, assessment: Assessment) -> Verdict | None:
        """None where the object was not declared, or cannot be compared with what was."""
        if earlier.manifest is None:
            return None
        verdict = earlier_verdict(assessment, earlier.manifest, self.comparison)
        return None if verdict.status is Status.UNKNOWN else verdict
