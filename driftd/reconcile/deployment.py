"""What is deployed of an app that somebody else deploys: driftd puts back what hands have changed, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from driftd.attribution.git_attribution import GitAttribution
from driftd.attribution.undeployed import Undeployed
from driftd.desired.source import SourceState
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.errors import KubeError, StoreError, Superseded
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.policy.decide import Left, is_repairable, with_left
from driftd.reconcile.scan import Scan, Scanner
from driftd.repair.target import Target
from driftd.store.store import Store

_UNREACHABLE = Left(whole="the app's deployer: Git cannot be reached, and there may be a newer revision")


@dataclass(frozen=True, slots=True)
class _Baseline:
    """The revision that was in the cluster last, compared with the current one: manifests that only that one has, and
    the digests of manifests that only the current one has. None of either is known before the first one."""

    revisions: tuple[str | None, str] = (None, "")
    only_earlier: tuple[Manifest, ...] = ()
    only_current: AbstractSet[bytes] | None = None

    def has(self, manifest: Manifest) -> bool:
        return self.only_current is not None and manifest.digest not in self.only_current


@dataclass(frozen=True, slots=True)
class _LastPass:
    """The last pass over the same declarations: which of their objects were not as declared."""

    digest: str
    differing: AbstractSet[ResourceRef]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found out about an object, and what from. `is_confirmed`: Git was asked since for a newer revision."""

    verdict: Verdict
    inputs: tuple[object, ...]
    left: Left
    is_confirmed: bool = False

    @property
    def would_be_written(self) -> bool:
        return is_repairable(with_left(self.verdict, self.left, deploys=False))


class Deployment:
    """Follows what is deployed of one app.

    A manifest is known to be deployed if it was part of the last revision that was in the cluster as a whole, or if its
    object was as it declares at some pass, and has not been as an earlier one declared it since.
    """

    def __init__(
        self, app: App, source: SourceState, store: Store, scanner: Scanner, attribution: GitAttribution
    ) -> None:
        self._app = app
        self._source = source
        self._store = store
        self._scanner = scanner
        self._attribution = attribution
        self._baseline = _Baseline()
        self._last: _LastPass | None = None
        self._deployed: dict[ResourceRef, bytes] = {}
        self._returned: set[ResourceRef] = set()
        self._known: dict[ResourceRef, _Known] = {}
        self.waits = False
        """Whether what differs waits for Git to be reached."""

    async def left(self, target: Target, scan: Scan, *, may_write: bool) -> Mapping[ResourceRef, Left]:
        """What of the objects that differ is left to the app's deployer.

        Where driftd may write because of the answer, Git is asked for a newer revision before anything is taken for a
        hand's: who deploys may know of it already. Raises: Superseded: there is one. StoreError.
        """
        differing = [one for one in scan.report.drifted if one.status is not Status.ORPHANED]
        await self._follow(target, scan, differing)
        inputs = {one.ref: self._inputs(one, target, scan) for one in differing}
        fresh = [one for one in differing if self._is_new(one, inputs[one.ref])]
        found = await self._find_out(fresh, target, scan) if fresh else {}
        self._known = {one.ref: self._known[one.ref] for one in differing if one not in fresh}
        self._known |= {one.ref: _Known(one, inputs[one.ref], found.get(one.ref, Left())) for one in fresh}
        hands = [ref for ref, one in self._known.items() if not one.is_confirmed and one.would_be_written]
        if may_write:
            await self._confirm(hands)
        left = {ref: one.left for ref, one in self._known.items()}
        return {**left, **dict.fromkeys(hands, _UNREACHABLE)} if self.waits else left

    async def _confirm(self, hands: Sequence[ResourceRef]) -> None:
        """Asks Git for a newer revision than the one by which some objects were changed by hand."""
        self.waits = False
        if not hands:
            return
        if await self._source.fetch():
            raise Superseded(f"app {self._app.name}: Git has a newer revision")
        self.waits = self._source.error is not None
        if not self.waits:
            self._known |= {ref: replace(self._known[ref], is_confirmed=True) for ref in hands}

    async def _follow(self, target: Target, scan: Scan, differing: Sequence[Verdict]) -> None:
        """Takes in what this scan shows of what has been deployed."""
        digest, by_ref = target.desired.digest, scan.mapping.by_ref
        await self._update_baseline(target, scan)
        refs = {one.ref for one in differing}
        last = self._last or await self._last_recorded(target)
        if last is not None and last.digest == digest:
            self._deployed |= {ref: by_ref[ref].manifest.digest for ref in refs - last.differing}
        self._last = _LastPass(digest, _differing(scan.report))
        self._returned &= refs
        self._returned |= {
            one.ref for one in differing if one.behind is not None and self._was_deployed(by_ref[one.ref].manifest)
        }

    async def _update_baseline(self, target: Target, scan: Scan) -> None:
        current, latest = target.desired.digest, next(iter(target.applied_digests), None)
        if self._baseline.revisions == (latest, current):
            return
        only_earlier: tuple[Manifest, ...] = ()
        only_current: AbstractSet[bytes] | None = frozenset() if latest == current else None
        if latest not in (None, current):
            try:
                digests = {item.manifest.digest for item in scan.mapping.mapped}
                only_earlier, only_current = await self._store.difference(latest, digests)
            except StoreError:  # its manifests are not kept any more
                only_current = None
        self._baseline = _Baseline((latest, current), only_earlier, only_current)

    async def _last_recorded(self, target: Target) -> _LastPass | None:
        """The last pass of an earlier process, if it had the same revision."""
        report = await self._store.last_report(self._app.name)
        if report is None or report.error is not None or report.revision != target.desired.revision:
            return None
        return _LastPass(target.desired.digest, _differing(report))

    def _was_deployed(self, manifest: Manifest) -> bool:
        return self._baseline.has(manifest) or self._deployed.get(manifest.ref) == manifest.digest

    def _is_deployed(self, manifest: Manifest) -> bool:
        return manifest.ref not in self._returned and self._was_deployed(manifest)

    def _inputs(self, verdict: Verdict, target: Target, scan: Scan) -> tuple[object, ...]:
        is_deployed = self._is_deployed(scan.mapping.by_ref[verdict.ref].manifest)
        return (target.desired.revision.sha, self._baseline.revisions, is_deployed)

    def _is_new(self, verdict: Verdict, inputs: tuple[object, ...]) -> bool:
        known = self._known.get(verdict.ref)
        return known is None or (known.verdict, known.inputs) != (verdict, inputs)

    async def _find_out(self, verdicts: Sequence[Verdict], target: Target, scan: Scan) -> Mapping[ResourceRef, Left]:
        before = await self._before([one.ref for one in verdicts], scan)
        objects = [
            Undeployed(one, self._is_deployed(one.mapped.manifest), before.get(one.verdict.ref))
            for one in await self._scanner.assessments(verdicts, scan)
        ]
        lags = any(one.behind is not None for one in scan.report.drifted)
        infer = self._baseline.only_current is None and not lags
        return await self._attribution.left_to_deployer(target.desired.revision, objects, infer=infer)

    async def _before(self, refs: Sequence[ResourceRef], scan: Scan) -> Mapping[ResourceRef, Verdict]:
        """The verdicts on some objects by the manifests that were deployed before, where those are others."""
        names = {(ref.group, ref.kind, ref.name) for ref in refs if ref not in self._returned}
        earlier = [one for one in self._baseline.only_earlier if (one.ref.group, one.ref.kind, one.ref.name) in names]
        if not earlier:
            return {}
        try:
            return await self._scanner.verdicts_by(earlier, scan)
        except KubeError:
            return {}


def _differing(report: Report) -> AbstractSet[ResourceRef]:
    """The objects that are not as declared, or of which that is not known."""
    return frozenset([verdict.ref for verdict in report.notable if verdict.status is not Status.IGNORED])
