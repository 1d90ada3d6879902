"""Ranges of semantic versions, as npm, Helm and Flux write them: `>=1.2 <2`, `^1.2`, `~1.2`, `1.x`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from semver import Version

from driftd.model.errors import GitError

_NUMBER = r"0|[1-9][0-9]{0,17}"
_PART = rf"{_NUMBER}|[xX*]"
_PARTIAL = (
    rf"v?(?P<major>{_PART})(?:\.(?P<minor>{_PART})(?:\.(?P<patch>{_PART})"
    r"(?:-(?P<prerelease>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?)?)?"
)
_COMPARATOR = re.compile(rf"(?P<operator>>=|<=|!=|[><=^~]|)\s*{_PARTIAL}")
_HYPHEN = re.compile(r"(?P<low>\S+)\s+-\s+(?P<high>\S+)")


@dataclass(frozen=True, slots=True)
class _Interval:
    """The versions from `low` (included) to `high` (excluded); None is unbounded. `negated` means all others."""

    low: Version | None
    high: Version | None
    negated: bool = False

    def __contains__(self, version: Version) -> bool:
        inside = (self.low is None or version >= self.low) and (self.high is None or version < self.high)
        return inside is not self.negated


@dataclass(frozen=True, slots=True)
class _ComparatorSet:
    """Comparators that a version must all satisfy. Prereleases match only if a comparator names a prerelease."""

    intervals: tuple[_Interval, ...]
    prereleases: bool

    def __contains__(self, version: Version) -> bool:
        return (self.prereleases or version.prerelease is None) and all(version in span for span in self.intervals)


@dataclass(frozen=True, slots=True)
class SemverRange:
    """A range of versions: alternatives, of which a version must satisfy one."""

    text: str
    alternatives: tuple[_ComparatorSet, ...]

    @classmethod
    def parse(cls, text: str) -> SemverRange:
        """Comparators (`>= > <= < = != ^ ~`, none means `=`) joined by blanks or commas must all hold; `||` separates
        alternatives; `1.2 - 1.4` includes both ends; omitted parts and `x`, `X`, `*` stand for any number.

        Raises: GitError: the text is not such a range.
        Source: the grammar of npm's node-semver and of Masterminds/semver, which Helm and Flux use.
        """
        return cls(text, tuple(_comparator_set(part.strip(), text) for part in text.split("||")))

    def __contains__(self, version: Version) -> bool:
        return any(version in alternative for alternative in self.alternatives)

    def highest(self, tags: Iterable[str]) -> str | None:
        """The tag with the highest version in this range, or None. Tags that are no full version are skipped.

        Of two tags of the same version, the last one in the order of their names wins.
        """
        candidates = [(version, tag) for tag in tags if (version := parse_version(tag)) is not None and version in self]
        return max(candidates, key=lambda pair: (pair[0], pair[1]))[1] if candidates else None


def parse_version(tag: str) -> Version | None:
    """The version that a tag names (`1.2.3` or `v1.2.3`), or None."""
    try:
        return Version.parse(tag.removeprefix("v"))
    except ValueError:
        return None


def _comparator_set(part: str, text: str) -> _ComparatorSet:
    hyphen = _HYPHEN.fullmatch(part)
    if hyphen:
        part = f">={hyphen['low']} <={hyphen['high']}"
    spans, prereleases, position = [], False, 0
    while position < len(part):
        comparator = _COMPARATOR.match(part, position)
        if comparator is None or (comparator.end() < len(part) and part[comparator.end()] not in " \t,"):
            raise GitError(f'semver {text!r}: not a range of versions, such as ">=1.2 <2", "^1.2", "~1.2" or "1.x"')
        spans.append(_interval(comparator))
        prereleases = prereleases or comparator["prerelease"] is not None
        position = comparator.end()
        while position < len(part) and part[position] in " \t,":
            position += 1
    if not spans:
        raise GitError(f'semver {text!r}: the range is empty; "*" stands for any version')
    return _ComparatorSet(tuple(spans), prereleases)


def _interval(comparator: re.Match[str]) -> _Interval:
    low, after = _bounds(comparator)
    if low is None:
        # `*`, and so `>=*`, `^*`...: all versions. No version is above, below or unequal to any version.
        return _Interval(None, None, negated=comparator["operator"] in (">", "<", "!="))
    match comparator["operator"]:
        case ">=":
            return _Interval(low, None)
        case ">":
            return _Interval(after, None)
        case "<=":
            return _Interval(None, after)
        case "<":
            return _Interval(None, low if _is_full(comparator) else _lowest_prerelease(low))
        case "!=":
            return _Interval(low, after, negated=True)
        case "^":
            return _Interval(low, _caret_bound(comparator, low))
        case "~":
            minor = low.bump_major() if _number(comparator["minor"]) is None else low.finalize_version().bump_minor()
            return _Interval(low, _lowest_prerelease(minor))
        case _:
            return _Interval(low, after)


def _bounds(comparator: re.Match[str]) -> tuple[Version | None, Version | None]:
    """The lowest version that a possibly partial one stands for, and the lowest one above all of those."""
    major, minor, patch = (_number(comparator[part]) for part in ("major", "minor", "patch"))
    if major is None:
        return None, None
    if minor is None:
        return Version(major), _lowest_prerelease(Version(major + 1))
    if patch is None:
        return Version(major, minor), _lowest_prerelease(Version(major, minor + 1))
    try:
        low = Version(major, minor, patch, comparator["prerelease"])
    except ValueError as error:
        raise GitError(f"semver: {error}") from error
    if low.prerelease is None:
        return low, _lowest_prerelease(low.bump_patch())
    # No version lies between one and itself with another `.0` in its prerelease.
    return low, low.replace(prerelease=f"{low.prerelease}.0")


def _caret_bound(comparator: re.Match[str], low: Version) -> Version:
    """`^` keeps the first non-zero part: ^1.2.3 is below 2, ^0.2.3 below 0.3, ^0.0.3 below 0.0.4."""
    final = low.finalize_version()
    if final.major or _number(comparator["minor"]) is None:
        return _lowest_prerelease(Version(final.major + 1))
    if final.minor or _number(comparator["patch"]) is None:
        return _lowest_prerelease(Version(0, final.minor + 1))
    return _lowest_prerelease(Version(0, 0, final.patch + 1))


def _lowest_prerelease(version: Version) -> Version:
    """The lowest prerelease of a version: `<2` leaves 2.0.0-rc.1 out as well."""
    return version.replace(prerelease="0")


def _is_full(comparator: re.Match[str]) -> bool:
    return _number(comparator["patch"]) is not None


def _number(part: str | None) -> int | None:
    return int(part) if part is not None and part.isdigit() else None
