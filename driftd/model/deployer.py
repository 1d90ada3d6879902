"""The deployers whose apps driftd finds by itself."""

from __future__ import annotations

from enum import StrEnum


class Deployer(StrEnum):
    """Who deploys."""

    ARGO = "argo"
    FLUX = "flux"
    HELM = "helm"

    @property
    def product(self) -> str:
        """As its makers write it."""
        return {Deployer.ARGO: "Argo CD", Deployer.FLUX: "Flux", Deployer.HELM: "Helm"}[self]
