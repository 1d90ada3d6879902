"""The desired state of an app: the rendered manifests of a revision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from driftd.model.app import App, Capabilities
from driftd.model.hook import GENERATED, Hook
from driftd.model.resource import Manifest, digest
from driftd.model.revision import Revision
from driftd.render.rendering import Rendering

CapabilitiesSource = Callable[[], Awaitable[Capabilities]]
"""Asks a cluster for its capabilities. Raises: KubeError."""

_NOTHING = (
    "nothing is declared here, so nothing can be compared: is it the right folder, and the right values? "
    "Where that is meant, set allowEmpty (for a check of a repository, --allow-empty)"
)
_GENERATED = (
    "{hook.source.file}:{hook.source.line}: the {hook.kind} has generateName and no name: "
    "each apply would make another one; give it a name"
)


@dataclass(frozen=True)
class Desired:
    """The rendered manifests of one revision, and the hooks beside them.

    `errors` are of files that could not be rendered. `capabilities` are those of the cluster that a chart was rendered
    for.
    """

    revision: Revision
    manifests: tuple[Manifest, ...]
    errors: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    capabilities: Capabilities | None = None

    @classmethod
    def of(
        cls, revision: Revision, rendering: Rendering, app: App, capabilities: Capabilities | None = None
    ) -> Desired:
        """The desired state that a rendering of a revision gives.

        That nothing is declared is an error, unless the app allows it: an empty folder, files of comments alone or a
        chart with everything disabled are mostly a mistake, and "all of nothing is in sync" is no answer.
        """
        errors = tuple([str(error) for error in rendering.errors])
        if app.deploys:  # other deployers create them, and driftd applies what has a name
            errors += tuple([_GENERATED.format(hook=hook) for hook in rendering.hooks if hook.when == GENERATED])
        if not errors and not rendering.manifests and not app.rendering.allow_empty:
            errors = (f"{app.path or '.'}: {_NOTHING}",)
        return cls(revision, _deployed(rendering.manifests, app), errors, rendering.hooks, capabilities)

    @cached_property
    def digest(self) -> str:
        """A hash of what is declared, independent of commit, file and order."""
        return digest(self.manifests)

    @property
    def error(self) -> str | None:
        """All errors of the app's folder, one a line, or None."""
        return "\n".join(self.errors) or None


def _deployed(manifests: tuple[Manifest, ...], app: App) -> tuple[Manifest, ...]:
    """Those that the app's deployer does not leave out by their kinds."""
    for kinds in app.excluded:
        manifests = tuple([one for one in manifests if not kinds.covers(one.ref.group, one.ref.kind)])
    return manifests
