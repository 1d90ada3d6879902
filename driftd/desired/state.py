"""What Git declares for an app: the manifests of a revision, as they were rendered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from driftd.model.resource import Manifest, digest
from driftd.model.revision import Revision
from driftd.render.rendering import Rendering


@dataclass(frozen=True)
class Desired:
    """The manifests of one revision as they were rendered. `errors` are those that could not be."""

    revision: Revision
    manifests: tuple[Manifest, ...]
    errors: tuple[str, ...] = ()

    @classmethod
    def of(cls, revision: Revision, rendering: Rendering) -> Desired:
        """What a rendering of a revision declares."""
        return cls(revision, rendering.manifests, tuple([str(error) for error in rendering.errors]))

    @cached_property
    def digest(self) -> str:
        """A hash of what is declared, whatever commit, file or order it came from."""
        return digest(self.manifests)

    @property
    def error(self) -> str | None:
        """What is wrong with the app's folder as a whole, or None."""
        return "\n".join(self.errors) or None
