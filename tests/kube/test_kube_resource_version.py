"""Resource versions compare as numbers, and only as numbers."""

from __future__ import annotations

import pytest

from driftd.kube.resource_version import is_newer, resource_version_number


@pytest.mark.parametrize(("version", "number"), [("10", 10), ("0", 0), ("", None), ("a1", None), (None, None)])
def test_a_decimal_version_has_a_number(version: str | None, number: int | None) -> None:
    """Any other is opaque."""
    assert resource_version_number(version) == number


def test_ten_is_newer_than_nine() -> None:
    """As texts it would be the other way round."""
    assert is_newer("10", "9")
    assert not is_newer("9", "10")
    assert not is_newer("9", "9")


def test_an_opaque_version_is_never_newer() -> None:
    """Its order is not known, so nothing may be discarded because of it."""
    assert not is_newer("b", "a")
    assert not is_newer("2", "a")
    assert not is_newer("b", "1")
