"""A claim: what a live object says of the deployer that keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """A deployer that keeps an object as its own source declares it, by its marks on the object.

    `deployer` is the product, as its makers write it. `by` is what deploys the object there, as far as the marks say
    it: `application argocd/web`.
    """

    deployer: str
    by: str = ""

    def __str__(self) -> str:
        return f"{self.deployer} ({self.by})" if self.by else self.deployer
