"""Ranges of versions choose tags as npm, Helm and Flux do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from driftd.git.version_range import SemverRange, parse_version
from driftd.model.errors import GitError


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.2 <2", ["1.2.0", "1.99.3"], ["1.1.9", "2.0.0", "1.3.0-rc.1", "2.0.0-rc.1"]),
        (">=1.2,<2", ["1.2.0"], ["2.0.0"]),
        (">= 1.2, < 2", ["1.2.0"], ["2.0.0"]),
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.0", "2.0.0"]),
        ("^1.2.3", ["1.2.3"], ["1.2.2", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
        ("^0", ["0.9.9"], ["1.0.0"]),
        ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
        ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("1.x", ["1.0.0", "1.9.0"], ["2.0.0", "0.9.0"]),
        ("1.2.X", ["1.2.7"], ["1.3.0"]),
        ("1.2.*", ["1.2.7"], ["1.3.0"]),
        ("1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("v1.2.3", ["1.2.3"], ["1.2.4"]),
        ("=1.2.3", ["1.2.3"], ["1.2.2"]),
        ("*", ["0.0.0", "9.9.9"], ["1.0.0-rc.1"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        (">1.2.3", ["1.2.4"], ["1.2.3"]),
        ("<=1.2", ["1.2.9"], ["1.3.0"]),
        ("<1.2", ["1.1.9"], ["1.2.0"]),
        ("!=1.2.3 1.x", ["1.2.4"], ["1.2.3", "2.0.0"]),
        ("1.2 - 1.4", ["1.2.0", "1.4.9"], ["1.1.9", "1.5.0"]),
        ("1.x || >=3", ["1.5.0", "3.0.0"], ["2.0.0"]),
        (">=1.0.0-0", ["1.0.0-rc.1", "1.0.0", "1.3.0-beta"], ["0.9.0"]),
        ("^1.2.0-rc.1", ["1.2.0-rc.2", "1.3.0"], ["1.2.0-beta", "2.0.0-rc.1"]),
        ("1.2.0-rc.1", ["1.2.0-rc.1"], ["1.2.0-rc.2", "1.2.0"]),
        (">1.2.0-rc.1 <1.2.0", ["1.2.0-rc.2"], ["1.2.0-rc.1", "1.2.0"]),
    ],
)
def test_a_range_holds_the_versions_that_its_grammar_says(text: str, inside: list[str], outside: list[str]) -> None:
    """Both ends of every kind of comparator, and prereleases only where the range names one."""
    allowed = SemverRange.parse(text)
    assert [version for version in inside if Version.parse(version) not in allowed] == []
    assert [version for version in outside if Version.parse(version) in allowed] == []


@pytest.mark.parametrize(
    "text", ["", "   ", "1.2 ||", "latest", ">=", "1.2.3.4", "01.2", ">=1.2 <two", "^-1", "1.2.3-"]
)
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    """The message shows what a range looks like."""
    with pytest.raises(GitError, match="semver"):
        SemverRange.parse(text)


def test_the_highest_tag_is_found_with_or_without_a_leading_v() -> None:
    """Names that are no full version do not count."""
    tags = ["v1.2.0", "1.10.0", "v1.9.0", "v2", "release", "v1.11.0-rc.1", "web/v1.99.0"]
    assert SemverRange.parse("1.x").highest(tags) == "1.10.0"
    assert SemverRange.parse("3.x").highest(tags) is None


_versions = st.builds(Version, *[st.integers(0, 4)] * 3)


@given(low=_versions, version=_versions)
def test_caret_tilde_and_comparators_agree_with_each_other(low: Version, version: Version) -> None:
    """`^1.2.3` is the same as its two comparators, `!=` the opposite of `=`, and so on."""

    def holds(text: str) -> bool:
        return version in SemverRange.parse(text)

    assert holds(f"={low}") == (version == low)
    assert holds(f"!={low}") == (version != low)
    assert holds(f">={low}") == (version >= low) == (not holds(f"<{low}"))
    assert holds(f"<={low}") == (version <= low) == (not holds(f">{low}"))
    assert holds(f"~{low}") == holds(f">={low} <{low.major}.{low.minor + 1}.0")
    if low.major:
        assert holds(f"^{low}") == holds(f">={low} <{low.major + 1}")
    assert holds(f"{low} || *")


@given(st.text(max_size=20))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    """Parsing any text raises nothing else."""
    try:
        SemverRange.parse(text)
    except GitError:
        return


@given(st.text(max_size=20))
def test_any_tag_is_a_version_or_none(tag: str) -> None:
    """A remote may have tags of any name."""
    version = parse_version(tag)
    assert version is None or str(version) in tag
