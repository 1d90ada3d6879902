"""Quantities have a canonical form."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.sandbox.resources.quantity import InvalidQuantity, canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0", "0"), ("1e3", "1e3"),
        ("1500e0", "1500"), ("100k", "100k"), ("1000k", "1M"), ("0.1m", "100u"), ("512", "512"), ("0.5Ki", "512"),
        ("1Ki", "1Ki"), ("-1000m", "-1"), ("12.34", "12340m"),
    ],
)  # fmt: skip
def test_a_quantity_is_formatted_as_by_the_api_server(text: str, expected: str) -> None:
    """Without a fraction, without loss, with the largest possible suffix."""
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1KiB", "1.2.3", "Gi"])
def test_invalid_quantities_are_refused(text: str) -> None:
    """By their syntax."""
    with pytest.raises(InvalidQuantity):
        canonical(text)


_SUFFIXES = {
    "n": "1e-9",
    "u": "1e-6",
    "m": "1e-3",
    "": "1",
    "k": "1e3",
    "M": "1e6",
    "G": "1e9",
    "Ki": "1024",
    "Mi": "1048576",
}


@given(st.integers(-(10**6), 10**6), st.sampled_from(sorted(_SUFFIXES)))
def test_the_canonical_form_has_the_same_value_and_is_idempotent(number: int, suffix: str) -> None:
    """For any number and suffix."""
    result = canonical(f"{number}{suffix}")
    assert canonical(result) == result
    digits = result.rstrip("numkKMGTPEi")
    factors = {**_SUFFIXES, "T": "1e12", "P": "1e15", "E": "1e18", "Gi": str(2**30), "Ti": str(2**40)}
    assert Decimal(digits) * Decimal(factors[result[len(digits) :]]) == number * Decimal(_SUFFIXES[suffix])
