"""The preview of one app: what deploying its revision would do, told from what is deployed or will be merged into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.attribution.git_attribution import GitAttribution
from driftd.attribution.lag import by_deployer, deployer_of
from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment
from driftd.detect.detector import Detector
from driftd.diff.preview import Declarations, created, removed, standing
from driftd.live.api_reader import ApiReader
from driftd.live.mapping import MappedManifest, map_manifests
from driftd.model.drift import Status, Verdict
from driftd.model.preview import ObjectPreview, Preview
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Base:
    """What a preview is told from: what the app declares at a revision, known to people by `name` (`origin/main`).

    Without `desired`, `error` says why that is not known.
    """

    name: str
    revision: Revision | None
    desired: Desired | None = None
    attribution: GitAttribution | None = None
    error: str | None = None


async def preview_of(
    base: Base,
    detector: Detector,
    reader: ApiReader,
    desired: Desired,
    mapped: Sequence[MappedManifest],
    verdicts: Sequence[Verdict],
) -> Preview:
    """The preview of deploying `desired`, whose objects are `mapped` and have `verdicts`.

    Only what the base declares otherwise is read and compared once more. Where some of `desired` does not parse,
    nothing is told to be removed.
    """
    if base.desired is None:
        return Preview(base.name, base.revision, error=base.error)
    before = {
        item.manifest.ref: item for item in await map_manifests(base.desired.manifests, detector.app, detector.view)
    }
    after = {item.manifest.ref: item for item in mapped}
    touched = [item for ref, item in before.items() if ref not in after or not _same(item, after[ref])]
    assessments = {one.verdict.ref: one for one in await _assessed(base, detector, reader, touched)}
    objects: list[ObjectPreview | None] = [
        _preview(verdict, after[verdict.ref], before, assessments, detector)
        for verdict in {verdict.ref: verdict for verdict in verdicts}.values()
    ]
    gone = [] if desired.error else [item for item in touched if item.manifest.ref not in after]
    objects += [removed(assessments[item.manifest.ref].verdict, item.manifest) for item in gone]
    return Preview(base.name, base.revision, tuple([each for each in objects if each is not None and _tells(each)]))


async def _assessed(
    base: Base, detector: Detector, reader: ApiReader, touched: Sequence[MappedManifest]
) -> Sequence[Assessment]:
    """The objects of the base that the revision declares otherwise, with lag and lines of Git."""
    assessments = await detector.assess(touched, reader)
    if base.attribution is None or base.desired is None:
        return assessments
    base.attribution.render_for(base.desired.capabilities)
    base.attribution.observe(assessments)
    verdicts = await base.attribution.enrich(base.desired.revision, assessments)
    return [_with(one, verdict) for one, verdict in zip(assessments, verdicts, strict=True)]


def _with(assessment: Assessment, verdict: Verdict) -> Assessment:
    return Assessment(assessment.mapped, verdict, assessment.live, assessment.schema, assessment.health)


def _same(base: MappedManifest, revision: MappedManifest) -> bool:
    return base.manifest.digest == revision.manifest.digest and base.resource == revision.resource


def _preview(
    verdict: Verdict,
    item: MappedManifest,
    before: Mapping[ResourceRef, MappedManifest],
    assessments: Mapping[ResourceRef, Assessment],
    detector: Detector,
) -> ObjectPreview:
    if verdict.ref not in before:
        return created(verdict)
    assessment = assessments.get(verdict.ref)
    if assessment is None:
        return standing(verdict)
    comparison, base = detector.comparison, before[verdict.ref].manifest
    deployed_by = deployer_of(assessment, base, comparison)
    declarations = Declarations(
        item.manifest,
        base,
        assessment.live,
        assessment.schema,
        comparison.redactor,
        lambda field: by_deployer(field, deployed_by),
    )
    return declarations.touched(verdict, assessment.verdict)


def _tells(preview: ObjectPreview) -> bool:
    """Whether there is anything to say of an object."""
    return bool(preview.fields) or preview.effect is not None or preview.verdict.status is Status.UNKNOWN
