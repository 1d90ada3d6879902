"""Lag is not drift: where live is what an earlier commit declared, Git has moved on, and nobody's hand was at work."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from driftd.diff.compare import Comparison
from driftd.diff.deployer import Deployer, deployer
from driftd.diff.ownership import entries
from driftd.git.mirror import Mirror
from driftd.model.drift import Behind, FieldDrift, Status, Verdict
from driftd.model.errors import GitError
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision
from driftd.reconcile.judging import Judged
from driftd.render.manifests import read_manifests

_COMMITS = 50
"""So many commits of one file are looked back at."""

_FILES = 100
"""So many files are looked at in one pass: where more of them differ, it is no question of single commits."""


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What a file declared at an earlier commit; None for an object's manifest where it had none."""

    behind: Behind
    manifests: dict[tuple[str, str, str | None, str], Manifest]

    def of(self, ref: ResourceRef) -> Manifest | None:
        named = self.manifests.get((ref.group, ref.kind, ref.namespace, ref.name))
        return named or self.manifests.get((ref.group, ref.kind, None, ref.name))


async def find_lag(
    judged: Sequence[Judged], comparison: Comparison, mirror: Mirror, revision: Revision
) -> tuple[Verdict, ...]:
    """The verdicts, with those that are behind said to be so.

    Only manifests that stand in a file of their own are looked back at: what Kustomize and Helm made has no one file.
    Costs nothing where nothing differs, else a `git log` and a read for each commit of each file concerned.
    """
    concerned: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        source = one.verdict.source
        if one.verdict.status in (Status.DRIFTED, Status.MISSING) and source is not None and source.origin == "yaml":
            concerned[source.file].append(one)
    if not concerned or len(concerned) > _FILES:
        return tuple(one.verdict for one in judged)
    answers = await asyncio.gather(
        *(_of_file(file, some, comparison, mirror, revision) for file, some in concerned.items())
    )
    found = {verdict.ref: verdict for answer in answers for verdict in answer}
    return tuple(found.get(one.verdict.ref, one.verdict) for one in judged)


async def _of_file(
    file: str, judged: Sequence[Judged], comparison: Comparison, mirror: Mirror, revision: Revision
) -> list[Verdict]:
    best = {one.verdict.ref: one.verdict for one in judged}
    try:
        commits = await mirror.log(revision.sha, file, _COMMITS + 1)
        for number, commit in enumerate(commits[1:], start=1):
            earlier = await _read(mirror, file, Behind(number, commit))
            for one in judged:
                ref = one.verdict.ref
                if not _settled(best[ref]):
                    best[ref] = _better(best[ref], _against(one, earlier, comparison))
            if all(_settled(verdict) for verdict in best.values()):
                break
    except GitError:
        return list(best.values())  # no history is no reason to lose a verdict
    return list(best.values())


async def _read(mirror: Mirror, file: str, behind: Behind) -> _Earlier:
    try:
        contents = await asyncio.to_thread(mirror.at(behind.revision.sha).read, [file])
    except GitError:
        return _Earlier(behind, {})  # the commit that took the file away for a while
    objects = read_manifests(contents[file], file)
    return _Earlier(behind, {(m.ref.group, m.ref.kind, m.ref.namespace, m.ref.name): m for m in objects.manifests})


def _against(one: Judged, earlier: _Earlier, comparison: Comparison) -> Verdict:
    """The verdict with those of its fields marked that do not differ from an earlier revision."""
    verdict = one.verdict
    manifest = earlier.of(verdict.ref)
    if one.live is None:
        return replace(verdict, behind=earlier.behind) if manifest is None else verdict
    if manifest is None:
        return verdict
    manifest = manifest.in_namespace(verdict.ref.namespace)
    resource = one.wanted.resource
    then = comparison.verdict(
        manifest, one.live, one.schema, status_is_server_owned=resource is None or resource.has_status
    )
    if then.status not in (Status.DRIFTED, Status.IN_SYNC):
        return verdict
    still = {field.path for field in then.fields}
    managed = entries(one.live)
    deployed_by = deployer(one.live, manifest.body, one.schema, managed, comparison.managers)
    fields = tuple(
        replace(f, behind=f.path not in still and not f.of_pods and _by_deployer(f, deployed_by))
        for f in verdict.fields
    )
    return replace(verdict, fields=fields, behind=earlier.behind if any(f.behind for f in fields) else None)


def _by_deployer(field: FieldDrift, deployed_by: Deployer) -> bool:
    """A hand that put an older value back is a hand all the same."""
    by = field.by
    if by is None:
        return True
    return (by.manager, by.operation, by.subresource) == (deployed_by.manager, deployed_by.operation, None)


def _settled(verdict: Verdict) -> bool:
    return verdict.behind is not None and all(field.behind for field in verdict.fields)


def _better(known: Verdict, new: Verdict) -> Verdict:
    return new if _lagging(new.fields) > _lagging(known.fields) or _settled(new) else known


def _lagging(fields: Iterable[FieldDrift]) -> int:
    return sum(1 for field in fields if field.behind)
