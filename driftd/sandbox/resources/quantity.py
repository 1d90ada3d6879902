"""Quantities in their canonical form, as the API server stores them.

Source: k8s.io/apimachinery/pkg/api/resource, "Quantity".
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+|)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LARGEST = Decimal(2**63 - 1)
_NANO = Decimal("1e-9")


class InvalidQuantity(ValueError):
    """The text is not a quantity."""


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """`1000m` is `1`, `0.5` is `500m`, `1024Mi` is `1Gi`. Raises: InvalidQuantity."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidQuantity(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = match.groups()
    with localcontext() as context:
        context.prec = 80
        if suffix in _BINARY:
            value = Decimal(number) * 1024 ** _BINARY[suffix]
        elif suffix[:1] in ("e", "E") and len(suffix) > 1:
            value = Decimal(number).scaleb(int(suffix[1:]))
        else:
            value = Decimal(number).scaleb(_DECIMAL[suffix])
        value = max(min(value, _LARGEST), -_LARGEST)
        if value != value.quantize(_NANO, rounding=ROUND_CEILING):
            value = value.copy_abs().quantize(_NANO, rounding=ROUND_CEILING).copy_sign(value)
        if suffix in _BINARY and abs(value) >= 1024 and value == value.to_integral_value():
            return _binary(int(value))
        return _decimal(value, exponent=suffix[:1] in ("e", "E") and len(suffix) > 1)


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < 6:
        value //= 1024
        power += 1
    return f"{value}{next((s for s, p in _BINARY.items() if p == power), '')}"


def _decimal(value: Decimal, *, exponent: bool) -> str:
    if value == 0:
        return "0"
    for suffix, power in sorted(_DECIMAL.items(), key=lambda pair: -pair[1]):
        scaled = value.scaleb(-power)
        if scaled == scaled.to_integral_value():
            number = int(scaled)
            return f"{number}e{power}" if exponent and power else f"{number}{'' if exponent else suffix}"
    raise AssertionError("a value rounded to nano is a multiple of it")
