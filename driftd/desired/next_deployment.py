"""What an app declares at the revision that its deployer has yet to deploy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from driftd.desired.state import Desired
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import App
from driftd.model.errors import DriftdError
from driftd.model.next_deployment import NextDeployment, PendingRevision
from driftd.model.revision import Revision

Render = Callable[[App, Revision], Awaitable[Desired]]
"""What an app declares at a revision. Raises: DriftdError."""


async def read_next(
    next_: NextDeployment, deployed: str, mirror: MirroredCommits, render: Render
) -> tuple[PendingRevision, Desired | None]:
    """What is pending, with how many commits it is ahead of the commit that is `deployed`; and what it declares.

    None where that cannot be read: the reason says why. What is deployed is judged all the same.
    """
    pending, commit = next_.pending, next_.pending.revision
    if commit is None:
        return pending, None
    try:
        pending = replace(pending, commits=await mirror.commits_between(deployed, commit))
        return pending, await render(next_.app, await mirror.revision(commit))
    except DriftdError as error:
        reasons = [pending.reason, f"driftd cannot read it: {error}"]
        return replace(pending, reason="; ".join(each for each in reasons if each)), None
