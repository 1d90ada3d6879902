"""`.driftdignore` means what Git means by `.gitignore`, and no pattern takes long."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model.errors import RenderError
from driftd.render.gitignore import MAX_PATTERN_LENGTH, Pattern
from driftd.render.ignore import MAX_PATTERNS, IgnoreRules

NAMES = st.text("ab.-", min_size=1, max_size=4).filter(lambda name: name not in (".", "..") and name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4)
PIECES = st.sampled_from(["a", "b", ".", "-", "*", "?", "[ab]", "[!a]", r"\*"])
SEGMENTS = st.one_of(st.just("**"), st.lists(PIECES, min_size=1).map("".join))
LINES = st.tuples(
    st.sampled_from(["", "/", "!"]), st.lists(SEGMENTS, min_size=1, max_size=4), st.sampled_from(["", "/"])
).map(lambda parts: parts[0] + "/".join(parts[1]) + parts[2])


def ignored(lines: list[str], path: str) -> bool:
    return IgnoreRules("", {".driftdignore": "\n".join(lines).encode()}).ignores(path)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ignore")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


@settings(max_examples=60)
@given(lines=st.lists(LINES, min_size=1, max_size=3), path=PATHS)
def test_git_ignores_the_same(repository: Path, lines: list[str], path: list[str]) -> None:
    """Except for hidden files, which are left out without a rule."""
    if any(step.startswith(".") for step in path):
        return
    (repository / ".gitignore").write_text("\n".join(lines) + "\n")
    command = ["git", "-C", str(repository), "check-ignore", "-q", "--no-index", "--", "/".join(path)]
    answer = subprocess.run(command, check=False)
    assert ignored(lines, "/".join(path)) == (answer.returncode == 0)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a.yaml", "b/a.yaml", True),
        ("/a.yaml", "b/a.yaml", False),
        ("b/*.yaml", "b/c/a.yaml", False),
        ("b/**/*.yaml", "b/a.yaml", True),
        ("**/b", "x/y/b/a.yaml", True),
        ("b/**", "b/c/a.yaml", True),
        ("a.y[[:alpha:]]ml", "a.yaml", True),
        ("a.[^a-x]aml", "a.yaml", True),
        (r"\#a", "#a", True),
        ("# a", "# a", False),
        ("a ", "a", True),
        (r"a\ ", "a ", True),
        ("a.yaml/", "a.yaml", False),
    ],
)
def test_the_syntax_of_gitignore(pattern: str, path: str, matches: bool) -> None:
    assert ignored([pattern], path) is matches


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/" * 100 + "x", "a/" * 200 + "a"),
        ("*a" * 100 + "x", "a" * 250),
        ("**/*a*a*a*a*a*a/" * 20 + "x", ("a" * 100 + "/") * 30 + "a"),
        ("[ab]*" * 60 + "x", "ab" * 100),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """A pattern of stars in stars would keep a backtracking matcher busy for ages."""
    started = time.process_time()
    assert not ignored([pattern], path)
    assert time.process_time() - started < 5


def test_a_pattern_that_is_too_long_is_an_error_of_its_line() -> None:
    with pytest.raises(RenderError, match=r"^\.driftdignore:2: a pattern is longer than 1024 characters"):
        ignored(["a", "b" * (MAX_PATTERN_LENGTH + 1)], "a")


def test_too_many_patterns_are_an_error() -> None:
    with pytest.raises(RenderError, match="more than 1000 patterns"):
        ignored(["a"] * (MAX_PATTERNS + 1), "a")


def test_many_patterns_on_many_files_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone is quick: a thousand patterns on a hundred thousand names took hours."""
    monkeypatch.setattr("driftd.render.ignore._MOST_STEPS", 1_000_000)
    rules = IgnoreRules("app/", {"app/.driftdignore": b"*a*a*a*a*a*b\n" * 900})
    with pytest.raises(RenderError, match=r"^app/\.driftdignore: matching all files takes too long"):
        print([rules.ignores(f"app/{'a' * 100}{number}.yaml") for number in range(1000)])


def test_a_blank_line_is_no_pattern() -> None:
    assert [Pattern.parse(line) for line in ("", "  ", "/", "!")] == [None] * 4
