"""What the deployer of an app has yet to deploy, or is deploying now."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.app import App


@dataclass(frozen=True, slots=True)
class PendingRevision:
    """The revision that a deployer has yet to deploy, by its own word.

    `revision` is None where the deployer does not know it itself; `reason` is why it is not deployed, as far as the
    deployer says it. `commits` is how many commits it is ahead of what is deployed: 0 where only parameters differ,
    None where that is not known.
    """

    deployer: str
    revision: str | None
    reason: str | None = None
    commits: int | None = None


@dataclass(frozen=True, slots=True)
class NextDeployment:
    """What is pending of an app, and the app as it is deployed then: its parameters may be others."""

    app: App
    pending: PendingRevision
