"""Attribution of one app's drift in Git: lag, and the line and author of each declared value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.attribution.blame import add_blame
from driftd.attribution.history import AppHistory
from driftd.attribution.lag import mark_lag
from driftd.attribution.undeployed import Undeployed, left_to_deployer
from driftd.detect.assessor import Assessment
from driftd.diff.compare import Comparison
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import App, Capabilities
from driftd.model.drift import Verdict
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.policy.decide import Left


@dataclass(frozen=True, slots=True)
class GitAttribution:
    """Enriches verdicts. The app's history is cached between calls."""

    app: App
    mirror: MirroredCommits
    comparison: Comparison
    _history: AppHistory = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_history", AppHistory(self.app, self.mirror))

    def observe(self, assessments: Iterable[Assessment]) -> None:
        """Records which objects are live and in sync: this distinguishes lag from deletion."""
        self._history.observe(assessments)

    def render_for(self, capabilities: Capabilities | None) -> None:
        """Makes charts of earlier commits be rendered for a cluster with these capabilities; None changes nothing."""
        if capabilities is not None:
            self._history.render_for(capabilities)

    async def left_to_deployer(
        self, revision: Revision, objects: Sequence[Undeployed], *, infer: bool
    ) -> Mapping[ResourceRef, Left]:
        """What of some objects that differ is left to the app's deployer (see `undeployed.py`)."""
        if not self.mirror.has_history:
            return {}
        return await left_to_deployer(objects, self.comparison, self._history, revision, infer=infer)

    async def blame(self, revision: Revision, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """The verdicts with the line and author of each differing field."""
        return await add_blame(verdicts, self.mirror, revision.sha)

    async def enrich(self, revision: Revision, assessments: Sequence[Assessment]) -> tuple[Verdict, ...]:
        """The verdicts with lag marked, and with the line and author of each differing field."""
        if not self.mirror.has_history:
            return tuple([assessment.verdict for assessment in assessments])
        verdicts = await mark_lag(assessments, self.comparison, self._history, revision)
        return await self.blame(revision, verdicts)
