"""The value of a YAML scalar in Kubernetes.

Source: `sigs.k8s.io/yaml`, which is go-yaml v2's `resolve.go` followed by a trip through JSON. It is neither
YAML 1.1 nor 1.2: `y` and `on` are true, `0777` and `0o777` are 511, `12:30` and dates are strings, `3.0` is 3.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from datetime import UTC, datetime
from functools import lru_cache

ScalarValue = str | int | float | bool | None

MERGE = "<<"

_PREFIX = "tag:yaml.org,2002:"
_STR, _BOOL, _INT, _FLOAT, _NULL, _TIMESTAMP, _BINARY, MERGE_TAG = (
    _PREFIX + name for name in ("str", "bool", "int", "float", "null", "timestamp", "binary", "merge")
)
_RESOLVABLE = frozenset({_STR, _BOOL, _INT, _FLOAT, _NULL, _TIMESTAMP})

_WORDS: dict[str, tuple[str, ScalarValue]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), (_BOOL, True)),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), (_BOOL, False)),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (_NULL, None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (_FLOAT, math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (_FLOAT, math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (_FLOAT, -math.inf)),
}

NOT_PLAIN_TEXT = frozenset("+-0123456789.yYnNtTfFoO~")
"""First characters of all plain scalars that may not be strings; an empty one is null."""

_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SIGN_AFTER_PREFIX = re.compile(r"0b(?P<digits>[-+][01]+)")
_AFTER_POINT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:(?:[Tt](?=.*(?:Z|[-+]\d\d:\d\d)$)| (?!.*[Z+-]))(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)?)?",
    re.ASCII,
)

_MAX_CACHED_CHARACTERS = 100
"""Longer scalars are not cached: they may be megabytes, and secret."""

_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_MIN_EXPONENT_NOTATION = 1e21


class UnreadableScalar(ValueError):
    """The scalar has no JSON form, or not the type of its tag. The message says which."""


def plain_value(text: str) -> ScalarValue:
    """The JSON value of an untagged plain scalar.

    Raises: UnreadableScalar: it is `.inf` or `.nan`.
    """
    return _cached_value(text) if len(text) <= _MAX_CACHED_CHARACTERS else _as_json(_resolve(text, None)[1])


def plain_key(text: str) -> str:
    """The JSON key of an untagged plain scalar.

    Raises: UnreadableScalar: it is null, or an integer past 64 bits.
    """
    return _cached_key(text) if len(text) <= _MAX_CACHED_CHARACTERS else _as_key(_resolve(text, None)[1])


@lru_cache(maxsize=2048)
def _cached_value(text: str) -> ScalarValue:
    return _as_json(_resolve(text, None)[1])


@lru_cache(maxsize=1024)
def _cached_key(text: str) -> str:
    return _as_key(_resolve(text, None)[1])


def tagged_value(text: str, tag: str) -> ScalarValue:
    """The JSON value of a tagged scalar of any style. Tags that YAML does not define are ignored.

    Raises: UnreadableScalar: the text is not of the tag's type.
    """
    return _as_json(_resolve_tagged(text, tag))


def tagged_key(text: str, tag: str) -> str:
    """The JSON key of a tagged scalar. Raises: UnreadableScalar."""
    return _as_key(_resolve_tagged(text, tag))


def json_number(value: float) -> int | float:
    """A float after Go writes it as JSON and Kubernetes reads it again: an integer if it has no fraction."""
    if value.is_integer() and abs(value) < _MIN_EXPONENT_NOTATION:
        # Past 2**53 Go writes the shortest digits that identify the float, not its exact value.
        return int(value) if abs(value) < 2**53 else int(_digits(repr(value)))
    return value


def json_integer(value: int) -> int:
    """An integer as Kubernetes stores it: past 64 bits (signed) it becomes a float, and is written as one."""
    return value if _INT64_MIN <= value <= _INT64_MAX else int(json_number(float(value)))


def _resolve_tagged(text: str, tag: str) -> ScalarValue:
    if tag == _BINARY:
        try:
            return base64.b64decode(text.replace("\n", ""), validate=True).decode(errors="replace")
        except binascii.Error as error:
            raise UnreadableScalar("the !!binary value is not valid base64") from error
    if tag == _STR or tag not in _RESOLVABLE:
        return text
    resolved, value = _resolve(text, tag)
    if resolved == tag:
        return value
    if tag == _FLOAT and resolved == _INT and isinstance(value, int):
        return float(value)
    raise UnreadableScalar(f"the value is not a {tag.replace(_PREFIX, '!!')}")


def _resolve(text: str, tag: str | None) -> tuple[str, ScalarValue]:
    """The tag and the Go value of a scalar; NaN, infinities and integers past 64 bits are not converted yet."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first == ".":
        if _AFTER_POINT.fullmatch(text) and math.isfinite(value := float(text)):
            return _FLOAT, value
    elif first in "+-0123456789":
        if tag == _TIMESTAMP and _is_time(text):
            return _TIMESTAMP, text
        return _number(text)
    return _STR, text


def _number(text: str) -> tuple[str, ScalarValue]:
    plain = text.replace("_", "")
    integer = _integer(plain)
    if integer is not None:
        return _INT, integer
    if _DECIMAL.fullmatch(plain) and math.isfinite(value := float(plain)):
        return _FLOAT, value
    if match := _SIGN_AFTER_PREFIX.fullmatch(plain):
        return _INT, int(match["digits"], 2)
    return _STR, text


def _integer(plain: str) -> int | None:
    match = _INTEGER.fullmatch(plain)
    if match is None or len(plain) > 80:
        return None
    for digits, base in ((match["dec"], 10), (match["hex"], 16), (match["oct"], 8), (match["bin"], 2)):
        if digits is not None:
            value = int(match["sign"] + digits, base)
            # Only unsigned digits may use the 64th bit: Go's ParseUint accepts no sign.
            limit = _INT64_MAX if match["sign"] else _UINT64_MAX
            return value if _INT64_MIN <= value <= limit else None
    return None


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups(default="0"))
        datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return False
    return True


def _as_json(value: ScalarValue) -> ScalarValue:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadableScalar("a number that is not finite has no place in JSON: quote it if it is meant as text")
        return json_number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return json_integer(value)
    return value


def _as_key(value: ScalarValue) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if _INT64_MIN <= value <= _INT64_MAX:
            return str(value)
        case float():
            return _float_key(value)
        case _:
            raise UnreadableScalar("a map key may not be null, nor a number without end or past 64 bits: quote it")


def _float_key(value: float) -> str:
    """Go's `strconv.FormatFloat(value, 'g', -1, 32)`: keys are 32-bit floats."""
    try:
        short: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        short = math.copysign(math.inf, value)
    if math.isnan(short):
        return ".nan"
    if math.isinf(short):
        return ".inf" if short > 0 else "-.inf"
    if short == 0:
        return "-0" if math.copysign(1, short) < 0 else "0"
    for precision in range(9):
        shortest = f"{short:.{precision}e}"
        if struct.unpack("<f", struct.pack("<f", float(shortest)))[0] == short:
            break
    mantissa, _, exponent = shortest.partition("e")
    digits = mantissa.lstrip("-").replace(".", "")
    if -4 <= int(exponent) < 6:
        return f"{float(shortest):.{max(0, len(digits) - 1 - int(exponent))}f}"
    return shortest


def _digits(text: str) -> str:
    """The digits of a number like `1.5e+3` that has no fraction."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if not exponent:
        return whole
    return whole + fraction.rstrip("0").ljust(int(exponent), "0")
