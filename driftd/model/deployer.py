"""The deployers whose apps driftd finds by itself."""

from __future__ import annotations

from enum import StrEnum


class Deployer(StrEnum):
    """Who deploys."""

    ARGO = "argo"
    FLUX = "flux"

    @property
    def product(self) -> str:
        """As its makers write it."""
        return "Argo CD" if self is Deployer.ARGO else "Flux"
