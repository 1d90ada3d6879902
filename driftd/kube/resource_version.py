"""Resource versions as numbers: those of one resource are ordered (KEP-5504)."""

from __future__ import annotations


def resource_version_number(version: str | None) -> int | None:
    """The number by which versions of one resource compare; None for what is no decimal number."""
    return int(version) if version is not None and version.isdigit() else None


def is_newer(version: str, other: str) -> bool:
    """Whether `version` is known to be later than `other`: never for versions that are no numbers."""
    number, other_number = resource_version_number(version), resource_version_number(other)
    return number is not None and other_number is not None and number > other_number
