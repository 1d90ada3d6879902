"""The desired state of an app: the rendered manifests of a revision."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from driftd.model.resource import Manifest, digest
from driftd.model.revision import Revision
from driftd.render.rendering import Rendering


@dataclass(frozen=True)
class Desired:
    """The rendered manifests of one revision. `errors` are of files that could not be rendered."""

    revision: Revision
    manifests: tuple[Manifest, ...]
    errors: tuple[str, ...] = ()

    @classmethod
    def of(cls, revision: Revision, rendering: Rendering) -> Desired:
        """The desired state that a rendering of a revision gives."""
        return cls(revision, rendering.manifests, tuple([str(error) for error in rendering.errors]))

    @cached_property
    def digest(self) -> str:
        """A hash of what is declared, independent of commit, file and order."""
        return digest(self.manifests)

    @property
    def error(self) -> str | None:
        """All errors of the app's folder, one a line, or None."""
        return "\n".join(self.errors) or None
