"""Parsers of scalars that have several spellings in Kubernetes, to compare them by value."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_UNIT = re.compile(r"(?:[KMGTPE]i|[numkMGTPE])$")
_INT64 = 2**63
_NANO = Decimal(1).scaleb(-9)
_MILLI = Decimal(1).scaleb(-3)


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal | None:
    """The value of a Kubernetes quantity (`500m`, `1Gi`, `1e3`), or None if the text is none.

    Rounded up to nanos, as the API server does.
    Source: k8s.io/apimachinery/pkg/api/resource, "Quantity".
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    digits, binary, decimal, exponent = match.groups()
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return None
    if binary:
        value *= 1024 ** _BINARY[binary]
    elif exponent:
        value = value.scaleb(int(exponent))
    else:
        value = value.scaleb(_DECIMAL[decimal or ""])
    try:
        return value.quantize(_NANO, rounding="ROUND_UP").normalize()
    except InvalidOperation:
        return value.normalize()


def milli_quantity(text: str) -> Decimal | None:
    """The same, rounded up to thousandths. Source: pkg/apis/core/v1/defaults.go, "SetDefaults_ResourceList"."""
    value = quantity(text)
    if value is None or value == value.to_integral_value():
        return value
    return value.quantize(_MILLI, rounding="ROUND_UP").normalize()


@lru_cache(maxsize=1024)
def duration(text: str) -> int | None:
    """Nanoseconds of a Go duration (`1h30m`, `90s`), or None if the text is none. Source: Go's time.ParseDuration."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    total, position = Decimal(0), 0
    while position < len(body):
        match = _DURATION_PART.match(body, position)
        if match is None:
            return None
        total += Decimal(match[1]) * _NANOSECONDS[match[2]]
        position = match.end()
    if position == 0:
        return None
    return int(-total if text[0] == "-" else total)


def same_float(declared: float, live: float, *, is_float64: bool) -> bool:
    """Whether two numbers are one as the API server stores them.

    A Go field of type float64 holds the nearest one that a double can express. Elsewhere only integers past 64 bits are
    decoded as doubles. Source: k8s.io/apimachinery/pkg/util/json, "ConvertInterfaceNumbers".
    """
    if not is_float64 and -_INT64 <= declared < _INT64:
        return False
    try:
        return float(declared) == float(live)
    except OverflowError:
        return False


def rewritten(declared: str, live: str) -> bool:
    """Whether a controller wrote a duration or a quantity back in the form in which Go prints it.

    Many types of custom resources say only `string` where the controller decodes one of these. A duration is rewritten
    in full (`2160h0m0s`). A quantity has a unit on one of the sides: `1.10` and `1.1` may be versions.
    """
    span = duration(declared)
    if span is not None and span == duration(live):
        return live == _as_go_prints(span)
    amount = quantity(declared)
    return amount is not None and amount == quantity(live) and bool(_UNIT.search(declared) or _UNIT.search(live))


def _as_go_prints(nanoseconds: int) -> str:
    """A duration in Go's own form. Source: Go's time.Duration.String."""
    sign, amount = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if 0 < amount < size * 1000:
            return f"{sign}{_trimmed(amount, size)}{unit}"
    minutes, rest = divmod(amount, 60 * 10**9)
    hours, minutes_left = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes_left}m" if minutes else ""
    return f"{sign}{text}{_trimmed(rest, 10**9)}s"


def _trimmed(amount: int, size: int) -> str:
    """`amount / size` without zeros at its end."""
    return f"{(Decimal(amount) / size).normalize():f}"


@lru_cache(maxsize=4096)
def instant(text: str) -> datetime | None:
    """The instant of an RFC 3339 time, or None if the text is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else None


def whole_second(text: str) -> datetime | None:
    """The same as metav1.Time stores it: without the fraction of the second."""
    time = instant(text)
    return time.replace(microsecond=0) if time else None


def decode_base64(text: str) -> bytes | None:
    """The bytes of a base64 text (with line breaks, as Go's decoder allows them), or None if the text is none."""
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
