"""A secret, by where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Secret(Protocol):
    """A reference to a secret. It is resolved at each use, so that a rotated secret is picked up."""

    def read(self) -> str:
        """The secret's text. Raises: DriftdError: it is missing or unreadable; the text names where it should be."""
        ...


@dataclass(frozen=True, slots=True)
class HeldSecret:
    """A secret in memory, which somebody else keeps."""

    text: str = field(repr=False)

    def read(self) -> str:
        return self.text
