"""What a pass leaves alone of what differs, and to whom: marked in the report, so that people are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from driftd.desired.source import SourceState
from driftd.diff.rules.deployer_options import created_by_others
from driftd.live.mapping import MappedManifest
from driftd.model.app import App
from driftd.model.claim import Claim
from driftd.model.drift import Status, Verdict
from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.policy.borders import Borders
from driftd.policy.claims import describe_returned, kept_by_others, left_to_deployers
from driftd.policy.decide import Left, left_outside, with_left
from driftd.reconcile.deployment import Deployment
from driftd.reconcile.scan import Scan
from driftd.repair.removal_check import RemovalCheck
from driftd.repair.target import Target
from driftd.store.store import Store

_SHARED = "people: several apps declare it"

_OUTDATED = Left(whole="the next fetch: Git cannot be reached, and a later revision than the mirrored one was deployed")

_DIFFERING = (Status.DRIFTED, Status.MISSING)


class LeftAlone:
    """Marks what an app's repairs leave alone. In mode observe nothing is marked: nothing is repaired."""

    def __init__(
        self,
        app: App,
        source: SourceState,
        store: Store,
        borders: Borders,
        removals: RemovalCheck,
        deployment: Deployment,
    ) -> None:
        self._app = app
        self._store = store
        self._source = source
        self._borders = borders
        self._removals = removals
        self._deployment = deployment
        self._marked: dict[ResourceRef, tuple[Verdict, Left, Verdict]] = {}
        self._returned: Mapping[ResourceRef, Claim] = {}

    @property
    def waits(self) -> bool:
        """Whether something is left alone only until Git can be reached again."""
        return self._deployment.waits

    @property
    def returned(self) -> tuple[str, ...]:
        """A sentence for each object that driftd has taken over, and that its deployer has taken back since."""
        return tuple([describe_returned(ref, claim, self._app.name) for ref, claim in self._returned.items()])

    def kept_by_others(self, report: Report) -> Verdict | None:
        """An object that is left to another deployer, drifted or not; None where driftd deploys all of the app."""
        if not self._looks_at_claims:
            return None
        returned = frozenset(self._returned.values())
        return kept_by_others(report, take_over=self._app.take_over, returned=returned)

    @property
    def _looks_at_claims(self) -> bool:
        return self._app.deploys and self._app.mode is not Mode.OBSERVE

    async def mark(
        self,
        target: Target,
        scan: Scan,
        shared: Collection[ResourceRef],
        *,
        may_write: bool,
        takes_over_anew: bool = False,
    ) -> Scan:
        """The scan with a reason at each object and field that is left alone.

        `shared` are the objects that other apps declare, too. `may_write` says that driftd writes by itself what is not
        left alone; `takes_over_anew`, that a person asks for what a deployer has taken back, too.
        Raises: Superseded: Git has a newer revision, and driftd does not deploy the app. StoreError.
        """
        if self._app.mode is Mode.OBSERVE:
            return scan
        differing = [verdict for verdict in scan.report.drifted if verdict.status in _DIFFERING]
        reasons: Mapping[ResourceRef, Left] = {}
        if not self._app.deploys:
            reasons = await self._deployment.left(target, scan, may_write=may_write)
        else:
            reasons = await self._left_to_deployers(scan.report, takes_over_anew=takes_over_anew)
            if self._is_outdated(target):
                reasons = {**dict.fromkeys([verdict.ref for verdict in differing], _OUTDATED), **reasons}
        marked = {}
        for verdict in differing:
            left = self._left(verdict, scan.mapping.by_ref[verdict.ref], reasons.get(verdict.ref), shared)
            marked[verdict.ref] = (verdict, left, self._with(verdict, left))
        self._marked = marked
        changed = {ref: new for ref, (old, _, new) in marked.items() if new is not old}
        return scan.with_verdicts(changed)

    async def _left_to_deployers(self, report: Report, *, takes_over_anew: bool) -> Mapping[ResourceRef, Left]:
        """What is left to the deployers that keep it. Raises: StoreError."""
        self._returned = {}
        if self._app.take_over and not takes_over_anew:
            claims = {one.ref: one.claim for one in report.claimed if one.claim is not None}
            taken = await self._store.taken_over(self._app.name, report.cluster) if claims else frozenset()
            self._returned = {ref: claim for ref, claim in claims.items() if ref in taken}
        returned = frozenset(self._returned.values())
        return left_to_deployers(report, take_over=self._app.take_over, returned=returned)

    def _is_outdated(self, target: Target) -> bool:
        """Whether driftd, by itself, would go back to a revision that was in the cluster before another one.

        Git may do that, by a branch that is reset. But while it does not answer, it is the mirror that is old: another
        process has deployed what that one does not have.
        """
        if self._app.mode is not Mode.HEAL or target.hold is not None or self._source.error is None:
            return False
        return target.is_new and target.record.applied_at is not None

    def _left(
        self, verdict: Verdict, item: MappedManifest, undeployed: Left | None, shared: Collection[ResourceRef]
    ) -> Left:
        whole = undeployed.whole if undeployed is not None else None
        if verdict.ref in shared:
            whole = _SHARED
        elif (outside := item.outside(self._borders)) is not None:
            whole = left_outside(outside)
        elif verdict.status is Status.MISSING and (others := created_by_others(item.manifest.body)) is not None:
            whole = others
        chosen_anew = self._removals.known(item.manifest)
        return Left(whole, {**chosen_anew, **(undeployed.fields if undeployed is not None else {})})

    def _with(self, verdict: Verdict, left: Left) -> Verdict:
        """The marked verdict, and the same object as before where nothing has changed."""
        before = self._marked.get(verdict.ref)
        if before is not None and before[0] is verdict and before[1] == left:
            return before[2]
        marked = with_left(verdict, left, deploys=self._app.deploys)
        return verdict if marked == verdict else marked
